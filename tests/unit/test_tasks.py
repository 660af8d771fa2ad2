# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the table does: check mode, a kernel without IPVS, schedulers that it lacks."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _info_tasks, _literals, _model, _owners, _schema, _settings_tasks, _table_tasks, _tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, NoIpvs, OptionError

from .task_node import IDENT, NAT, SERVER, SERVER_ID, WEB, Node


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


CHANGES = [
    (_tasks.manage_service, dict(WEB, servers=[NAT])),
    (_tasks.manage_service, dict(WEB, port=81, servers=[], purge_servers=True)),
    (_tasks.manage_service, dict(WEB, port=81, state="absent")),
    (_tasks.manage_server, dict(SERVER, service_port=81, weight=9)),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="absent")),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="drained")),
    (_tasks.manage_server, dict(SERVER, service_port=81, state="absent", drain_timeout=5)),
    (_table_tasks.manage_table, dict(services=[WEB, {"fwmark": 7}])),
    (_table_tasks.manage_table, dict(services=[], prune=True, prune_force=True)),
    (_table_tasks.manage_table, dict(services=[dict(WEB, port=81, servers=[])], purge_servers=True)),
    (_table_tasks.manage_table, dict(services=[dict(WEB, port=81)], state="absent")),
    (_table_tasks.manage_table, dict(rules="-A -f 7\n-a -f 7 -r 198.51.100.11 -m\n")),
    (_settings_tasks.manage_timeouts, dict(tcp=60)),
    (_settings_tasks.manage_sync_daemon, dict(role="master", interface="eth0", max_length=1400)),
    (_info_tasks.zero_counters, {}),
]


@pytest.mark.parametrize("task, options", CHANGES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_check_writes_nothing_and_foretells_the_answer(node, monkeypatch, task, options):
    monkeypatch.setattr(_owners, "find", lambda netns: [])
    node.run(_tasks.manage_service, **dict(WEB, port=81), servers=[NAT])
    ident = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 81, 0)
    node.kernel.counters[ident] = _schema.Statistics(connections=1)
    before = node.kernel.read()

    foretold = node.check(task, **options)
    assert node.kernel.read() == before
    done = node.run(task, **options)
    assert foretold == done
    assert done.changed and done.values["commands"] and done.before != done.after
    again = node.run(task, **options)
    assert not again.changed and again.values["commands"] == []
    assert again.before == again.after
    without = node.run(task, diff=False, **options)
    assert (without.before, without.after) == (None, None)


def test_the_check_of_check_mode_would_notice(node):
    node.kernel.read_only = True
    with pytest.raises(AssertionError, match="a write in check mode"):
        node.run(_tasks.manage_service, **WEB)


def test_a_kernel_that_has_not_loaded_ipvs(node):
    node.loaded = False
    answer = node.check(_tasks.manage_service, **WEB)
    assert answer.changed and not node.loaded
    assert "the table is taken as empty" in node.warnings[0] and len(node.warnings) == 1
    for task, options in [
        (_tasks.manage_service, dict(WEB, state="absent")),
        (_table_tasks.manage_table, dict(services=[], prune=True)),
        (_settings_tasks.manage_timeouts, dict(tcp=0)),
        (_settings_tasks.manage_sync_daemon, dict(role="backup", state="absent")),
        (_info_tasks.zero_counters, {}),
        (_info_tasks.read_info, {}),
    ]:
        assert not node.run(task, **options).changed
        assert not node.loaded and not node.warnings, task
    node.run(_tasks.manage_service, **WEB)
    assert node.loaded and not node.warnings


def test_a_kernel_without_ipvs(node, monkeypatch):
    monkeypatch.setattr(_kmod, "missing_hint", lambda name: "it has no module " + name)
    node.loaded = False
    node.modules = {name: "missing" for name in ("ip_vs", "ip_vs_wlc", "ip_vs_rr")}
    with pytest.raises(NoIpvs):
        node.run(_tasks.manage_service, **WEB, scheduler="rr")
    # the scheduler is no error of its own where everything is missing
    assert node.check(_tasks.manage_service, **WEB, scheduler="rr").changed
    assert "this kernel has no IPVS: it has no module ip_vs" in node.warnings[1]
    known = node.run(_info_tasks.read_info).values
    assert (known["loaded"], known["timeouts"]) == (False, None)


@pytest.mark.parametrize("check", [True, False])
def test_schedulers_and_engines_are_looked_up_before_anything_is_touched(node, monkeypatch, check):
    monkeypatch.setattr(_kmod, "missing_hint", lambda name: "it has no module " + name)
    node.modules = {"ip_vs_nosuch": "missing", "ip_vs_pe_nosuch": "missing"}
    node.kernel.read_only = True
    for options in (dict(scheduler="nosuch"), dict(persistence_engine="nosuch", persistence_timeout=60)):
        with pytest.raises(OptionError, match=r"'nosuch': there is no such .* \(service tcp 203.0.113.80:80\)"):
            node.run(_tasks.manage_service, check=check, **WEB, **options)
    node.modules = {"ip_vs_mh": "missing"}
    with pytest.raises(OptionError, match="'mh': this kernel does not have this scheduler .*: it has no module ip_vs_mh"):
        node.run(_tasks.manage_service, check=check, **WEB, scheduler="mh")


@pytest.mark.parametrize("state", ["loaded", "builtin", "loadable", "unknown"])
def test_a_scheduler_from_elsewhere_is_the_kernels_to_judge(node, state):
    node.modules = {"ip_vs_ours": state, "ip_vs_pe_ours": state}
    node.kernel.schedulers.add("ours")
    node.kernel.engines.add("ours")
    options = dict(WEB, scheduler="ours", persistence_engine="ours", persistence_timeout=60)
    assert node.check(_tasks.manage_service, **options).changed
    assert node.run(_tasks.manage_service, **options).values["service"]["scheduler"] == "ours"


def test_each_module_is_looked_up_once(node, monkeypatch):
    asked = []
    monkeypatch.setattr(_kmod, "state", lambda name: asked.append(name) or "loaded")
    services = [dict(WEB, port=port, scheduler=("rr", "wrr", "none")[port % 3], servers=[]) for port in range(1, 100)]
    node.run(_table_tasks.manage_table, services=services)
    assert sorted(asked) == ["ip_vs_rr", "ip_vs_wrr"]
    asked.clear()
    node.run(_table_tasks.manage_table, services=services)
    assert asked == []


def test_a_table_is_read_in_one_go_where_it_is_large(node):
    idents = []
    genuine = node.kernel.read
    node.kernel.read = lambda wanted=None: idents.append(wanted) or genuine(wanted)
    node.run(_table_tasks.manage_table, services=[dict(WEB, port=port) for port in range(1, 101)])
    node.run(_table_tasks.manage_table, services=[dict(WEB, port=port) for port in range(1, 102)])
    node.run(_table_tasks.manage_table, services=[WEB], prune=True, prune_force=True)
    assert [None if wanted is None else len(wanted) for wanted in idents] == [100, None, None]


@pytest.mark.parametrize("weight", [1, 0])
def test_a_drain_that_takes_too_long_tells_what_it_has_changed(node, weight):
    node.run(_tasks.manage_service, **WEB, servers=[dict(NAT, weight=weight)])
    node.kernel.counters[IDENT, SERVER_ID] = (_schema.Connections(3, 0, 0), _schema.Statistics())
    with pytest.raises(IpvsError, match=r"drain_timeout: 0 seconds have passed and .* still has 3 active connections") as failure:
        node.run(_tasks.manage_server, **SERVER, state="drained", drain_timeout=0)
    assert failure.value.details["changed"] is bool(weight) and len(failure.value.details["commands"]) == weight
    assert failure.value.details["server"]["weight"] == 0
