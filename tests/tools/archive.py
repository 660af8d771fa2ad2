# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection's archive, whose pages work on Galaxy: python -m tests.tools.archive [FOLDER]

Galaxy shows the READMEs and docs, but keeps no files beside them. So their links, which are relative in a checkout, point to the
files of this version in the repository of galaxy.yml. The form of the addresses is GitHub's; GitLab redirects it to its own.
"""

from __future__ import annotations

import posixpath
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LINK = re.compile(r"(!?)(\[[^\]]*\])\((?![a-z]+:|#)([^)\s]+)\)")
"""A link of Markdown to a file, or a picture."""


def absolute(text: str, folder: str, repository: str, version: str) -> str:
    """A page of this folder, with links to the repository."""

    def link(match: re.Match) -> str:
        picture, words, target = match.groups()
        path = posixpath.normpath(posixpath.join(folder, target))
        return f"{picture}{words}({repository}/{'raw' if picture else 'blob'}/{version}/{path})"

    return LINK.sub(link, text)


def collection_build(source: Path, folder: Path) -> Path:
    """Have ansible-galaxy build what is in source; returns the archive's path."""
    galaxy = Path(sys.executable).with_name("ansible-galaxy")
    words = ["collection", "build", "--force", "--output-path", str(folder), str(source)]
    subprocess.run([galaxy, *words], check=True, stdout=subprocess.DEVNULL)
    settings = yaml.safe_load((source / "galaxy.yml").read_text())
    return folder / f"{settings['namespace']}-{settings['name']}-{settings['version']}.tar.gz"


def build(folder: Path, root: Path = ROOT) -> Path:
    """Build the archive of the checkout at root into folder; returns its path."""
    settings = yaml.safe_load((root / "galaxy.yml").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        pages = Path(scratch, "pages")
        # Built twice: the first archive is what build_ignore leaves of the checkout.
        shutil.unpack_archive(collection_build(root, Path(scratch)), pages)
        shutil.copyfile(root / "galaxy.yml", pages / "galaxy.yml")
        for page in pages.rglob("*.md"):
            folder_of_page = page.parent.relative_to(pages).as_posix()
            page.write_text(absolute(page.read_text(), folder_of_page, settings["repository"], settings["version"]))
        return collection_build(pages, folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / ".cache/build")
    target.mkdir(parents=True, exist_ok=True)
    for earlier in target.glob("*.tar.gz"):  # the README installs the one that is there
        earlier.unlink()
    print(build(target))
