# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles on whole machines: each folder of extensions/molecule is a test, through pytest-ansible's fixture."""

from tests.support import ROOT


def test_scenario(molecule_scenario):
    molecule_scenario.parent_directory = ROOT  # from which the paths of config.yml lead
    assert molecule_scenario.test().returncode == 0
