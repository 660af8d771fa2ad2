# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived with drain_timeout on a made-up node: what servers that are no longer listed go through before they are removed."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _leaving, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _model, _schema
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .keepalived_node import FAILOVER, FIRST, SECOND, WEB, Node, services

SERVICE = _model.service_id(WEB)
PAIR = services(FIRST, SECOND)


@pytest.fixture
def node(tmp_path, monkeypatch):
    """A node where keepalived works by PAIR. ``texts``: of the configurations that it has read since."""
    node = Node(tmp_path, monkeypatch)
    node.starts(services=PAIR)
    node.kernel.table = _model.created_table(PAIR)
    node.states = [_state.Service(SERVICE, "web", True, tuple(_state.Server(ident, True, 1, 1, ()) for ident in node.kernel.table[SERVICE].servers))]
    node.texts, reload = [], node._reload

    def recorded(*words):
        node.texts.append(node.path.read_text())
        return reload(*words)

    monkeypatch.setattr(_daemon, "reload", recorded)
    monkeypatch.setattr(_drain, "_INTERVAL", 0.01)
    return node


def weights(text):
    """{address: weight} of the real servers in a configuration."""
    parts = text.split("real_server ")[1:]
    return {part.split()[0]: int(part.split("weight ")[1].split()[0]) for part in parts}


def test_it_gets_weight_0_before_it_goes(node):
    before = node.files()
    foretold = node.manage(services=services(FIRST), drain_timeout=5, check=True)
    assert node.texts == [] and node.files() == before
    done = node.manage(services=services(FIRST), drain_timeout=5)
    assert [weights(text) for text in node.texts] == [{FIRST: 1, SECOND: 0}, {FIRST: 1}]
    assert done == foretold and done.changed and not node.warnings
    assert weights(node.path.read_text()) == {FIRST: 1} and not (node.folder / SECOND).exists()


def test_nobody_leaves_where_keepalived_does_not_run(tmp_path, monkeypatch):
    node = Node(tmp_path, monkeypatch)
    node.enabled = True
    assert node.manage(services=services(FIRST), drain_timeout=5, check=True).changed
    node.starts(services=services(FIRST), drain_timeout=5)
    assert weights(node.path.read_text()) == {FIRST: 1}


def test_nobody_leaves_where_keepalived_has_checked_nobody(tmp_path, monkeypatch):
    """VRRP alone, to which health checks come."""
    node = Node(tmp_path, monkeypatch)
    node.starts(services=services(FIRST), checks=False, failover=FAILOVER)
    node.processes = node.processes._replace(checker=None)
    done = node.manage(services=services(FIRST), failover=FAILOVER, drain_timeout=5)
    assert done.changed and weights(node.path.read_text()) == {FIRST: 1}


def test_without_a_time_it_goes_at_once(node):
    node.manage(services=services(FIRST))
    assert [weights(text) for text in node.texts] == [{FIRST: 1}]


def test_where_nobody_leaves_nothing_is_read_twice(node):
    node.manage(services=services(FIRST, SECOND, "198.51.100.13"), drain_timeout=5)
    assert len(node.texts) == 1


def test_new_ones_come_first(node):
    node.manage(services=services("198.51.100.13"), drain_timeout=5)
    assert [weights(text) for text in node.texts] == [{FIRST: 0, SECOND: 0, "198.51.100.13": 1}, {"198.51.100.13": 1}]


def test_a_sorry_server_that_nobody_was_before(node):
    """It is there from the start, and not only once the others have gone."""
    node.manage(services=services(FIRST, sorry_server={"address": "198.51.100.19", "forward_method": "nat"}), drain_timeout=5)
    assert [weights(text) for text in node.texts] == [{FIRST: 1, SECOND: 0}, {FIRST: 1}]
    assert all("sorry_server 198.51.100.19 80" in text for text in node.texts)


def test_one_that_becomes_the_sorry_server(node):
    """It cannot be both at the same time."""
    node.manage(services=services(FIRST, sorry_server={"address": SECOND, "forward_method": "nat"}), drain_timeout=5)
    assert [weights(text) for text in node.texts] == [{FIRST: 1, SECOND: 0}, {FIRST: 1}]
    assert ["sorry_server" in text for text in node.texts] == [False, True]


def test_time_is_over(node):
    ident = next(each for each in node.kernel.table[SERVICE].servers if each.address == SECOND)
    node.kernel.counters[SERVICE, ident] = (_schema.Connections(3, 0, 0), _schema.Statistics())
    node.manage(services=services(FIRST), drain_timeout=0.05)
    assert len(node.warnings) == 1 and "still had 3 active connections" in node.warnings[0]
    assert weights(node.path.read_text()) == {FIRST: 1}


@pytest.mark.parametrize("failing", [1, 2])
def test_a_failure_brings_the_first_configuration_back(node, monkeypatch, failing):
    reload = _daemon.reload

    def fails_once(*words):
        processes = reload(*words)
        if len(node.texts) == failing:
            raise IpvsError("nobody took it")
        return processes

    monkeypatch.setattr(_daemon, "reload", fails_once)
    before = node.files()
    with pytest.raises(IpvsError, match="nobody took it. The former configuration is restored"):
        node.manage(services=services(FIRST), drain_timeout=5)
    assert node.files() == before and node.loaded == node.former


def test_a_time_that_is_none(node):
    with pytest.raises(OptionError, match="drain_timeout: -1"):
        node.manage(services=services(FIRST), drain_timeout=-1)


def test_nobody_leaves_a_service_that_goes_or_has_gone(node):
    table = node.kernel.table
    assert _leaving.leaving(table, {}, node.states) == {} == _leaving.leaving({}, table, node.states)
