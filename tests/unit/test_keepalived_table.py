# SPDX-License-Identifier: GPL-3.0-or-later
"""The table beside what keepalived says of its servers: weights that ipvs_keepalived puts right, and first results that it waits for."""

from __future__ import annotations

import itertools
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _state
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .fake_kernel import copy
from .keepalived_node import FAILOVER, FIRST, PROCESSES, SECOND, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def believed(*weights, quorum_up=True, ran=True):
    """What keepalived says of FIRST and SECOND: the weight of each, 0 where its check fails."""
    (ident,) = _model.created_table(services(FIRST))
    servers = [
        _state.Server(_model.ServerId(address, 80), bool(weight), 1, weight, (_state.Check("tcp", bool(weight), ran, 0),))
        for address, weight in zip((FIRST, SECOND), weights, strict=False)
    ]
    return [_state.Service(ident, "", quorum_up, tuple(servers))]


OUT = f"ipvsadm -e -t 203.0.113.80:80 -r {FIRST}:80 -m -w 0"


@pytest.fixture
def balancing(node):
    """Both servers are in the table, and pass."""
    node.starts(services=services(FIRST, SECOND))
    node.kernel.table = copy(_model.created_table(services(FIRST, SECOND)))
    node.states = believed(1, 1)
    return node


def test_a_weight_that_is_not_what_keepalived_takes_it_for_is_put_right(balancing):
    options = {"services": services(FIRST, SECOND)}
    assert not balancing.manage(**options).changed
    balancing.states = believed(0, 1)
    balancing.kernel.read_only = True
    foretold = balancing.manage(check=True, **options)
    assert foretold.values["differences"] == [OUT]
    balancing.kernel.read_only = False
    assert balancing.manage(**options) == foretold and balancing.done == []
    assert not balancing.manage(**options).changed
    assert [server.weight for entry in balancing.kernel.table.values() for server in entry.servers.values()] == [0, 1]


@pytest.mark.parametrize("services_too", [True, False])
def test_the_table_is_left_alone_where_no_checker_is_at_work(balancing, services_too):
    balancing.processes = PROCESSES._replace(checker=None)
    balancing.kernel.read_only = True
    balancing.states = believed(0, 1)
    options = {"services": services(FIRST, SECOND), "failover": FAILOVER, "checks": services_too}
    balancing.manage(check=True, **options)
    balancing.manage(**options)


def test_a_check_says_nothing_of_the_table_before_the_configuration_is_taken_up(balancing):
    balancing.states = believed(0, 1)
    assert OUT not in balancing.manage(check=True, services=services(FIRST)).values["differences"]
    assert OUT in balancing.manage(services=services(FIRST)).values["differences"]


def test_too_few_servers_and_those_that_get_connections_all_the_same(balancing):
    balancing.states = believed(0, 0, quorum_up=False)
    assert not balancing.manage(services=services(FIRST, SECOND)).changed
    text = "service tcp 203.0.113.80:80: too few servers pass their check; those that got connections before keepalived started still do"
    assert balancing.warnings == [text]


def test_health_that_changes_while_the_table_is_read(balancing):
    answers = [believed(1, 1), believed(0, 1), believed(0, 1)]
    balancing.services = lambda: answers.pop(0)
    assert balancing.manage(services=services(FIRST, SECOND)).values["differences"] == [OUT] and answers == []
    weights = itertools.cycle((0, 1))
    balancing.services = lambda: believed(next(weights), 1)
    with pytest.raises(IpvsError, match="^the health of the servers changes all the time, so that the table cannot be compared with it: try again"):
        balancing.manage(services=services(FIRST, SECOND))


def test_a_start_waits_for_the_first_result_of_every_check(node):
    answers = [believed(0, ran=False), believed(1), believed(1)]
    node.services = lambda: answers.pop(0) if len(answers) > 1 else answers[0]
    node.manage(services=services(FIRST))
    assert node.warnings == [] and len(answers) == 1


def test_checks_without_a_result_are_told(node):
    node.states = believed(0, ran=False)
    node.manage(services=services(FIRST))
    assert node.warnings == ["servers whose check has had no result yet: 1, and none came within 0 seconds; they get no connections until one passes"]


def test_a_start_waits_as_long_as_the_number_of_unchecked_servers_falls(node):
    """Each result alone comes within PATIENCE, which is 0.1, all of them do not."""
    begin, number = time.monotonic(), 8

    def states():
        checked = int((time.monotonic() - begin) / 0.06)
        return [_state.Service(None, "", True, tuple(believed(0, ran=each < checked)[0].servers[0] for each in range(number)))]

    node.services = states
    node.manage(services=services(FIRST))
    assert node.warnings == [] and time.monotonic() - begin > 0.06 * number
