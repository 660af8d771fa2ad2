# SPDX-License-Identifier: GPL-3.0-or-later
"""Each filter is found under the name of its file."""

from __future__ import annotations

import importlib

import pytest

from tests.support import ROOT

NAMES = sorted(path.stem for path in (ROOT / "plugins/filter").glob("*.py"))


@pytest.mark.parametrize("name", NAMES)
def test_its_name(name):
    module = importlib.import_module(f"ansible_collections.lvs.ipvs.plugins.filter.{name}")
    assert module.FilterModule().filters() == {name: getattr(module, name)}
