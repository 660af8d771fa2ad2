# SPDX-License-Identifier: GPL-3.0-or-later
"""A release in a copy of the checkout."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import yaml

from tests.support import BIN, ROOT, ansible

VERSION = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
RELEASE = "%s.%d.0" % (VERSION.split(".")[0], int(VERSION.split(".")[1]) + 1)
"""The minor release that comes next."""
FRAGMENT = {"bugfixes": ["ipvs_info - a sentence of the test's own, because there may be no other since the last release."]}


@pytest.fixture(scope="session")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="session")
def released(home, tmp_path_factory):
    """The copy, under ansible_collections where the tools look for it, once antsibull-changelog has released it."""
    copy = tmp_path_factory.mktemp("release") / "ansible_collections/lvs/ipvs"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # or it has been deleted since
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, copy / name)
    galaxy = (copy / "galaxy.yml").read_text()
    (copy / "galaxy.yml").write_text(galaxy.replace(f"\nversion: {VERSION}\n", f"\nversion: {RELEASE}\n"))
    (copy / "changelogs/fragments/of_the_test.yml").write_text(yaml.safe_dump(FRAGMENT))
    command = [BIN / "antsibull-changelog", "release"]
    ansible(command[0], command[1], home=home, cwd=copy, command=command[:1], ANSIBLE_COLLECTIONS_PATH=str(copy.parents[2]))
    return copy
