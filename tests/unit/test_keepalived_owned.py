# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules of entries do with services that a keepalived keeps: nothing that it would undo."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _drain_files,
    _keepalived_owned,
    _keepalived_text,
    _model,
    _owners,
    _plan,
    _rules_reader,
    _table_tasks,
    _tasks,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .task_node import Node

WEB = {"address": "203.0.113.80", "port": 80}
OTHER = dict(WEB, port=81)
RS1, RS2, SORRY = (_model.ServerId(f"198.51.100.{number}", 80) for number in (11, 12, 99))
TABLE = """
-A -t 203.0.113.80:80 -s wrr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0
-a -t 203.0.113.80:80 -r 198.51.100.99:80 -m -w 1
-A -t 203.0.113.80:81 -s wrr
-a -t 203.0.113.80:81 -r 198.51.100.11:81 -m -w 3
"""
SERVERS = [{"address": "198.51.100.11", "forward_method": "nat", "weight": 3}, {"address": "198.51.100.12", "forward_method": "nat", "weight": 2}]
LIST = [dict(WEB, scheduler="wrr", servers=SERVERS)]
SERVER = {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"}


@pytest.fixture
def node(monkeypatch):
    """keepalived keeps WEB, whose second server is out; its sorry server is in."""
    node = Node(monkeypatch)
    node.loaded = True
    node.kernel.table = _rules_reader.parse(TABLE).table
    node.owned[_model.service_id(WEB)] = _keepalived_text.Service({RS1: _keepalived_text.Server(3, True), RS2: _keepalived_text.Server(2, True)}, SORRY)
    monkeypatch.setattr(_owners, "find", lambda netns: [])
    return node


def test_what_comes_down_to_its_own_work_is_no_difference(node):
    for run in (node.check, node.run):
        done = run(_table_tasks.manage_table, services=LIST, purge_servers=True)
        assert not done.changed and done.values["commands"] == [] and done.before == done.after
        assert [(server["address"], server["weight"]) for server in done.values["services"][0]["servers"]] == [
            ("198.51.100.11", 3), ("198.51.100.12", 0), ("198.51.100.99", 1)
        ]  # fmt: skip
        assert not run(_tasks.manage_service, **LIST[0]).changed
        second = run(_tasks.manage_server, **dict(SERVER, address="198.51.100.12", weight=2))
        assert not second.changed and second.values["server"]["weight"] == 0
        assert not run(_tasks.manage_server, **dict(SERVER, address="198.51.100.12"), state="drained").changed


REFUSED = {
    "another weight": (_tasks.manage_server, dict(SERVER, weight=4)),
    "another weight of one that is out": (_tasks.manage_server, dict(SERVER, address="198.51.100.12", weight=4)),
    "a method": (_tasks.manage_server, dict(SERVER, address="198.51.100.12", weight=2, forward_method="tun")),
    "one more": (_tasks.manage_server, dict(SERVER, address="198.51.100.13")),
    "one less": (_tasks.manage_server, dict(SERVER, state="absent")),
    "a drain": (_tasks.manage_server, dict(SERVER, state="drained")),
    "a drain before": (_tasks.manage_server, dict(SERVER, state="absent", drain_timeout=5)),
    "a scheduler": (_tasks.manage_service, dict(WEB, scheduler="rr")),
    "no service": (_tasks.manage_service, dict(WEB, state="absent")),
    "a list": (_table_tasks.manage_table, dict(services=[dict(LIST[0], servers=SERVERS[:1])], purge_servers=True)),
    "a list that others make": (_table_tasks.manage_table, dict(services=[OTHER, dict(WEB, scheduler="rr")])),
    "no list": (_table_tasks.manage_table, dict(services=[WEB], state="absent")),
    "a list without it": (_table_tasks.manage_table, dict(services=[OTHER], prune=True, prune_scope={"addresses": ["203.0.113.80"]})),
    "what is drained first": (_table_tasks.manage_table, dict(services=[dict(LIST[0], servers=SERVERS[:1])], purge_servers=True, drain_timeout=1)),
    "in two tasks": (_table_tasks.manage_table, dict(services=[dict(LIST[0], servers=SERVERS[:1])], purge_servers=True, postpone_removals=True)),
}  # fmt: skip


@pytest.mark.parametrize(("task", "options"), REFUSED.values(), ids=REFUSED)
def test_what_it_would_undo_is_refused(node, task, options):
    before = node.kernel.read()
    for run in (node.check, node.run):
        with pytest.raises(IpvsError, match="keepalived runs and maintains tcp 203.0.113.80:80: .*ipvs_drain.*ipvs_keepalived") as failure:
            run(task, **options)
        assert failure.value.details == {"owned": ["tcp 203.0.113.80:80"]}
    assert node.kernel.read() == before


def test_other_services_are_anybodys(node):
    assert node.run(_tasks.manage_server, **dict(SERVER, service_port=81, address="198.51.100.11", weight=4)).changed
    assert node.run(_table_tasks.manage_table, services=[*LIST, dict(OTHER, scheduler="rr")], purge_servers=True).values["commands"] == [
        "ipvsadm -E -t 203.0.113.80:81 -s rr"
    ]
    assert node.run(_tasks.manage_service, **OTHER, state="absent").changed


def test_thresholds_are_not_its_business(node):
    done = node.run(_table_tasks.manage_table, services=[dict(LIST[0], servers=[dict(each, upper_threshold=9) for each in SERVERS])])
    assert done.values["commands"] == [
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3 -x 9",
        "ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0 -x 9",
    ]
    assert "-r 198.51.100.12:80 -m -w 0 -x 9" in done.after


def test_who_insists_removes_it(node):
    done = node.run(_table_tasks.manage_table, services=[OTHER], prune=True, prune_force=True)
    assert done.values["commands"] == ["ipvsadm -D -t 203.0.113.80:80"]


def test_nobody_is_asked_where_nothing_changes(node, monkeypatch):
    asked = []
    monkeypatch.setattr(_owners, "keepalived_services", lambda netns: asked.append(netns) or ({}, ["/srv/k.conf: gone"]))
    node.run(_tasks.manage_service, **OTHER)
    assert asked == []
    node.run(_tasks.manage_service, **OTHER, scheduler="rr")
    assert asked == [None]
    assert node.warnings == ["keepalived runs, and its configuration can't be read, so it is unknown which services are its own: /srv/k.conf: gone"]


def test_many_services_are_named_in_part(node):
    owned = {_model.service_id(dict(WEB, port=port)): _keepalived_text.Service({}, None) for port in range(1, 9)}
    plan = _table_tasks._plan.plan_absent({ident: _model.Entry(_model.overlay_service(_model.Service(ident)), {}) for ident in owned}, list(owned))
    node.owned.update(owned)
    with pytest.raises(IpvsError, match=r"maintains tcp 203.0.113.80:1, .* tcp 203.0.113.80:5 and 3 more: "):
        _keepalived_owned.Owned(None, Context(False, False, None)).settled(plan)


def test_what_the_boot_restores_is_the_table_of_healthy_servers(node, monkeypatch, tmp_path):
    """And drained ones: so a failing check is no difference."""
    monkeypatch.setattr(_drain_files, "FOLDER", str(tmp_path))
    owned = _keepalived_owned.Owned(None, Context(False, False, None))
    before = node.kernel.read()
    assert owned.steady(before) == before
    for address, drained in (("198.51.100.11", True), ("198.51.100.12", False)):
        _drain_files.write(address, drained)
    steady = owned.steady(before)
    assert {each: server.weight for each, server in steady[_model.service_id(WEB)].servers.items()} == {RS1: 0, RS2: 2}
    assert steady[_model.service_id(OTHER)] == before[_model.service_id(OTHER)] and before == node.kernel.read()
    assert owned.steady({}) == {}


def test_a_weight_of_0_of_a_server_that_is_not_its_own_is_given_as_asked():
    server = _model.Server(_model.ServerId("198.51.100.99", 80), weight=0)
    operation = _plan.Operation(_plan.EDIT_SERVER, None, server, server._replace(weight=5))
    assert _keepalived_owned._left(operation, _keepalived_text.Service({}, None)) == operation


def test_a_task_asks_once_what_keepalived_keeps(node, monkeypatch):
    asked, genuine = [], _owners.keepalived_services
    monkeypatch.setattr(_owners, "keepalived_services", lambda netns: asked.append(netns) or genuine(netns))
    node.run(_table_tasks.manage_table, services=LIST, purge_servers=True, drain_timeout=5)
    node.run(_table_tasks.manage_table, services=[dict(OTHER, scheduler="rr")])
    assert len(asked) == 2
