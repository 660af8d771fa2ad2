# SPDX-License-Identifier: GPL-3.0-or-later
"""Real TCP through a table that the modules made: it is balanced, drained, and not disturbed by what is done to the table."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _netlink
from tests.support import eventually

from .modules import ModuleFailed
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
        with pytest.raises(ModuleFailed, match="drain_timeout: 1 seconds have passed") as failure:
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
            with pytest.raises(ModuleFailed, match="still has 1 active connections") as failure:
                ipvs.module("ipvs_server", **RS1, state=state, drain_timeout=0)
            assert not failure.value.result["changed"]
        assert weights(ipvs) == {SERVERS["rs1"]: 0, SERVERS["rs2"]: 1}
        assert one.echo()

        # as many as are allowed are no reason to wait
        allowed = ipvs.twice("ipvs_server", **RS1, state="drained", drain_connections=1, drain_timeout=60)
        assert allowed["connections"]["active"] == 1 and not allowed["changed"]


@pytest.mark.parametrize("state", ["drained", "absent"])
@pytest.mark.long
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
        assert "removed by another program" in result["warnings"][0]
        assert weights(ipvs) == {SERVERS["rs2"]: 1}


def test_a_weight_that_somebody_sets_back_while_it_is_drained(ipvs, site):
    (one,) = open_connections(site, ["rs1"])

    def set_back():
        for each in range(2):
            eventually(lambda: "-r 198.51.100.11:80 -m -w 0" in ipvs.ipvsadm("-S", "-n"))
            ipvs.ipvsadm("-e", "-t", "203.0.113.80:80", "-r", "198.51.100.11", "-m", "-w", str(5 + each))

    setting = threading.Thread(target=set_back)
    with one:
        setting.start()
        with pytest.raises(ModuleFailed, match="twice while it was drained. Its weight is 6, so it gets new connections") as failure:
            ipvs.module("ipvs_server", **RS1, state="drained", drain_timeout=60, drain_interval=0.1)
        setting.join()
        result = failure.value.result
        assert result["changed"] and result["server"]["weight"] == 6 and result["connections"]["active"] == 1
        assert result["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"] * 2
        assert weights(ipvs) == {SERVERS["rs1"]: 6, SERVERS["rs2"]: 1}


class Counters:
    """Samples of how many connections a service and its servers have had, taken all the time until the block ends.

    Those of a service begin at 0 when it is removed and made again. A server that still has connections gets its counters back with
    them, but stands behind the others from then on. So a removal shows however short it is.
    """

    def __init__(self, ipvs):
        self.ipvs = ipvs
        self.ending = threading.Event()
        self.samples = []

    def read(self):
        with _netlink.Kernel() as kernel:
            ((counters, servers),) = [found for ident, found in kernel.statistics().items() if ident.address == SERVICE["address"]] or [(None, {})]
        return {"service": counters.connections if counters else -1, **{each.address: use[1].connections for each, use in servers.items()}}

    def _run(self):
        while not self.ending.is_set():
            self.samples.append(self.read())

    def __enter__(self):
        eventually(lambda: self.read()["service"] > 0)  # the kernel sums its counters up every two seconds
        self.start = self.read()
        self.thread = threading.Thread(target=self._run)
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.ending.set()
        self.thread.join()

    def wait(self):
        """Until there is one more sample."""
        taken = len(self.samples)
        eventually(lambda: len(self.samples) > taken)

    def resets(self):
        """Those samples that have less than there was at the start, or another order."""
        return [each for each in self.samples if list(each) != list(self.start) or any(each[name] < self.start[name] for name in each)]


REFUSED = "127.255.255.255"  # the broadcast address of lo, which only the kernel knows to be one
REMOVALS = {
    # the service stays or goes, and the servers: tasks that would remove something were they not to fail
    "servers": ([dict(SERVICE, scheduler="rr", servers=[nat("rs2")])], {"purge_servers": True}),
    "services": ([{"fwmark": 9}], {"prune": True}),
    "both": ([dict(SERVICE, scheduler="rr", servers=[])], {"purge_servers": True, "prune": True}),
}
NEW = {"address": "203.0.113.90", "port": 80}


def failing(kind, services):
    """The list with one more thing to do, at which the kernel fails: an operation of this kind."""
    if kind == "add service":
        return [*services, dict(NEW, scheduler="nosuch")]
    if kind == "add server":
        return [*services, dict(NEW, servers=[{"address": REFUSED, "forward_method": "nat"}])]
    if kind == "add server to a service that is there":
        return [*services, {"fwmark": 7, "servers": [{"address": REFUSED, "forward_method": "nat"}]}]
    if kind == "edit service":
        return [*services, {"fwmark": 7, "scheduler": "nosuch"}]
    return [*services, {"fwmark": 7, "servers": [{"address": "198.51.100.11", "upper_threshold": 5, "lower_threshold": 6}]}]


@pytest.mark.parametrize("kind", ["add service", "add server", "add server to a service that is there", "edit service", "edit server"])
@pytest.mark.long
def test_a_task_that_fails_disturbs_nothing_meanwhile(ipvs, site, monkeypatch, kind):
    """Connections through servers and services that would be removed live on, where they'd end with the removal."""
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
    ipvs.module("ipvs_table", services=[{"fwmark": 7, "scheduler": "rr", "servers": [{"address": "198.51.100.11", "forward_method": "nat"}]}])
    # what is refused before anything is touched has tests of its own
    monkeypatch.setattr(_kmod, "state", lambda name: "unknown")
    monkeypatch.setattr(_model, "check_server", lambda *arguments: None)
    one, two = open_connections(site, ["rs1", "rs2"])
    with one, two, Counters(ipvs) as counters:
        for services, options in REMOVALS.values():
            for _time in range(2):
                with pytest.raises(ModuleFailed, match="the kernel answered") as failure:
                    ipvs.module("ipvs_table", services=failing(kind, services), **options)
                assert "not undone" not in failure.value.result["msg"]
                assert one.echo() and two.echo()
                counters.wait()
    assert not counters.resets(), (counters.start, counters.resets()[0])
    assert weights(ipvs) == {SERVERS["rs1"]: 1, SERVERS["rs2"]: 1}


@pytest.mark.parametrize("what", ["server", "service"])
@pytest.mark.long
def test_the_samples_would_show_a_removal(ipvs, site, what):
    """However short it is."""
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
    one, two = open_connections(site, ["rs1", "rs2"])
    with one, two, Counters(ipvs) as counters:
        before = ipvs.module("ipvs_info")["services"]
        if what == "server":
            ipvs.module("ipvs_server", **RS1, state="absent")
        else:
            ipvs.module("ipvs_service", **SERVICE, state="absent")
        ipvs.module("ipvs_table", services=before)
        eventually(counters.resets)
        counters.samples.clear()
        eventually(counters.resets)


def test_live_traffic_is_not_disturbed(ipvs, site, capsys):
    """A steady load, while the table is applied again, edited, drained, extended and pruned, and tasks fail."""
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")  # a connection ends with its server, not two minutes later
    table = [dict(SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])]
    others = [{"address": "203.0.113.81", "port": port, "servers": [nat("rs1")]} for port in range(1000, 1020)]
    drain = {"state": "drained", "drain_timeout": 60, "drain_interval": 0.1}
    with Load(site) as load:
        for round_number in range(2):
            assert not ipvs.module("ipvs_table", services=table)["changed"]
            ipvs.module("ipvs_table", services=table + others)
            ipvs.module("ipvs_service", **SERVICE, scheduler=("wrr", "wlc")[round_number])
            ipvs.module("ipvs_service", **SERVICE, servers=[nat("rs1", weight=5), nat("rs2", weight=7)])
            ipvs.module("ipvs_table", services=table, purge_servers=True, prune=True)
            for services, options in REMOVALS.values():
                with pytest.raises(ModuleFailed, match="the kernel answered EINVAL"):
                    ipvs.module("ipvs_table", services=failing("add server", services), **options)
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
