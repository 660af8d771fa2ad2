# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the documentation site into .cache/site/html: .cache/docs-venv/bin/python tests/site/build.py

The guides stay where the repository and Galaxy show them, docs/*.md, and Sphinx reads them there (MyST): antsibull-docs takes guides as
reStructuredText only, which would be a second copy of each. It makes the reference of modules, filters and roles.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
PROJECT = ["CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"]
LINK = re.compile(r"\]\((?![a-z]+:|#)([^)#\s]+)[^)]*\)")
"""The file that a page links to, or the picture that it shows."""


def pages() -> list[str]:
    """The pages of the checkout that the site shows, home first, as paths from its root; the guides in the order of their index."""
    index = (ROOT / "docs/README.md").read_text()
    guides = [f"docs/{target}" for target in LINK.findall(index)]
    roles = [path.relative_to(ROOT).as_posix() for path in sorted(ROOT.glob("roles/*/README.md"))]
    return ["README.md", "docs/README.md", *guides, *roles, *PROJECT]


def toctree(caption: str, entries: list[str]) -> str:
    return "\n".join(["", "```{toctree}", ":hidden:", f":caption: {caption}", *(entry.removesuffix(".md") for entry in entries), "```", ""])


def copy(source: Path) -> None:
    """Lay out the pages, and what they link to, as in the checkout, so that their links hold; home is the README."""
    shown = pages()
    for page in shown:
        text = (ROOT / page).read_text()
        linked = {os.path.normpath(os.path.join(os.path.dirname(page), target)) for target in LINK.findall(text)}
        for name in linked - set(shown):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, source / name)
        (source / page).parent.mkdir(parents=True, exist_ok=True)
        (source / page).write_text(text)
    trees = [
        toctree("Guides", [page for page in shown if page.startswith("docs/")]),
        toctree("Roles", [page for page in shown if page.startswith("roles/")]),
        toctree("Reference", ["Modules, filters and roles <reference/index>"]),
        toctree("Project", PROJECT),
    ]
    (source / "README.md").rename(source / "index.md")
    with (source / "index.md").open("a") as home:
        home.writelines(trees)


def run(folder: Path, *words: str | Path) -> None:
    environment = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "LVS_DOCS_FOLDER": str(folder),
        "PATH": f"{BIN}:{os.environ['PATH']}",
    }
    subprocess.run([str(word) for word in words], check=True, env={**os.environ, **environment}, cwd=ROOT)


def build(folder: Path) -> Path:
    """Build the site below folder, which is emptied first; returns the folder of its pages. Any warning raises CalledProcessError."""
    shutil.rmtree(folder, ignore_errors=True)
    reference = folder / "source/reference"
    reference.mkdir(mode=0o755, parents=True)
    options = ["--use-current", "--squash-hierarchy", "--fail-on-error", "--dest-dir", reference]
    run(folder, BIN / "antsibull-docs", "collection", *options, "lvs.ipvs")
    copy(folder / "source")
    sphinx = ["--builder", "html", "--conf-dir", ROOT / "tests/site", "--fail-on-warning", "--keep-going", "--quiet", "--jobs", "2"]
    run(folder, BIN / "sphinx-build", *sphinx, folder / "source", folder / "html")
    return folder / "html"


if __name__ == "__main__":
    print(build(Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".cache/site")) / "index.html")
