# SPDX-License-Identifier: GPL-3.0-or-later
"""How the programs of a real Kubernetes are found and built; the build itself is shown by tests/kube/real."""

from __future__ import annotations

import dataclasses
import shutil

import pytest

from extensions.lab import builds, host
from tests.kube import parts


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_they_are_built_once_for_what_they_are_made_of(cache, tmp_path, monkeypatch):
    built = []

    def build(_part, path):
        path.mkdir(parents=True)
        built.append(path)

    monkeypatch.setattr(parts, "build", build)
    assert parts.programs() == parts.programs() == built[0]
    assert (built[0].parent, len(built)) == (cache, 1)
    making = tmp_path / "making"
    shutil.copytree(parts.MAKING, making)
    monkeypatch.setattr(parts, "MAKING", making)
    assert parts.programs() == built[0], "the same recipe elsewhere"
    with (making / "build.sh").open("a") as recipe:
        recipe.write("# another\n")
    assert parts.programs() == built[1] != built[0]
    assert parts.programs(parts.TYPES) == built[2] != built[1]


def test_a_build_that_fails_leaves_nothing_and_says_why(cache):
    with pytest.raises(host.LabError, match="building kubernetes failed:\n.*apt-get update"):
        parts.programs(dataclasses.replace(parts.KUBERNETES, suite="no-such-suite"))
    assert list(cache.iterdir()) == []


def test_what_is_missing_on_this_machine_is_named(cache, monkeypatch):
    monkeypatch.setattr(builds, "NEEDED", {"no-such-builder": "its-package"})
    with pytest.raises(host.LabError, match="the lab needs its-package; install with:"):
        parts.programs()
