# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules of the table beside the real keepalived, which reads what we write.

A drain holds through its reloads, its restarts and failures of servers. What it keeps is refused where it would undo a change.
"""

from __future__ import annotations

import os
import signal
import socket
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._configuration import configuration
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _drain_keepalived
from tests.support import eventually

from .conftest import glance
from .keepalived import ADDRESSES, BACKLOG
from .modules import ModuleFailed, run_module

pytestmark = pytest.mark.once

RS1, RS2, RS3 = ADDRESSES
CHECK = {"interval": 0.2, "retries": 0}
SERVERS = [{"address": address, "forward_method": "nat", "weight": weight} for address, weight in zip(ADDRESSES, (3, 2, 1), strict=True)]
WEB = {"address": "203.0.113.80", "port": 80, "scheduler": "wrr", "check": CHECK, "servers": SERVERS}
OTHER = {"address": "203.0.113.80", "port": 81, "scheduler": "wrr", "servers": [dict(SERVERS[0], weight=7), dict(SERVERS[1], weight=8)]}


def weights():
    """{address: weight} of the service WEB."""
    found, here = {}, False
    for line in glance().splitlines():
        words = line.split()
        if words[0] in ("TCP", "UDP"):
            here = words[1] == "CB007150:0050"
        elif here and words[0] == "->":
            address = socket.inet_ntoa(bytes.fromhex(words[1].partition(":")[0]))
            found[address] = int(words[3])
    return found


ALL = dict(zip(ADDRESSES, (3, 2, 1), strict=True))


@pytest.fixture
def director(ipvs, keepalived, servers, drains, tmp_path):
    """A director whose keepalived keeps WEB, beside a service that it knows nothing of; ``drain(*addresses, **options)``."""

    class Director:
        def __init__(self):
            self.keepalived, self.servers = keepalived, servers
            for address in ADDRESSES:
                _drain_files.write(address, False)
            ipvs.module("ipvs_table", services=[OTHER])
            keepalived.start(configuration([WEB]))
            eventually(lambda: weights() == ALL)

        def drain(self, *addresses, **options):
            options = {"drain_interval": 0.1, "drain_timeout": 60, "state_directory": str(tmp_path / "state"), **options}
            return ipvs.module("ipvs_drain", **options, **({"addresses": list(addresses)} if addresses else {}))

        def lose(self, address):
            self.servers.pop(address).close()

        def bring(self, address):
            self.servers[address] = socket.create_server((address, 80), backlog=BACKLOG)

        def stays(self, expected, seconds=2.0):
            """The weights are these, and stay so, by every look."""
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                assert weights() == expected
                time.sleep(0.01)

    made = Director()
    yield made
    for server in made.servers.values():
        server.close()


def test_out_and_back(ipvs, director):
    before = ipvs.saved()
    foretold = director.drain(RS1, check=True, diff=True)
    assert ipvs.saved() == before
    done = director.drain(RS1, diff=True)
    assert weights() == {**ALL, RS1: 0}
    for part in ("changed", "commands", "diff", "places", "drained"):
        assert foretold[part] == done[part], part
    assert [place["weight"] for place in done["places"]] == [3, 7] and [place["weight_now"] for place in done["places"]] == [0, 0]
    again = director.drain(RS1, diff=True)
    assert not again["changed"] and again["places"] == done["places"] and again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    foretold = director.drain(RS1, state="restored", check=True, diff=True)
    back = director.drain(RS1, state="restored", diff=True)
    assert ipvs.saved() == before and back["unhealthy"] == []
    for part in ("changed", "commands", "diff", "places"):
        assert foretold[part] == back[part], part
    assert not director.drain(RS1, state="restored")["changed"]


def test_it_outlives_all_that_happens(director):
    director.drain(RS1)
    out = {**ALL, RS1: 0}
    # the server fails and recovers
    director.lose(RS1)
    director.stays(out)
    director.bring(RS1)
    director.stays(out)
    # so does another one; and keepalived reads its configuration again, changed too
    director.lose(RS2)
    eventually(lambda: weights() == {**out, RS2: 0})
    director.keepalived.path.write_text(configuration([dict(WEB, servers=[dict(SERVERS[0], weight=9), *SERVERS[1:]])]))
    director.keepalived.process.send_signal(signal.SIGHUP)
    director.stays({**out, RS2: 0})
    director.bring(RS2)
    eventually(lambda: weights() == out)
    # its checker is killed and started anew; it is stopped and started
    [checker] = director.keepalived.children()
    signal.pidfd_send_signal(os.pidfd_open(checker), signal.SIGKILL)
    eventually(lambda: director.keepalived.children() not in ({checker}, set()))
    eventually(lambda: weights() == out)
    director.stays(out)
    director.keepalived.stop()
    director.keepalived.start(director.keepalived.path.read_text())
    eventually(lambda: weights() == out)
    director.stays(out)
    back = director.drain(RS1, state="restored")
    assert [place["weight_now"] for place in back["places"]] == [9, 7] and weights() == {**ALL, RS1: 9}


def test_one_that_its_check_keeps_out(director):
    director.drain(RS1)
    director.lose(RS1)
    # long enough for the check to see it
    eventually(lambda: not _is_up(RS1))
    back = director.drain(RS1, state="restored")
    assert back["unhealthy"] == [f"{RS1}:80 of tcp 203.0.113.80:80"] and weights() == {**ALL, RS1: 0}
    assert director.drain(RS1, state="restored")["unhealthy"] == back["unhealthy"]
    # no help to the others either
    with pytest.raises(ModuleFailed, match="No server would accept new connections of tcp 203.0.113.80:80"):
        director.drain(RS2, RS3)
    director.bring(RS1)
    eventually(lambda: weights() == ALL)


def _is_up(address):
    known = run_module("ipvs_keepalived_info")["services"][0]["servers"]
    return next(each["health"] for each in known if each["address"] == address) == "up"


def test_connections_are_waited_for(director):
    with socket.create_connection(("203.0.113.80", 80)):
        with pytest.raises(ModuleFailed, match="drain_timeout: 1 seconds have passed") as failure:
            director.drain(*ADDRESSES, allow_empty=True, drain_timeout=1)
        assert failure.value.result["changed"] and weights() == dict.fromkeys(ADDRESSES, 0)
    director.drain(state="restored")
    assert weights() == ALL


def test_while_it_hangs(director, monkeypatch):
    monkeypatch.setattr(_drain_keepalived, "PATIENCE", 0.5)
    [checker] = director.keepalived.children()
    handle = os.pidfd_open(checker)
    signal.pidfd_send_signal(handle, signal.SIGSTOP)
    with pytest.raises(ModuleFailed, match="has not set the weight of"):
        director.drain(RS1)
    assert weights() == ALL
    signal.pidfd_send_signal(handle, signal.SIGCONT)
    eventually(lambda: weights() == {**ALL, RS1: 0})
    assert not director.drain(RS1)["changed"]


def test_a_weight_that_somebody_sets_behind_its_back(ipvs, director):
    director.drain(RS1)
    ipvs.ipvsadm("-e", "-t", "203.0.113.80:80", "-r", f"{RS1}:80", "-m", "-w", "3")
    director.stays(ALL, 0.5)  # keepalived does not notice
    assert director.drain(RS1)["commands"] == [f"ipvsadm -e -t 203.0.113.80:80 -r {RS1}:80 -m -w 0"]
    director.stays({**ALL, RS1: 0})
    director.drain(RS1, state="restored")
    assert weights() == ALL


def test_started_while_a_server_is_drained(ipvs, director):
    """The table that a keepalived leaves behind, or is made equal before it starts, is drained by hand; then it is there again."""
    director.keepalived.stop()
    ipvs.module("ipvs_table", services=[WEB])
    director.drain(RS1)
    assert weights() == {**ALL, RS1: 0}
    director.keepalived.start(configuration([WEB]))
    eventually(lambda: weights() == {**ALL, RS1: 0})
    director.stays({**ALL, RS1: 0})
    director.drain(RS1, state="restored")
    assert weights() == ALL


def test_what_it_keeps_is_its_own(ipvs, director):
    director.lose(RS1)
    eventually(lambda: weights() == {**ALL, RS1: 0})
    before = ipvs.saved()
    # a server that is out is no difference, and its sorry server is none
    assert not ipvs.module("ipvs_table", services=[WEB, OTHER], purge_servers=True)["changed"]
    server = {"service_address": "203.0.113.80", "service_port": 80, "address": RS2}
    for check in (True, False):
        for name, options in (
            ("ipvs_server", dict(server, weight=9)),
            ("ipvs_server", dict(server, state="drained")),
            ("ipvs_service", {"address": "203.0.113.80", "port": 80, "state": "absent"}),
            ("ipvs_table", {"services": [dict(WEB, scheduler="rr"), OTHER]}),
        ):
            with pytest.raises(ModuleFailed, match="keepalived runs and maintains tcp 203.0.113.80:80") as failure:
                ipvs.module(name, check=check, **options)
            assert failure.value.result["owned"] == ["tcp 203.0.113.80:80"]
    assert ipvs.saved() == before
    # what is not its own is anybody's
    ipvs.twice("ipvs_server", **dict(server, service_port=81, port=81, weight=9))
    ipvs.twice("ipvs_table", services=[dict(OTHER, port=82, servers=[])])
    # thresholds, which it does not set on servers that are there
    ipvs.twice("ipvs_table", services=[dict(WEB, servers=[dict(each, upper_threshold=50) for each in SERVERS])])
    director.bring(RS1)
    eventually(lambda: weights() == ALL)
    # and everything is anybody's when it has gone
    director.keepalived.stop()
    ipvs.module("ipvs_table", services=[dict(WEB, scheduler="rr")])
    assert weights() == ALL


def test_the_sorry_server_is_no_difference(ipvs, director):
    services = [dict(WEB, sorry_server={"address": "198.51.100.99", "forward_method": "nat"})]
    director.keepalived.path.write_text(configuration(services))
    director.keepalived.process.send_signal(signal.SIGHUP)
    for address in ADDRESSES:
        director.lose(address)
    eventually(lambda: weights() == {**dict.fromkeys(ADDRESSES, 0), "198.51.100.99": 1})
    assert not ipvs.module("ipvs_table", services=services, purge_servers=True)["changed"]
