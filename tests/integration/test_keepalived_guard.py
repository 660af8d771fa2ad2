# SPDX-License-Identifier: GPL-3.0-or-later
"""max_unhealthy beside the real keepalived: how much of a pool goes out, and what stays."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration, _pool_guard
from tests.support import eventually

from .keepalived import ADDRESSES, BACKLOG, DRAIN, Director
from .modules import run_module

pytestmark = pytest.mark.once

CHECK = {"interval": 0.5, "retries": 0, "timeout": 1}
ALL = (*ADDRESSES, "198.51.100.14")
FIRST, SECOND, THIRD, FOURTH = ALL


def pool(share=50, weight=5, addresses=ALL, **options):
    servers = [{"address": address, "forward_method": "nat", "weight": weight, **options} for address in addresses]
    return [{"address": "203.0.113.80", "port": 80, "scheduler": "wrr", "check": CHECK, "max_unhealthy": share, "servers": servers}]


class Farm:
    """The servers, which can fail and come back."""

    def __init__(self, sockets):
        self.sockets = sockets

    def fail(self, *addresses):
        for address in addresses:
            self.sockets.pop(address).close()

    def recover(self, *addresses):
        for address in addresses:
            self.sockets[address] = socket.create_server((address, 80), backlog=BACKLOG)


@pytest.fixture
def farm(servers):
    subprocess.run(["ip", "address", "add", f"{FOURTH}/32", "dev", "lo"], check=True)
    servers[FOURTH] = socket.create_server((FOURTH, 80), backlog=BACKLOG)
    yield Farm(servers)
    servers[FOURTH].close() if FOURTH in servers else None


@pytest.fixture
def director(ipvs, keepalived, farm, node):
    yield Director(ipvs, keepalived)
    for path in (_configuration.GUARD, _pool_guard.SETTINGS, _pool_guard.RECORD):
        Path(path).unlink(missing_ok=True)


def out(director):
    return {address for address, weight in director.weights().items() if not weight}


def health():
    servers = run_module("ipvs_keepalived_info")["services"][0]["servers"]
    return {each["address"] for each in servers if each["health"] == "down"}


def settled(director, down, gone):
    """Wait until keepalived takes these servers for down, and just those are out of service."""
    eventually(lambda: (health(), out(director)) == (set(down), set(gone)))


def drain(address, content):
    (DRAIN / "../new").write_text(content)
    (DRAIN / "../new").rename(DRAIN / address)


def test_no_more_goes_out_than_allowed(director, farm):
    director.start(pool())
    settled(director, (), ())
    farm.fail(FIRST)
    settled(director, {FIRST}, {FIRST})
    farm.fail(SECOND)
    settled(director, {FIRST, SECOND}, {FIRST, SECOND})
    farm.fail(THIRD)
    settled(director, {FIRST, SECOND, THIRD}, {FIRST, SECOND})  # those that failed first
    farm.fail(FOURTH)
    settled(director, ALL, {FIRST, SECOND})
    assert director.manage(pool())["differences"] == []  # nor is it one for the module
    farm.recover(FIRST)
    settled(director, {SECOND, THIRD, FOURTH}, {SECOND, THIRD})  # there is room for another
    farm.recover(SECOND, THIRD, FOURTH)
    settled(director, (), ())
    assert set(director.weights().values()) == {5}


def test_all_at_once_and_through_reloads_and_a_restart(director, farm):
    director.start(pool())
    settled(director, (), ())
    farm.fail(*ALL)
    eventually(lambda: len(health()) == 4 and len(out(director)) == 2)
    gone = out(director)
    director.manage(pool(weight=7))
    eventually(lambda: sorted(director.weights().values()) == [0, 0, 7, 7] and out(director) == gone)
    director.manage(pool(share=75, weight=7))
    eventually(lambda: len(out(director)) == 3 and out(director) > gone)
    farm.recover(min(gone))
    eventually(lambda: len(health()) == 3 and len(out(director)) == 3)
    director.manage(pool(share=100, weight=7))
    assert out(director) == health()
    farm.fail(min(gone))
    director.manage(pool(share=50, weight=7, upper_threshold=100))
    eventually(lambda: len(out(director)) == 2)
    assert {server["upper_threshold"] for server in run_module("ipvs_info")["services"][0]["servers"]} == {100}

    director.keepalived.stop()
    director.keepalived.run()  # to a table that is empty, with no server that answers
    eventually(lambda: len(director.weights()) == 4 and len(out(director)) == 2)
    farm.recover(*ALL)
    settled(director, (), ())


def test_a_drained_server_never_gets_weight(director, farm):
    director.start(pool())
    settled(director, (), ())
    drain(FIRST, "-100000\n")
    eventually(lambda: out(director) == {FIRST})
    farm.fail(FIRST, SECOND, THIRD)  # one of the three that are left may go
    eventually(lambda: len(health()) == 3 and len(out(director)) == 2)
    assert FIRST in out(director)
    (stays,) = {SECOND, THIRD} - out(director)
    drain(stays, "-100000\n")
    eventually(lambda: out(director) == {FIRST, SECOND, THIRD})
    drain(stays, "0\n")
    eventually(lambda: stays not in out(director))
    director.manage(pool(weight=6))
    eventually(lambda: director.weights()[stays] == 6)
    assert FIRST in out(director)
    farm.recover(FIRST, SECOND, THIRD)
    settled(director, (), {FIRST})
    drain(FIRST, "0\n")
    settled(director, (), ())


def test_a_checker_that_dies(director, farm):
    director.start(pool())
    settled(director, (), ())
    farm.fail(SECOND, THIRD, FOURTH)
    eventually(lambda: len(health()) == 3 and len(out(director)) == 2)
    os.kill(run_module("ipvs_keepalived_info")["processes"]["checker"], 9)
    eventually(lambda: director.keepalived.log.read_text().count("Gained quorum") == 2)  # by the next one, which can be asked from then on
    eventually(lambda: len(health()) == 3 and len(out(director)) == 2)
    farm.recover(SECOND, THIRD, FOURTH)
    settled(director, (), ())


def test_its_files(director, farm):
    director.start(pool())
    guard = Path(_configuration.GUARD)
    assert guard.stat().st_mode & 0o777 == 0o755 and Path(_pool_guard.SETTINGS).exists()
    director.manage(pool(share=100))
    assert not guard.exists() and not Path(_pool_guard.SETTINGS).exists()
    director.manage(pool(share=20))
    guard.write_text("#!/bin/sh\n")
    before = director.path.read_text()
    assert director.manage(pool(share=20))["changed"] and director.path.read_text() == before
    director.manage(state="absent")
    assert not guard.exists() and not Path(_pool_guard.SETTINGS).exists()
    guard.parent.chmod(0o775)
    os.chown(guard.parent, 0, 50)
    assert f"keepalived starts no program below {guard.parent}" in director.fails(pool())
    os.chown(guard.parent, 0, 0)
    guard.parent.chmod(0o755)
