# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_info and ipvs_counters on a fake kernel."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _info_tasks, _literals, _model, _schema, _table_tasks, _tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .task_node import NAT, WEB, Node


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


def test_filters_of_info(node):
    node.run(_table_tasks.manage_table, services=[WEB, dict(WEB, protocol="udp"), {"fwmark": 7}, {"fwmark": 7, "family": "ipv6"}])
    for criteria, number in (({}, 4), ({"protocol": "tcp"}, 1), ({"family": "ipv4"}, 3), ({"fwmark": 7}, 2), ({"port": 81}, 0)):
        assert len(node.run(_info_tasks.read_info, **criteria).values["services"]) == number, criteria


@pytest.mark.parametrize(
    "written, zeroed",
    [
        ({"protocol": "tcp"}, ["tcp 203.0.113.80:80", "tcp [2001:db8::80]:80"]),
        ({"family": "ipv4"}, ["tcp 203.0.113.80:80", "udp 203.0.113.80:80", "fwmark 7"]),
        ({"family": "ipv6", "protocol": "tcp"}, ["tcp [2001:db8::80]:80"]),
        ({"family": "ipv6", "protocol": "udp"}, []),
        ({"fwmark": 7}, ["fwmark 7"]),
        (WEB, ["tcp 203.0.113.80:80"]),
    ],
    ids=str,
)
def test_no_more_counters_are_zeroed_than_is_written(node, written, zeroed):
    node.run(_table_tasks.manage_table, services=[WEB, dict(WEB, protocol="udp"), {"address": "2001:db8::80", "port": 80}, {"fwmark": 7}])
    counted = list(node.kernel.table)
    node.kernel.counters = {ident: _schema.Statistics(connections=1) for ident in counted}
    foretold = node.check(_info_tasks.zero_counters, **written)
    assert node.run(_info_tasks.zero_counters, **written) == foretold
    assert [str(ident) for ident in counted if ident not in node.kernel.counters] == zeroed
    assert len(foretold.values["commands"]) == len(zeroed) and "ipvsadm -Z" not in foretold.values["commands"]
    assert not node.run(_info_tasks.zero_counters, **written).changed


@pytest.mark.parametrize("missing", [{"fwmark": 9}, {"address": "203.0.113.99", "port": 80}], ids=str)
def test_counters_of_a_service_that_is_not_there(node, missing):
    with pytest.raises(IpvsError, match="there is no such virtual service"):
        node.run(_info_tasks.zero_counters, **missing)
    assert not node.check(_info_tasks.zero_counters, **missing).changed
    assert "does not exist yet; an earlier task may create it" in node.warnings[-1]


def test_statistics_of_info(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    ident = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)
    node.kernel.counters[ident] = _schema.Statistics(in_bytes=2**40)
    node.kernel.counters[ident, _model.ServerId("198.51.100.11", 80)] = (_schema.Connections(3, 2, 1), _schema.Statistics(connections=5))
    assert "statistics" not in node.run(_info_tasks.read_info).values["services"][0]
    service = node.run(_info_tasks.read_info, statistics=True).values["services"][0]
    assert service["statistics"]["in_bytes"] == 2**40
    server = service["servers"][0]["statistics"]
    assert (server["active_connections"], server["inactive_connections"], server["persistent_connections"], server["connections"]) == (3, 2, 1, 5)


def test_without_the_table_the_equipment_only(node, monkeypatch):
    monkeypatch.setattr(_info_tasks._equipment, "look", lambda interpreters, context: {"interpreters": interpreters})
    answer = node.run(_info_tasks.read_info, table=False, pyroute2_interpreters=["/usr/bin/python3"])
    assert answer == (False, {"interpreters": ["/usr/bin/python3"]}, None, None)
