# SPDX-License-Identifier: GPL-3.0-or-later
"""What ipvs_table removes, on a real kernel: later, drained first, and by the saved table."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _saved

from .site import SERVERS, SERVICE, Load, Site, nat

RULES = """\
-A -t 203.0.113.80:80 -s rr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 1
-A -f 7 -6 -s rr
-a -f 7 -6 -r [2001:db8::11]:0 -i -w 1 --tun-type ipip
-A -t [2001:db8::80]:80 -s rr
-a -t [2001:db8::80]:80 -r [2001:db8::11]:80 -m -w 2
-A -f 9 -s rr
"""
DESIRED = {"services": [dict(SERVICE, servers=[nat("rs2"), {"address": "198.51.100.13", "forward_method": "nat"}])], "purge_servers": True}


@pytest.fixture
def file():
    """The saved table of the lab's kernel, of which nothing gets out."""
    file = Path(_saved.place().path)
    before = file.read_text() if file.exists() else None
    yield file
    file.unlink(missing_ok=True)
    if before is not None:
        file.write_text(before)


def test_only_what_was_saved_goes(ipvs, file):
    ipvs.fill(RULES)
    file.write_text(RULES)  # not ours
    assert not ipvs.module("ipvs_table", services=[{"fwmark": 9}], prune_saved=True)["changed"]
    file.write_text(_saved.HEADER + RULES.replace("-A -f 9 -s rr\n", ""))
    done = ipvs.twice("ipvs_table", **DESIRED, prune_saved=True)
    assert [command.split(" ", 1)[1] for command in done["commands"]][-3:] == [
        "-d -t 203.0.113.80:80 -r 198.51.100.11:80", "-D -t [2001:db8::80]:80", "-D -f 7 -6",
    ]  # fmt: skip
    assert [line for line in ipvs.saved() if line.startswith("-A")] == ["-A -f 9 -s rr", "-A -t 203.0.113.80:80 -s rr"]


def test_removals_in_a_second_task(ipvs):
    ipvs.fill(RULES)
    everything = dict(DESIRED, prune=True, prune_force=True)
    first = ipvs.module("ipvs_table", **everything, postpone_removals=True)
    assert len(ipvs.saved()) == 9 and len(first["commands"]) == 1 and len(first["postponed"]) == 4
    assert ipvs.module("ipvs_table", **everything)["commands"] == first["postponed"]
    assert len(ipvs.saved()) == 3


@pytest.mark.once
def test_connections_end_before_their_server_goes(ipvs):
    """A server is replaced, and the service of another goes, under load: no connection breaks, and the new server is there at once."""
    with Site() as site:
        Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
        ipvs.module("ipvs_service", **SERVICE, scheduler="rr", servers=[nat("rs1")])
        one = site.connect()
        assert one.server == "rs1"
        closing = threading.Timer(2, one.close)
        with Load(site) as load:
            start = time.monotonic()
            closing.start()
            desired = {"services": [dict(SERVICE, servers=[nat("rs2")])], "purge_servers": True, "drain_timeout": 60}
            foretold = ipvs.module("ipvs_table", check=True, diff=True, **desired)
            done = ipvs.module("ipvs_table", diff=True, **desired)
            assert time.monotonic() - start >= 2 and done.get("warnings") is None
        closing.join()
        for part in ("changed", "commands", "diff", "services", "leaving", "postponed"):
            assert foretold[part] == done[part], part
        assert [command.split()[1] for command in done["commands"]] == ["-a", "-e", "-d"]
        assert (load.failed_requests, load.broken_connections) == (0, 0), load.errors
        assert [site.ask() for _time in range(3)] == ["rs2"] * 3


@pytest.mark.once
def test_a_connection_that_stays_keeps_nobody(ipvs):
    with Site() as site:
        ipvs.module("ipvs_service", **SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])
        with site.connect(), site.connect():
            desired = {"services": [dict(SERVICE, servers=[])], "purge_servers": True, "drain_timeout": 1}
            done = ipvs.module("ipvs_table", **desired)
        assert len(done["leaving"]["servers"]) == len(SERVERS)
        assert "drain_timeout: 1 seconds have passed and the servers that are no longer listed still had 2 active connections" in done["warnings"][0]
        assert ipvs.saved() == ["-A -t 203.0.113.80:80 -s rr"]
