# SPDX-License-Identifier: GPL-3.0-or-later
"""All or nothing: the n-th operation fails, for every n, by different causes; afterwards the table is what it was."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _netlink, _plan

from .modules import ModuleFailed

BEFORE = """\
-A -t 203.0.113.80:80 -s rr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 2
-A -t 203.0.113.81:80 -s wrr -p 60
-a -t 203.0.113.81:80 -r 198.51.100.11:8080 -m -w 3 -x 100 -y 50
-a -t 203.0.113.81:80 -r 198.51.100.12:80 -i -w 4 --tun-type gue --tun-port 6080 --tun-csum
-A -f 7 -s rr
"""
REFUSED = "127.255.255.255"  # the broadcast address of lo, which only the kernel knows to be one
WEB = {"address": "203.0.113.80", "port": 80}


def nat(address, **options):
    return {"address": address, "forward_method": "nat", **options}


def desired():
    """Options whose plan holds every kind of operation on services and servers, ten in all."""
    return dict(
        services=[
            dict(WEB, scheduler="wrr", servers=[nat("198.51.100.11", weight=10), nat("198.51.100.13")]),
            dict(address="203.0.113.82", port=80, servers=[nat("198.51.100.11"), nat("198.51.100.12")]),
            {"fwmark": 7, "scheduler": "lc", "servers": []},
            {"fwmark": 8},
        ],
        purge_servers=True,
        prune=True,
    )


KINDS = ["-A", "-a", "-a", "-A", "-E", "-e", "-a", "-E", "-d", "-D"]


def full(ipvs):
    """The table with thresholds, which ``ipvsadm -S`` leaves out; ``ipvs.fails`` compares what that tells."""
    return ipvs.module("ipvs_info")["services"]


def test_the_plan_itself(ipvs):
    ipvs.restore(BEFORE)
    commands = ipvs.twice("ipvs_table", **desired())["commands"]
    assert [command.split()[1] for command in commands] == KINDS


@pytest.mark.parametrize("batch", [16384, 1], ids=["in one send", "each in a send of its own"])
@pytest.mark.long
def test_the_nth_operation_fails_for_every_n(ipvs, monkeypatch, batch):
    """The request that goes to the kernel is one that it must refuse, whatever the operation was."""
    genuine = _netlink._request

    def spoil(number):
        count = iter(range(1000))

        def request(operation):
            command, attributes = genuine(operation)
            if next(count) != number:
                return command, attributes
            return command, attributes[:4] + b"\xff\xff" + attributes[6:]  # the first attribute within, AF, becomes another

        return request

    ipvs.restore(BEFORE)
    before, told = full(ipvs), ipvs.saved()
    monkeypatch.setattr(_netlink, "_BATCH", batch)
    for number in range(len(KINDS)):
        with monkeypatch.context() as patched:
            patched.setattr(_netlink, "_request", spoil(number))
            with pytest.raises(ModuleFailed) as failure:
                ipvs.module("ipvs_table", **desired())
        message = failure.value.result["msg"]
        assert ipvs.saved() == told, (number, message)
        assert full(ipvs) == before, (number, message)
        assert "EINVAL" in message or "EAFNOSUPPORT" in message
        undone = 0 if number == 0 and batch == 1 else 1
        assert ("Nothing was changed." in message, "The rest was undone (" in message) == (not undone, bool(undone))


def at(services, number, changed):
    """A copy of the list with the n-th service changed."""
    return [dict(service, **changed) if index == number else service for index, service in enumerate(services)]


@pytest.mark.parametrize("number", range(4))
def test_a_scheduler_that_only_the_kernel_knows_to_be_missing(ipvs, monkeypatch, number):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    monkeypatch.setattr(_kmod, "state", lambda name: "unknown")  # as in a container, where the modules can't be seen
    options = desired()
    result = ipvs.fails("ipvs_table", **dict(options, services=at(options["services"], number, {"scheduler": "nosuch"})))
    assert "scheduler: 'nosuch': there is no such scheduler" in result["msg"]
    assert "was undone" in result["msg"]
    assert full(ipvs) == before


def test_an_engine_that_only_the_kernel_knows_to_be_missing(ipvs, monkeypatch):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    genuine = _kmod.state
    monkeypatch.setattr(_kmod, "state", lambda name: "unknown" if "_pe_" in name else genuine(name))
    options = desired()
    engine = {"persistence_engine": "http", "persistence_timeout": 60}
    result = ipvs.fails("ipvs_table", **dict(options, services=at(options["services"], 3, engine)))
    assert "persistence_engine: 'http': there is no such persistence engine. Linux has sip" in result["msg"]
    assert full(ipvs) == before


@pytest.mark.parametrize("position", range(3))
def test_a_server_that_the_kernel_refuses(ipvs, position):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    options = desired()
    servers = [nat("198.51.100.11", weight=10), nat("198.51.100.13")]
    servers.insert(position, nat(REFUSED))
    result = ipvs.fails("ipvs_table", **dict(options, services=at(options["services"], 0, {"servers": servers})))
    assert "add server 127.255.255.255:80 of service tcp 203.0.113.80:80: the kernel answered EINVAL" in result["msg"]
    assert "unicast" in result["msg"]
    assert full(ipvs) == before


def test_mixed_families_while_a_sync_daemon_runs(ipvs):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    ipvs.module("ipvs_sync_daemon", role="master", interface="lo")
    try:
        options = desired()
        servers = [nat("198.51.100.11", weight=10), {"address": "2001:db8::11", "forward_method": "tun"}]
        result = ipvs.fails("ipvs_table", **dict(options, services=at(options["services"], 0, {"servers": servers})))
        assert "add server [2001:db8::11]:80" in result["msg"] and "sync daemon" in result["msg"]
        assert full(ipvs) == before
    finally:
        ipvs.module("ipvs_sync_daemon", role="master", state="absent")


def test_a_threshold_below_the_model(ipvs, monkeypatch):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    monkeypatch.setattr(_model, "check_server", lambda *arguments: None)
    options = desired()
    servers = [nat("198.51.100.11", weight=10), nat("198.51.100.13", upper_threshold=5, lower_threshold=10)]
    result = ipvs.fails("ipvs_table", **dict(options, services=at(options["services"], 0, {"servers": servers})))
    assert "ERANGE" in result["msg"]
    assert full(ipvs) == before


def test_ipvs_service_is_all_or_nothing_too(ipvs):
    ipvs.fill(BEFORE)
    before = full(ipvs)
    result = ipvs.fails("ipvs_service", address="203.0.113.90", port=80, servers=[nat("198.51.100.11"), nat(REFUSED)])
    assert "The rest was undone (2 operations)." in result["msg"]
    assert full(ipvs) == before


def test_without_rollback_what_was_done_stays_and_is_listed(ipvs):
    ipvs.restore("-A -f 7 -s rr\n")
    with pytest.raises(ModuleFailed) as failure:
        ipvs.module("ipvs_table", services=[dict(WEB, servers=[nat("198.51.100.11"), nat(REFUSED)])], rollback=False)
    result = failure.value.result
    assert "Rollback is off" in result["msg"] and result["changed"]
    assert result["commands"] == [
        "ipvsadm -A -t 203.0.113.80:80 -s wlc",
        "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
    ]
    assert ipvs.saved() == ["-A -f 7 -s rr", "-A -t 203.0.113.80:80 -s wlc", "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1"]


def test_what_cannot_be_undone_is_told(ipvs, monkeypatch):
    """Somebody else removes what is to be set back, between the failure and the undoing."""
    ipvs.restore(BEFORE)
    genuine = _plan.inverse

    def disturbed(operation):
        if operation.kind == _plan.EDIT_SERVER:
            ipvs.ipvsadm("-d", "-t", "203.0.113.80:80", "-r", "198.51.100.11:80")
        return genuine(operation)

    monkeypatch.setattr(_plan, "inverse", disturbed)
    with pytest.raises(ModuleFailed) as failure:
        ipvs.module("ipvs_table", services=[dict(WEB, servers=[nat("198.51.100.11", weight=10), nat(REFUSED)])])
    result = failure.value.result
    assert "not undone" in result["msg"] and result["changed"]
    assert len(result["not_undone"]) == 1
    assert result["not_undone"][0].startswith("ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1: ")


@pytest.mark.parametrize("number", [1, 4, 9])
@pytest.mark.long
def test_killed_in_the_middle_and_run_again(ipvs, monkeypatch, number):
    ipvs.fill(BEFORE)
    told, tell = os.pipe()
    genuine = _netlink.Kernel._send_batch

    def slow(kernel, batch):
        outcome = genuine(kernel, batch)
        os.write(tell, b".")
        if next(count) == number:
            time.sleep(600)
        return outcome

    count = iter(range(1, 1000))
    with monkeypatch.context() as patched:
        patched.setattr(_netlink, "_BATCH", 1)
        patched.setattr(_netlink.Kernel, "_send_batch", slow)
        process = multiprocessing.get_context("fork").Process(target=ipvs.module, args=("ipvs_table",), kwargs=desired())
        process.start()
    for _done in range(number):
        assert os.read(told, 1) == b"."
    process.kill()
    process.join()
    half = full(ipvs)

    result = ipvs.twice("ipvs_table", **desired())
    assert len(result["commands"]) == len(KINDS) - number
    converged = full(ipvs)
    assert converged != half
    ipvs.fill(BEFORE)
    ipvs.module("ipvs_table", **desired())
    assert full(ipvs) == converged
