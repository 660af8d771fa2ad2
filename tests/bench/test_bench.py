# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark runs and writes its results. On a real IPVS kernel; no time is judged."""

from __future__ import annotations

import json
from xml.etree import ElementTree

from tests.bench import inside
from tests.bench.tables import Size


def test_results(tmp_path):
    extent = inside.QUICK._replace(table=Size(4, 2), stock=Size(2, 2), growth=(Size(2, 2), Size(4, 2)))
    inside.measure_all(extent, ("library", "growth"), tmp_path)

    data = json.loads((tmp_path / "results.json").read_text())
    names = {(line["name"], line["against"]) for line in data["comparisons"]}
    assert {("apply", "ipvsadm -R"), ("read", "ipvsadm -S -n"), ("nothing to do", "ipvsadm -S -n"), ("one weight", "nothing to do")} <= names
    assert all(line["ours"] and min(line["ours"] + line["theirs"]) > 0 for line in data["comparisons"])
    assert [sorted(each["costs"]) for each in data["cost_of_an_entry"]] == [["12", "6"]] * 3
    assert set(data["peak_mib"]) == {"the library, 6 entries", "the library, 12 entries", "ipvs_table, 12 entries"}

    table = (tmp_path / "results.md").read_text()
    assert "## Library and kernel, 4 × 2 servers" in table
    assert all(f"| {name} |" in table for name, _against in names)
    assert ElementTree.parse(tmp_path / "results.svg").getroot().tag.endswith("svg")
