# SPDX-License-Identifier: GPL-3.0-or-later
"""Real TCP through a table that the modules made: it is balanced, drained, and not disturbed by what is done to the table."""

from __future__ import annotations

import threading
import time

import pytest

from .conftest import eventually
from .site import SERVERS, SERVICE, Load, Site, nat

pytestmark = pytest.mark.once

SERVER = {"service_address": SERVICE["address"], "service_port": SERVICE["port"]}
RS1 = dict(SERVER, address=SERVERS["rs1"])
RS2 = dict(SERVER, address=SERVERS["rs2"])


@pytest.fixture
def site(ipvs):
    with Site() as site:
        ipvs.module("ipvs_service", **SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])
        yield site


def weights(ipvs):
    return {server["address"]: server["weight"] for server in ipvs.module("ipvs_info")["services"][0]["servers"]}


def test_balanced_drained_and_back(ipvs, site):
    assert sorted(site.ask() for _time in range(6)) == ["rs1"] * 3 + ["rs2"] * 3
    ipvs.module("ipvs_server", **RS1, state="drained", drain_timeout=20)
    assert [site.ask() for _time in range(4)] == ["rs2"] * 4
    ipvs.module("ipvs_server", **RS1, weight=1)
    assert sorted(site.ask() for _time in range(4)) == ["rs1"] * 2 + ["rs2"] * 2

    def counted():
        servers = ipvs.module("ipvs_info", statistics=True)["services"][0]["servers"]
        counts = [server["statistics"] for server in servers]
        return [each["connections"] for each in counts] == [5, 9] and all(each["out_bytes"] for each in counts)

    eventually(counted)  # the kernel sums its counters up every two seconds


def open_connections(site, wanted):
    """One connection to each of the named servers, in that order."""
    found = {}
    while set(wanted) - set(found):
        connection = site.connect()
        if connection.server in found:
            connection.close()
        found.setdefault(connection.server, connection)
    return [found[name] for name in wanted]


def test_a_drain_that_takes_too_long(ipvs, site):
    one, two = open_connections(site, ["rs1", "rs2"])
    with one, two:
        start = time.monotonic()
        with pytest.raises(Exception, match="drain_timeout: 1 seconds have passed") as failure:
            ipvs.module("ipvs_server", **RS1, state="drained", drain_timeout=1, drain_interval=0.2)
        assert time.monotonic() - start >= 1
        result = failure.value.result
        assert result["changed"] and result["server"]["weight"] == 0
        assert result["connections"]["active"] == 1
        assert "198.51.100.11:80 of tcp 203.0.113.80:80 still has 1 active connections" in result["msg"]
        assert result["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"]
        assert weights(ipvs) == {SERVERS["rs1"]: 0, SERVERS["rs2"]: 1}
        assert one.echo() and two.echo()

        # once more: nothing to change, and it fails as before; and nothing is removed either
        for state in ("drained", "absent"):
            with pytest.raises(Exception, match="still has 1 active connections") as failure:
                ipvs.module("ipvs_server", **RS1, state=state, drain_timeout=0)
            assert not failure.value.result["changed"]
        assert weights(ipvs) == {SERVERS["rs1"]: 0, SERVERS["rs2"]: 1}
        assert one.echo()

        # as many as are allowed are no reason to wait
        allowed = ipvs.twice("ipvs_server", **RS1, state="drained", drain_connections=1, drain_timeout=60)
        assert allowed["connections"]["active"] == 1 and not allowed["changed"]


@pytest.mark.parametrize("state", ["drained", "absent"])
def test_a_drain_ends_with_the_last_connection(ipvs, site, state):
    one, two = open_connections(site, ["rs1", "rs2"])
    closing = threading.Timer(1, one.close)
    options = dict(RS1, state=state, drain_timeout=60, drain_interval=0.1)
    foretold = ipvs.module("ipvs_server", check=True, diff=True, **options)
    assert weights(ipvs) == {SERVERS["rs1"]: 1, SERVERS["rs2"]: 1}
    with two:
        start = time.monotonic()
        closing.start()
        done = ipvs.module("ipvs_server", diff=True, **options)
        assert time.monotonic() - start >= 1
        for part in ("changed", "commands", "diff", "server"):
            assert foretold[part] == done[part]
        assert done["connections"]["active"] == 0 and done["connections"]["inactive"] >= 1
        assert weights(ipvs) == ({SERVERS["rs1"]: 0, SERVERS["rs2"]: 1} if state == "drained" else {SERVERS["rs2"]: 1})
        assert two.echo()
        assert not ipvs.module("ipvs_server", **options)["changed"]


def test_a_server_that_somebody_removes_while_it_is_drained(ipvs, site):
    (one,) = open_connections(site, ["rs1"])

    def remove():
        eventually(lambda: "-r 198.51.100.11:80 -m -w 0" in ipvs.ipvsadm("-S", "-n"))
        ipvs.ipvsadm("-d", "-t", "203.0.113.80:80", "-r", "198.51.100.11")

    removing = threading.Thread(target=remove)
    with one:
        removing.start()
        result = ipvs.module("ipvs_server", **RS1, state="drained", drain_timeout=60, drain_interval=0.1)
        removing.join()
        assert result["server"] is None and result["connections"] is None
        assert "removed by somebody else" in result["warnings"][0]
        assert weights(ipvs) == {SERVERS["rs2"]: 1}


def test_live_traffic_is_not_disturbed(ipvs, site, capsys):
    """A steady load, while the table is applied again, edited, drained, extended and pruned."""
    table = [dict(SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])]
    others = [{"address": "203.0.113.81", "port": port, "servers": [nat("rs1")]} for port in range(1000, 1020)]
    drain = {"state": "drained", "drain_timeout": 60, "drain_interval": 0.1}
    with Load(site) as load:
        for round_number in range(2):
            assert not ipvs.module("ipvs_table", services=table)["changed"]
            ipvs.module("ipvs_table", services=table + others)
            ipvs.module("ipvs_service", **SERVICE, scheduler=("wrr", "wlc")[round_number])
            ipvs.module("ipvs_service", **SERVICE, servers=[nat("rs1", weight=5), nat("rs2", weight=7)])
            ipvs.module("ipvs_table", services=table, prune=True)
            ipvs.module("ipvs_server", **RS1, **drain)
            ipvs.module("ipvs_server", **RS1, weight=1)
            ipvs.module("ipvs_server", **RS2, **dict(drain, state="absent"))
            ipvs.module("ipvs_server", **RS2, forward_method="nat")
            ipvs.module("ipvs_timeouts", tcp=800 + round_number)
            ipvs.module("ipvs_counters")
        # a slow machine gets as many
        eventually(lambda: load.requests > 20 and load.long_connections > 4)
    with capsys.disabled():
        print(
            f"\nlive traffic: {load.requests} requests ({load.answers}), {load.failed_requests} failed; "
            f"{load.long_connections} long connections, {load.broken_connections} broken"
        )
    assert (load.failed_requests, load.broken_connections) == (0, 0), load.errors
    assert set(load.answers) == set(SERVERS)
