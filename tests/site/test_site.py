# SPDX-License-Identifier: GPL-3.0-or-later
"""The documentation site: no warning when it is built, no link that leads nowhere, no page wider than the screen."""

from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from urllib.parse import unquote

import pytest

from tests.site.build import BIN, build
from tests.support import PATIENCE, ROOT

OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]

# Each page in a frame of a width; the result becomes the title. The theme cuts off what sticks out at the side, so the page itself never scrolls.
MEASURE = """<!DOCTYPE html><title>?</title><body><script>
(async () => {
  const wide = [];
  for (const width of [390, 1280]) for (const page of PAGES) {
    const frame = document.createElement('iframe');
    frame.style.cssText = `width:${width}px;height:900px;border:0`;
    const loaded = new Promise(resolve => frame.onload = resolve);
    frame.src = page;
    document.body.append(frame);
    await loaded;
    const main = frame.contentDocument.querySelector('[role=main]');
    const scrolls = element => ['auto', 'scroll'].includes(frame.contentWindow.getComputedStyle(element).overflowX);
    const cut = element => {
      if (element.getBoundingClientRect().right <= width + 1) return false;
      for (let above = element.parentElement; above != main; above = above.parentElement) if (scrolls(above)) return false;
      return true;
    };
    const first = [...main.querySelectorAll('*')].find(cut);
    if (first) wide.push(`${page} at ${width}: ${first.outerHTML.slice(0, 80)}`);
    frame.remove();
  }
  document.title = 'measured ' + PAGES.length + ': ' + JSON.stringify(wide);
})();
</script>"""


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.links, self.loads, self.places = set(), set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.places.update(filter(None, (given.get("id"), given.get("name"))))
        target = given.get("src") if tag in ("img", "script") else given.get("href")
        if target is not None and tag in ("a", "img", "link", "script"):
            (self.links if tag == "a" else self.loads).add(target)


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The folder of the site's pages."""
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="session")
def pages(site):
    return {path: Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def test_the_site_has_the_guides_and_the_reference(site):
    guides = {path.stem for path in (ROOT / "docs").glob("*.md")}
    assert {path.stem for path in site.glob("docs/*.html")} == guides, "docs/README.md has to link to every guide"
    modules = {f"{path.stem}_module" for path in (ROOT / "plugins/modules").glob("ipvs_*.py")}
    assert modules < {path.stem for path in site.glob("reference/*.html")}
    assert '<a class="reference internal" href="docs/fleet.html">' in (site / "index.html").read_text()


def test_every_link_leads_somewhere(pages):
    broken = []
    for path, page in pages.items():
        for target in page.links | page.loads:
            if re.match(r"[a-z]+:", target):
                continue
            file, _sign, place = unquote(re.sub(r"\?v=[0-9a-f]+$", "", target)).partition("#")
            aim = (path.parent / file).resolve() if file else path
            if not aim.is_file() or (place and aim in pages and place not in pages[aim].places):
                broken.append(f"{path.name}: {target}")
    assert broken == []


def test_a_page_loads_nothing_from_elsewhere(pages):
    assert {target for page in pages.values() for target in page.loads if re.match(r"([a-z]+:)?//", target)} == set()


def too_wide(site, names, folder):
    """The pages that stick out at the side on a phone or at a desk, as Chromium lays them out."""
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install chromium"
    (site / "measure.html").write_text(MEASURE.replace("PAGES", json.dumps(names)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", *OFFLINE, f"--user-data-dir={folder}"]
    wait = ["--virtual-time-budget=100000000", "--dump-dom"]
    done = subprocess.run(
        [program, *options, *wait, (site / "measure.html").as_uri()],
        env={**os.environ, "HOME": str(folder)}, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    return json.loads(html.unescape(re.search(rf"<title>measured {len(names)}: (.*)</title>", done.stdout)[1]))


def test_no_page_is_wider_than_a_phone_or_a_desk(site, pages, tmp_path):
    assert too_wide(site, [path.relative_to(site).as_posix() for path in pages], tmp_path) == []


def test_a_page_that_is_too_wide_is_found(site, tmp_path):
    text = (site / "docs/fleet.html").read_text()
    (site / "docs/wide.html").write_text(text.replace("<h1>", '<div style="width: 1000px">-</div><h1>'))
    found = too_wide(site, ["docs/wide.html"], tmp_path)
    assert [line.partition(":")[0] for line in found] == ["docs/wide.html at 390", "docs/wide.html at 1280"]


def test_a_link_that_leads_nowhere_ends_the_build(tmp_path):
    """The settings of the site on a page of its own."""
    (tmp_path / "index.md").write_text("# Page\n\n[there is none](missing.md)\n")
    words = ["--builder", "html", "--conf-dir", ROOT / "tests/site", "--fail-on-warning", "--quiet", tmp_path, tmp_path / "html"]
    done = subprocess.run(
        [BIN / "sphinx-build", *words], env={**os.environ, "LVS_DOCS_FOLDER": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert done.returncode and "missing.md" in done.stderr
