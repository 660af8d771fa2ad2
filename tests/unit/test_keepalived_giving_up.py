# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived with state=absent: what of keepalived goes, and what of the table and of drains stays."""

from __future__ import annotations

import fcntl
import json
import os
from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _election, _use, _use_task
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _drain_record, _model, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .keepalived_node import FAILOVER, FIRST, PROCESSES, SECOND, WEB, Node, services

STOPPED = "systemctl stop keepalived.service"
ENDED = ["systemctl stop --no-block keepalived.service", "end", STOPPED]  # its Restart= is an administrator's


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_giving_up(node):
    node.starts(services=services(FIRST, SECOND))
    (node.folder / FIRST).write_text("-100000\n")
    (node.folder / "198.51.100.77").write_text("-100000\n")  # not listed: it may be again, and it stays drained
    foretold = node.manage(check=True, state="absent")
    done = node.manage(state="absent")
    assert done == foretold and node.done == ["systemctl disable keepalived.service", "systemctl daemon-reload", *ENDED]
    assert {f"{node.folder}/{FIRST} drains a server of keepalived's", "keepalived.service is enabled", "keepalived runs"} <= {*done.values["differences"]}
    assert sorted(node.files()) == ["drain/198.51.100.77", "drained.json"] and not node.enabled
    recorded = {"service_address": WEB["address"], "service_port": 80, "service_protocol": "tcp", "address": FIRST, "port": 80, "weight": 1}
    assert json.loads(node.files()["drained.json"]) == [recorded]
    assert not node.manage(state="absent").changed


def weights(node):
    return {server.id.address: server.weight for entry in node.kernel.read().values() for server in entry.servers.values()}


def fail(node):
    """What its unit does after a failure for good."""
    node.processes = None
    node.kernel.table = _model.created_table(services(FIRST, SECOND))
    for entry in node.kernel.table.values():
        entry.servers.update({ident: server._replace(weight=0) for ident, server in entry.servers.items()})


@pytest.mark.parametrize(("drained", "after"), [("", {FIRST: 1, SECOND: 1}), (FIRST, {FIRST: 0, SECOND: 1})], ids=["none drained", "one drained"])
def test_giving_up_what_has_failed_for_good(node, drained, after):
    node.starts(services=services(FIRST, SECOND))
    if drained:
        (node.folder / drained).write_text("-100000\n")
    fail(node)
    foretold = node.manage(check=True, state="absent")
    assert set(weights(node).values()) == {0}
    assert node.manage(state="absent") == foretold and weights(node) == after
    assert f"ipvsadm -e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 1" in foretold.values["differences"]


@pytest.mark.parametrize("failed", [False, True], ids=["it runs", "it has failed for good"])
def test_a_service_that_leaves_the_list_with_the_health_checks(node, failed):
    listed = services(FIRST, SECOND)
    node.starts(services=[*listed, {**listed[0], "port": 81, "servers": listed[0]["servers"][:1]}])
    table = _model.created_table([*listed, {**listed[0], "port": 81}, {**listed[0], "port": 99}])
    if failed:
        fail(node)
    node.kernel.table = dict(table)
    (node.folder / FIRST).write_text("-100000\n")
    foretold = node.manage(check=True, services=listed, state="absent")
    assert {ident.port for ident in node.kernel.table} == {80, 81, 99}
    assert node.manage(services=listed, state="absent") == foretold and "ipvsadm -D -t 203.0.113.80:81" in foretold.values["differences"]
    assert {ident.port for ident in node.kernel.table} == {80, 99}, "that of others stays"
    assert {each["service_port"] for each in json.loads(node.files()["drained.json"])} == {80}
    assert not node.manage(services=listed, state="absent").changed


def test_a_weight_that_somebody_has_given_stays(node):
    node.starts(services=services(FIRST, SECOND))
    fail(node)
    (entry,) = node.kernel.table.values()
    ident = next(each for each in entry.servers if each.address == FIRST)
    entry.servers[ident] = entry.servers[ident]._replace(weight=7)
    node.manage(state="absent")
    assert weights(node) == {FIRST: 7, SECOND: 1}


def test_giving_up_vrrp(node):
    """Another director takes over first, unless addresses stay here."""
    node.vrrp, clock = "backup", [0.0]
    node.monkeypatch.setattr(_election, "time", SimpleNamespace(monotonic=lambda: clock[0], sleep=lambda seconds: clock.append(clock.pop() + seconds)))
    file = node.root / "new/handover"
    for kept, text in (([], "1\n"), (["203.0.113.80"], None)):
        node.manage(services=services(FIRST), failover={**FAILOVER, "handover_file": str(file)})
        seen = []
        node.monkeypatch.setattr(_daemon, "end", lambda *words, seen=seen: (seen.append(file.read_text() if file.exists() else None), node._end(*words)))
        node.manage(state="absent", keep_addresses=kept)
        assert seen == [text] and not file.exists() and not node.path.exists()


@pytest.mark.parametrize(("failover", "held"), [(FAILOVER, {"203.0.113.80"}), (None, set())])
def test_addresses_stay_only_where_vrrp_would_take_them_away(node, monkeypatch, failover, held):
    node.starts(services=services(FIRST), failover=failover)
    asked, genuine = [], _use._held.Held
    monkeypatch.setattr(_use._held, "Held", lambda addresses: asked.append(set(addresses)) or genuine(()))
    if not failover:
        node.processes = node.processes._replace(vrrp=None)
    node.manage(state="absent", keep_addresses=["203.0.113.80"])
    assert asked == [held]


def test_nobody_else_drains_while_a_drained_server_is_recorded(node, monkeypatch):
    node.starts(services=services(FIRST, SECOND))
    node.kernel.table = _model.created_table(services(FIRST, SECOND))
    (node.folder / FIRST).write_text("-100000\n")
    seen, write, give_up = [], _drain_record.Record.write, _use.give_up

    def is_locked():
        handle = os.open(_drain_files.record().folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(handle)
        return False

    monkeypatch.setattr(_drain_record.Record, "write", lambda self, weights: (seen.append(is_locked()), write(self, weights)))
    monkeypatch.setattr(_use, "give_up", lambda *words: (seen.append(is_locked()), give_up(*words)))
    node.manage(state="absent")
    assert seen == [True, True]


def test_who_failed_its_check_gets_no_weight_when_keepalived_ends(node):
    node.starts(services=services(FIRST, SECOND))
    node.kernel.table = _model.created_table(services(FIRST, SECOND))
    (entry,) = node.kernel.table.values()
    ident = next(each for each in entry.servers if each.address == FIRST)
    entry.servers[ident] = entry.servers[ident]._replace(weight=0)
    node.manage(state="absent")
    assert weights(node) == {FIRST: 0, SECOND: 1}


def test_where_nobody_is_drained_no_record_is_locked(node, monkeypatch):
    """Its folder may not be there, and would be made."""
    node.starts(services=services(FIRST, SECOND))
    monkeypatch.setattr(_drain_record.Record, "locked", None)
    assert node.manage(state="absent").changed


def test_a_unit_that_is_not_enabled_is_not_disabled(node):
    node.starts(services=services(FIRST))
    node.enabled = False
    assert "keepalived.service is enabled" not in node.manage(state="absent").values["differences"]
    assert "systemctl disable keepalived.service" not in node.done


def test_a_unit_of_others_stays_enabled(node):
    node.enabled = True
    assert not node.manage(state="absent").changed and node.enabled and node.done == []


def test_without_a_file_of_units_systemd_reads_nothing_again(node):
    node.starts(services=services(FIRST))
    node.addition.unlink()
    node.manage(state="absent")
    assert "systemctl daemon-reload" not in node.done and "end" in node.done


def test_where_ipvs_is_not_loaded_nothing_loads_it(node, monkeypatch):
    node.starts(services=services(FIRST, SECOND))
    fail(node)
    monkeypatch.setattr(_session._netlink, "loaded", lambda netns: False)
    monkeypatch.setattr(_session, "Kernel", None)
    assert node.manage(state="absent").changed


def hangs(_processes, _announce):
    raise IpvsError("keepalived (process 10) has not ended within 30 seconds")


def test_one_that_systemd_is_about_to_start_again_is_stopped(node):
    node.starts(services=services(FIRST))
    node.processes = None
    node.manage(state="absent")
    assert node.done[-1] == STOPPED


def test_one_without_a_unit(node, monkeypatch):
    node.starts(services=services(FIRST))
    monkeypatch.setattr(_use_task._units, "state", lambda name, context: _use._units.Unit(name, False, False, False))
    node.manage(state="absent")
    assert node.done == ["systemctl daemon-reload", "end"]


def test_a_keepalived_that_has_not_ended_is_ended_by_the_next_run(node, monkeypatch):
    file = node.root / "handover"
    node.vrrp = "backup"
    node.starts(services=services(FIRST, SECOND), failover={**FAILOVER, "handover_file": str(file)})
    (node.folder / FIRST).write_text("-100000\n")
    with monkeypatch.context() as patch:
        patch.setattr(_daemon, "end", hangs)
        with pytest.raises(IpvsError, match="has not ended"):
            node.manage(state="absent")
    assert not node.addition.exists() and not node.enabled, "nothing starts it again"
    foretold = node.manage(check=True, state="absent")
    assert foretold.values["differences"][0] == f"{node.path} is there and is no longer needed" and "keepalived runs" in foretold.values["differences"]
    assert node.manage(state="absent") == foretold and node.done == ENDED and sorted(node.files()) == ["drained.json"]
    assert not node.manage(state="absent").changed


def test_the_configuration_is_there_until_keepalived_has_ended(node, monkeypatch):
    node.starts(services=services(FIRST))
    seen = []
    monkeypatch.setattr(_daemon, "end", lambda *_words: seen.append((node.path.exists(), node.addition.exists())))
    node.manage(state="absent")
    assert seen == [(True, False)] and not node.path.exists()


def test_a_service_that_could_not_be_deleted_is_deleted_by_the_next_run(node, monkeypatch):
    """Nor does a server that failed its check get a weight from it: this keepalived has not failed."""
    listed = services(FIRST, SECOND)
    node.starts(services=[*listed, {**listed[0], "port": 81}])
    fail(node)
    node.processes = PROCESSES
    node.kernel.table.update(_model.created_table([{**listed[0], "port": 81}]))
    genuine = _use_task._delete

    def fails(services, context, check_mode):
        if not check_mode:
            raise IpvsError("the kernel does not answer")
        return genuine(services, context, check_mode)

    with monkeypatch.context() as patch:
        patch.setattr(_use_task, "_delete", fails)
        with pytest.raises(IpvsError, match="does not answer"):
            node.manage(services=listed, state="absent")
    node.manage(services=listed, state="absent")
    assert {ident.port for ident in node.kernel.table} == {80} and weights(node) == {FIRST: 0, SECOND: 0}
    assert node.done == [STOPPED] and not node.path.exists()


def test_without_a_configuration_the_kernel_is_not_asked(node, monkeypatch):
    """What that needs may not be installed where keepalived only moved addresses."""
    node.starts(services=services(FIRST))
    fail(node)
    node.path.unlink()
    monkeypatch.setattr(_session, "Kernel", None)
    assert node.manage(state="absent").changed and not node.addition.exists()
