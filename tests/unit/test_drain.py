# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for connections, with a clock that doesn't wait."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils import _drain, _model, _schema

from .fake_kernel import FakeKernel

SERVICE = _model.overlay_service(_model.Service(_model.ServiceId(_model.IPV4, 6, "203.0.113.80", 80, 0)))
SERVER = _model.overlay_server(_model.Server(_model.ServerId("198.51.100.11", 80)))


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
    return _drain.wait_for_connections(kernel, SERVICE.id, SERVER.id, limit, timeout, interval, clock)


def test_until_the_last_one_ends(kernel):
    clock = Clock({3: lambda: connections(kernel, 1), 5: lambda: connections(kernel, 0)})
    assert wait(kernel, clock) == ((0, 7, 0), True)
    assert clock.naps == [1] * 5


def test_until_as_many_are_left_as_are_allowed(kernel):
    clock = Clock({3: lambda: connections(kernel, 1)})
    assert wait(kernel, clock, limit=1) == ((1, 7, 0), True)
    assert clock.now == 1003


def test_until_time_is_up(kernel):
    clock = Clock({})
    assert wait(kernel, clock, timeout=2.5) == ((5, 7, 0), False)
    assert clock.naps == [1, 1, 0.5]


def test_the_last_look_comes_at_the_end(kernel):
    clock = Clock({10: lambda: connections(kernel, 0)})
    assert wait(kernel, clock, interval=4) == ((0, 7, 0), True)
    assert clock.naps == [4, 4, 2]


def test_no_time_at_all_is_one_look(kernel):
    clock = Clock({})
    assert wait(kernel, clock, timeout=0) == ((5, 7, 0), False)
    assert clock.naps == []


def test_it_is_removed_meanwhile(kernel):
    assert wait(kernel, Clock({2: kernel.table[SERVICE.id].servers.clear})) == (None, True)
    assert wait(kernel, Clock({})) == (None, True)
