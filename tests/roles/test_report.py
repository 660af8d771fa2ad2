# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/report.yml: the page, as a headless Chromium shows it on a screen, on a phone and on paper."""
from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.fleet import DIRECTORS, REAL_SERVERS
from tests.support import PATIENCE, ROOT, ansible

MEASURE = "<script>document.title = `${document.documentElement.scrollWidth} of ${window.innerWidth}`</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The report on DIRECTORS, which nobody asks: what the first play would have found is in the inventory."""
    folder = tmp_path_factory.mktemp("report")
    localhost = {"ansible_connection": "local"}
    inventory = {"directors": {"hosts": DIRECTORS}, "real_servers": {"hosts": REAL_SERVERS}, "ungrouped": {"hosts": {"localhost": localhost}}}
    (folder / "inventory.yml").write_text(json.dumps(inventory))
    options = ["-i", folder / "inventory.yml", "--limit", "localhost", "-e", f"report_file={folder}/report.html"]
    ansible("ansible-playbook", *options, ROOT / "playbooks/report.yml", home=folder)
    return folder / "report.html"


# nothing but the page: no look-ups of its own
OFFLINE = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]


def chromium(path, *options):
    program = shutil.which("chromium")
    assert program, "chromium is missing: apt-get install chromium"
    with subprocess.Popen(
        [program, "--headless", "--no-sandbox", "--disable-gpu", *OFFLINE, f"--user-data-dir={path.parent}/profile", *options, path.as_uri()],
        cwd=path.parent, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        return process.communicate(timeout=PATIENCE)[0]


def text(html):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<body>")[2]))


def test_page_tells_what_there_is(page):
    shown = text(chromium(page, "--dump-dom"))
    assert "4 directors 3 real servers 5 not as they should be" in shown
    assert "62 active connections" in shown
    assert "5 places of real servers 1 with weight 0" in shown
    assert "lb2 differs from the inventory. services: to be done ipvsadm -e -t 203.0.113.81:80 -r 198.51.100.11:80 -m -w 3" in shown
    assert "lb3 could not be asked. no pyroute2 &amp; no patience" in shown
    assert "lb4 could not be asked. It could not be reached." in shown
    assert "[2001:db8:1234:5678:9abc:def0:1234:5678]:80" in shown
    assert "persistent for 60 s" in shown
    assert "firewall mark 7 (ipv6)" in shown


def test_page_tells_of_vrrp_health_and_drains(page):
    shown = text(chromium(page, "--dump-dom"))
    assert "lb1 as it should be master since 2026-01-31 12:00:00 UTC 3 4 57" in shown
    assert "lb2 3 differences backup since 2026-01-31 11:00:00 UTC, has handed over 1 1 5" in shown
    assert "fwmark 7 (ipv6) is not here, but on lb1" in shown
    assert "203.0.113.80, 2001:db8:1234:5678:9abc:def0:1234:5678, 203.0.113.90" in shown
    assert "VRRP backup since 2026-01-31 11:00:00 UTC, priority 150, lowered because it has handed over." in shown
    assert "Drained: 198.51.100.12 since 2026-01-30 08:15:00 UTC" in shown
    assert "198.51.100.13:80 nat 0 its check fails: http" in shown and "198.51.100.12:80 nat 1 drained" in shown


def test_page_tells_of_real_servers(page):
    shown = text(chromium(page, "--dump-dom"))
    assert "web2 differs from the inventory. missing: address 203.0.113.80/32 dev lo" in shown
    assert "web3 could not be asked. director_services: []" in shown
    assert "Virtual addresses web1 as it should be 2 203.0.113.80, 2001:db8::80 web2 1 difference 1 web3 no answer" in shown


def test_page_stands_by_itself_and_takes_no_text_for_markup(page):
    html = page.read_text()
    assert not re.search(r"(src|href)=[\"'](?!#)|@import|url\(|<script", html)
    assert "&lt;b&gt;not markup&lt;/b&gt;" in html


def test_bars_are_as_long_as_their_numbers(page):
    assert re.findall(r'class="bar active"><i style="width:([0-9.]+)%"></i></span><b>([0-9]+)</b>', page.read_text()) == [
        ("100.0", "40"), ("25.0", "10"), ("0.0", "0"), ("17.5", "7"), ("12.5", "5"),
    ]  # fmt: skip


@pytest.mark.parametrize("width", [1280, 768, 500])
def test_nothing_sticks_out_at_the_side(page, width):
    measured = page.with_name(f"measured-{width}.html")
    measured.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))
    title = re.search(r"<title>([0-9]+) of ([0-9]+)", chromium(measured, f"--window-size={width},900", "--dump-dom"))
    assert int(title[1]) <= int(title[2]) == width


def test_page_prints(page):
    chromium(page, f"--print-to-pdf={page.parent}/report.pdf", "--no-pdf-header-footer")
    pdf = (page.parent / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 4
