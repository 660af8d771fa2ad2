# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_service on a real kernel."""

from __future__ import annotations

import pytest

from .conftest import ModuleFailed

WEB = {"address": "203.0.113.80", "port": 80}


def test_walk_through(ipvs):
    result = ipvs.twice(
        "ipvs_service",
        **WEB,
        scheduler="rr",
        servers=[
            {"address": "198.51.100.11", "forward_method": "nat"},
            {"address": "198.51.100.12", "port": 8080, "forward_method": "nat", "weight": 3},
        ],
    )
    assert result["changed"]
    assert ipvs.saved() == [
        "-A -t 203.0.113.80:80 -s rr",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:8080 -m -w 3",
    ]
    assert result["commands"] == [
        "ipvsadm -A -t 203.0.113.80:80 -s rr",
        "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.12:8080 -m -w 3",
    ]
    assert result["diff"]["before"] == ""
    assert sorted(result["diff"]["after"].splitlines()) == ipvs.saved()
    assert result["service"]["scheduler"] == "rr"
    assert [server["port"] for server in result["service"]["servers"]] == [80, 8080]
