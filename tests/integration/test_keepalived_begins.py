# SPDX-License-Identifier: GPL-3.0-or-later
"""VRRP begins, and ends, beside addresses that the node has: they are never gone, though keepalived takes them away."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _held
from tests.support import eventually

from .keepalived import run_command, web
from .modules import ModuleFailed, run_module

pytestmark = pytest.mark.once

VIPS = ["203.0.113.90", "2001:db8::90"]
FAILOVER = {"source_address": "198.51.100.201", "peers": ["198.51.100.202"], "priority": 100, "advert_interval": 0.5, "addresses": VIPS}


BACK = {"back_interface": "back0", "back_peers": ["198.51.100.204"], "gateways": ["203.0.113.99"]}


@pytest.fixture
def front(ipvs):
    """up0, which has the addresses."""
    for words in (
        "link add up0 type dummy", "link set up0 up", "address add 198.51.100.201/24 dev up0", "address add 203.0.113.90/32 dev up0",
        "address add 2001:db8::90/128 dev up0 nodad",
    ):  # fmt: skip
        assert run_command(["ip", *words.split()])[0] == 0, words


@contextlib.contextmanager
def watched():
    """Yields a list, which gets each address that was not this node's at some time until the block ends."""
    over, gone = threading.Event(), []

    def watch():
        while not over.wait(0.002):
            for vip in VIPS:
                with socket.socket(socket.AF_INET6 if ":" in vip else socket.AF_INET, socket.SOCK_DGRAM) as probe:
                    try:
                        probe.bind((vip, 0))
                    except OSError:
                        gone.append(vip)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield gone
    finally:
        over.set()
        watcher.join()


def holders():
    words = [line.split() for line in run_command(["ip", "-o", "address", "show"])[1].splitlines()]
    return sorted((each[3].split("/")[0], each[1]) for each in words if each[3].split("/")[0] in VIPS)


def routes():
    return sorted(run_command(["ip", "-6", "route", "show", "table", "all"])[1].splitlines())


ON_THE_FRONT = sorted((vip, "up0") for vip in VIPS)


def test_they_are_never_gone(director, front):
    director.start(web())
    with watched() as gone:
        director.manage(web(), failover=FAILOVER)
    assert gone == [] and holders() == ON_THE_FRONT
    assert run_module("ipvs_keepalived_info")["master"] is True
    with watched() as gone:
        director.manage(web(), keep_addresses=VIPS)
    assert gone == [] and holders() == ON_THE_FRONT and run_module("ipvs_keepalived_info")["instances"] == []
    director.manage(web(), failover=FAILOVER)
    with watched() as gone:
        director.manage(state="absent", keep_addresses=VIPS)
    assert gone == [] and holders() == ON_THE_FRONT


@pytest.mark.parametrize("change", [{"router_id": 52}, BACK, {"priority": 99}])
def test_an_instance_that_begins_anew(director, front, change):
    """keepalived takes up a configuration without a pause only for the instances that it had."""
    for words in ("link add back0 type dummy", "link set back0 up", "address add 198.51.100.203/32 dev back0"):
        run_command(["ip", *words.split()])
    director.start(web(), failover=FAILOVER)
    eventually(lambda: holders() == ON_THE_FRONT)
    with watched() as gone:
        director.manage(web(), failover={**FAILOVER, **change})
    assert gone == [] and holders() == ON_THE_FRONT
    assert run_module("ipvs_keepalived_info")["master"] is True


def test_the_way_back_of_a_failure(director, front):
    director.start(web())
    run_command(["ip", "link", "add", "down0", "type", "dummy"])
    run_command(["ip", "address", "add", "198.51.100.203/32", "dev", "down0"])
    with watched() as gone:
        with pytest.raises(ModuleFailed, match="VRRP does not work: front on down0 is in state fault.*The former configuration is restored"):
            director.manage(web(), failover={**FAILOVER, "source_address": "198.51.100.203"})
    assert gone == [] and holders() == ON_THE_FRONT


def test_of_a_task_that_is_killed_nothing_stays_on_lo(front, monkeypatch):
    monkeypatch.setattr(_held, "_LOAN", 2)
    monkeypatch.setattr(_held, "_RENEWAL", 0.5)
    task = os.fork()
    if not task:
        with _held.Held(set(VIPS)) as held:
            held._over.wait(60)
        os._exit(0)
    try:
        both = sorted((vip, interface) for vip in VIPS for interface in ("lo", "up0"))
        eventually(lambda: holders() == both)
        time.sleep(4)
        assert holders() == both, "longer than one loan"
    finally:
        os.kill(task, signal.SIGKILL)
        os.waitpid(task, 0)
    eventually(lambda: holders() == ON_THE_FRONT)


def test_no_route_stays_either(front):
    """A route on lo in the main table would tell the next task that no interface leads to the address."""
    before = routes()
    with _held.Held(set(VIPS)):
        eventually(lambda: len(holders()) == 4)
    assert (holders(), routes()) == (ON_THE_FRONT, before)


def test_nobody_else_would_hold_them(director, front, monkeypatch):
    """What keepalived does without it."""
    director.start(web())
    monkeypatch.setattr(_held.Held, "__enter__", lambda self: self)
    monkeypatch.setattr(_held.Held, "__exit__", lambda self, *exc_info: None)
    with watched() as gone:
        director.manage(web(), failover=FAILOVER)
    assert set(gone) == set(VIPS)
    director.manage(web())
    assert holders() == []
