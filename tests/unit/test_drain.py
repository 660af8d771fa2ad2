# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for connections, with a clock that doesn't wait."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _literals, _model, _schema
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

from .fake_kernel import FakeKernel

SERVICE = _model.overlay_service(_model.Service(_model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 80, 0)))
SERVER = _model.overlay_server(_model.Server(_model.ServerId("198.51.100.11", 80), weight=0))


class Clock:
    """Time that passes only in ``sleep``. ``events``: {second: function to call once it has come}."""

    def __init__(self, events):
        self.now = 1000.0
        self.events = {1000 + second: action for second, action in events.items()}
        self.naps = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds
        for second in [second for second in self.events if second <= self.now]:
            self.events.pop(second)()


@pytest.fixture
def kernel():
    kernel = FakeKernel({SERVICE.id: _model.Entry(SERVICE, {SERVER.id: SERVER})})
    connections(kernel, 5)
    return kernel


def connections(kernel, active):
    kernel.counters[SERVICE.id, SERVER.id] = (_schema.Connections(active, 7, 0), _schema.Statistics())


def wait(kernel, clock, limit=0, timeout=10, interval=1):
    def reset():
        weigh(kernel, 0)

    outcome, seen = _drain.wait_for_connections(
        lambda: kernel.connections(SERVICE.id, SERVER.id), reset, limit, timeout, interval, clock
    )
    return outcome, seen and (seen[0].weight, seen[1].active)


def weigh(kernel, weight):
    kernel.table[SERVICE.id].servers[SERVER.id] = SERVER._replace(weight=weight)


def test_until_the_last_one_ends(kernel):
    clock = Clock({3: lambda: connections(kernel, 1), 5: lambda: connections(kernel, 0)})
    assert wait(kernel, clock) == (_drain.DRAINED, (0, 0))
    assert clock.naps == [1] * 5


def test_until_as_many_are_left_as_are_allowed(kernel):
    clock = Clock({3: lambda: connections(kernel, 1)})
    assert wait(kernel, clock, limit=1) == (_drain.DRAINED, (0, 1))
    assert clock.now == 1003


def test_until_time_is_up(kernel):
    clock = Clock({})
    assert wait(kernel, clock, timeout=2.5) == (_drain.TIMED_OUT, (0, 5))
    assert clock.naps == [1, 1, 0.5]


def test_the_last_look_comes_at_the_end(kernel):
    clock = Clock({10: lambda: connections(kernel, 0)})
    assert wait(kernel, clock, interval=4) == (_drain.DRAINED, (0, 0))
    assert clock.naps == [4, 4, 2]


def test_no_time_at_all_is_one_look(kernel):
    clock = Clock({})
    assert wait(kernel, clock, timeout=0) == (_drain.TIMED_OUT, (0, 5))
    assert clock.naps == []


def test_it_is_removed_meanwhile(kernel):
    assert wait(kernel, Clock({2: kernel.table[SERVICE.id].servers.clear})) == (_drain.GONE, None)
    assert wait(kernel, Clock({})) == (_drain.GONE, None)


def test_its_weight_comes_back_once(kernel):
    clock = Clock({2: lambda: weigh(kernel, 5), 4: lambda: connections(kernel, 0)})
    assert wait(kernel, clock) == (_drain.DRAINED, (0, 0))
    assert clock.now == 1004


@pytest.mark.parametrize("active", [0, 5])
def test_its_weight_comes_back_twice(kernel, active):
    """Whether it still has connections or not: it is not drained while it gets new ones."""
    clock = Clock({2: lambda: weigh(kernel, 5), 4: lambda: (weigh(kernel, 6), connections(kernel, active))})
    assert wait(kernel, clock) == (_drain.RESTORED, (6, active))
    assert clock.now == 1004


OTHER = SERVER._replace(id=_model.ServerId("198.51.100.12", 80))


def two(active, weights=(0, 0)):
    """What a look at two servers shows: {name: (Server, Connections)}."""
    servers = (SERVER._replace(weight=weights[0]), OTHER._replace(weight=weights[1]))
    return {name: (server, _schema.Connections(number, 0, 0)) for name, server, number in zip("ab", servers, active, strict=True)}


def wait_for_two(looks, clock, limit=0, timeout=10):
    """Wait for what these looks show, one after the other, the last again and again. Returns (outcome, places, what was reset)."""
    resets = []
    outcome, seen, places = _drain.wait_for_all(lambda: looks.pop(0) if len(looks) > 1 else looks[0], resets.append, limit, timeout, 1, clock)
    assert seen is looks[-1]
    return outcome, places, resets


def test_several_until_all_have_none_at_the_same_look():
    clock = Clock({})
    assert wait_for_two([two((1, 0)), two((0, 2)), two((1, 1)), two((0, 0))], clock) == (_drain.DRAINED, [], [])
    assert clock.naps == [1] * 3


def test_several_of_which_one_goes_on():
    clock = Clock({})
    assert wait_for_two([two((3, 2))], clock, limit=2, timeout=2) == (_drain.TIMED_OUT, ["a"], [])
    assert clock.naps == [1, 1]


def test_several_that_have_gone():
    assert wait_for_two([{}], Clock({})) == (_drain.DRAINED, [], [])


def test_each_of_several_is_set_back_once():
    """A second weight is one that the same server gets again."""
    looks = [two((1, 1), (5, 0)), two((1, 1), (0, 6)), two((1, 1)), two((0, 0))]
    assert wait_for_two(looks, Clock({})) == (_drain.DRAINED, [], [["a"], ["b"]])
    looks = [two((1, 1), (5, 0)), two((1, 1), (0, 6)), two((1, 1), (0, 7))]
    assert wait_for_two(looks, Clock({})) == (_drain.RESTORED, ["b"], [["a"], ["b"]])


@pytest.mark.parametrize(("active", "warned"), [(0, 0), (1, 1)])
def test_not_even_one_connection_is_left_to_a_server_that_leaves_where_there_is_time(active, warned):
    ident, warnings = _model.service_id({"fwmark": 7}), []
    server = _model.overlay_server(_model.Server(_model.ServerId("198.51.100.11", 0)))
    kernel = SimpleNamespace(statistics=lambda idents: {ident: (None, {server.id: (_schema.Connections(active, 5, 5), None)})})
    _drain.wait_for_leaving(kernel, [(ident, server)], 0, Context(False, False, warnings.append))
    assert len(warnings) == warned
