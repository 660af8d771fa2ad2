# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide for Molecule, followed to the letter in an empty folder."""

from __future__ import annotations

import re

from tests.support import ROOT

FILES = dict(re.findall(r"^`molecule/default/(\S+)`:\n\n```yaml\n(.*?)```", (ROOT / "docs/molecule.md").read_text(), re.S | re.M))


def test_lab_init_writes_what_the_guide_shows(stranger):
    place = stranger.repository / "molecule/default"
    written = {str(path.relative_to(place)): path.read_text() for path in place.rglob("*.yml")}
    assert written == FILES


def test_a_director_and_two_real_servers(stranger):
    """The whole of molecule test: created, set up, nothing changed by a second run, traffic, reboot, traffic, destroyed."""
    before = set(stranger.repository.rglob("*"))
    output = stranger.run("molecule test")
    steps = re.findall(r"^INFO +\[?default \W+ ?(\w+)\W+ Executed: Successful", output, re.M)
    assert steps == ["destroy", "create", "prepare", "converge", "idempotence", "verify", "side_effect", "verify", "destroy"]
    assert {path for path in set(stranger.repository.rglob("*")) - before if "molecule" in str(path)} == set(), "what it leaves"
