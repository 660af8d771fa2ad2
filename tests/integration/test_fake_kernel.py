# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in that the unit tests plan and apply against, held against the kernel: the same answers, the same table after each step."""

from __future__ import annotations

import errno
import subprocess

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _netlink, _plan, _settings
from tests import rule_tables
from tests.unit import strategies
from tests.unit.fake_kernel import FakeKernel

pytestmark = pytest.mark.once

# One namespace does for all sequences: each begins by clearing the table. Not shrunk, which takes minutes: the last step drawn is the
# one that differs.
sequences = settings(
    max_examples=60,
    derandomize=True,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

DEFAULTS = _settings.Timeouts(900, 120, 300)
SERVER_KINDS = [_plan.ADD_SERVER, _plan.EDIT_SERVER, _plan.DELETE_SERVER]
KINDS = [*SERVER_KINDS * 3, _plan.ADD_SERVICE, _plan.EDIT_SERVICE, _plan.DELETE_SERVICE, _plan.SET_TIMEOUTS, _plan.ZERO, _plan.FLUSH]
# What no server can be: multicast, broadcast, unspecified.
NO_SERVER = {_literals.IPV4: ["224.0.0.1", "255.255.255.255", "0.0.0.0"], _literals.IPV6: ["ff02::1", "::"]}


def now_and_then(strategy):
    """None three times of four, so that most steps succeed."""
    return st.one_of(st.none(), st.none(), st.none(), strategy)


@st.composite
def services(draw, ident):
    """A service that the kernel takes, or one with a scheduler or an engine that it hasn't."""
    service = draw(rule_tables.services(ident))
    spoiled = draw(now_and_then(st.sampled_from([{"scheduler": "nosuch"}, {"persistence_engine": "nosuch"}])))
    return service._replace(**spoiled) if spoiled else service


@st.composite
def servers(draw, service, known):
    """A server that the kernel takes, or one that it refuses: by its address, its numbers, or the family of its service."""
    server = draw(rule_tables.servers(service))
    family = _literals.family_of(server.id.address)
    known = [ident for ident in known if _literals.family_of(ident.address) == family]
    server = server._replace(id=draw(st.sampled_from([*known * 2, server.id])))
    other = "2001:db8::1" if family == _literals.IPV4 else "198.51.100.1"
    spoiled = draw(
        now_and_then(
            st.sampled_from(NO_SERVER[family] + [other]).map(lambda address: {"id": server.id._replace(address=address)})
            | st.just({"upper_threshold": 1, "lower_threshold": 2})
            | st.just({"weight": _model.MAX_WEIGHT + 1})
            | st.just({"forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 0})
        )
    )
    return server._replace(**spoiled) if spoiled else server


@st.composite
def operations(draw, table):
    """An operation on a Table, more often on what is there than on anything else, so that many find what they are about."""
    kind = draw(st.sampled_from(KINDS))
    if kind == _plan.FLUSH:
        return _plan.Operation(kind, None, {}, None)
    if kind == _plan.SET_TIMEOUTS:
        return _plan.Operation(kind, None, DEFAULTS, draw(rule_tables.timeouts))
    ident = draw(st.sampled_from([*list(table) * 5, draw(strategies.service_ids)]))
    if kind == _plan.ZERO:
        return _plan.Operation(kind, draw(st.sampled_from([None, ident])), None, None)
    if kind in SERVER_KINDS:
        one = draw(servers(ident, list(table[ident].servers) if ident in table else []))
    else:
        one = draw(services(ident))
    if kind == _plan.DELETE_SERVICE:
        return _plan.Operation(kind, ident, _model.Entry(one, {}), None)
    if kind == _plan.DELETE_SERVER:
        return _plan.Operation(kind, ident, one, None)
    return _plan.Operation(kind, ident, None if kind in (_plan.ADD_SERVICE, _plan.ADD_SERVER) else one, one)


@pytest.fixture
def kernel(netns):
    with _netlink.Kernel() as opened:
        yield opened


def in_order(table):
    """The Table, with the order of each service's servers: the oldest first."""
    return table, {ident: list(entry.servers) for ident, entry in table.items()}


tables = st.lists(strategies.entries, min_size=2, max_size=4).map(lambda found: {entry.service.id: entry for entry in found})


@sequences
@given(data=st.data(), table=tables, number=st.integers(5, 20))
@pytest.mark.long
def test_after_each_step_both_answer_the_same(kernel, data, table, number):
    fake = FakeKernel()
    start = [_plan.Operation(_plan.FLUSH, None, {}, None), _plan.Operation(_plan.SET_TIMEOUTS, None, DEFAULTS, DEFAULTS)]
    start += _plan.plan_present({}, strategies.as_desired(table)).operations
    assert kernel.apply(start) == fake.apply(start) == [0] * len(start)
    for _number in range(number):
        step = data.draw(operations(fake.table))
        assert kernel.apply([step]) == fake.apply([step])
        assert in_order(kernel.read()) == in_order(fake.read())
        assert kernel.timeouts() == fake.timeouts()
    some = list(fake.table)[:1] + [_model.ServiceId(_literals.IPV4, 0, "", 0, 999)]
    assert kernel.read(some) == fake.read(some)
    assert kernel.statistics() == fake.statistics()
    everything = [*fake.table, *some]
    assert kernel.uses(everything) == fake.uses(everything)


def test_sync_daemons(kernel):
    """In one fixed order, since each of them costs the kernel a thread; a server of the other family and a daemon exclude each other."""
    subprocess.run(["ip", "-batch", "-"], input="link add eth7 type dummy\nlink set eth7 up\naddr add 198.51.100.2/24 dev eth7\n", text=True, check=True)
    fake = FakeKernel()
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    service = _model.overlay_service(_model.Service(ident))
    server = _model.overlay_server(_model.Server(_model.ServerId("2001:db8::11", 80), "tun"))
    master = _settings.overlay_daemon(_settings.Daemon("master", "eth7", 7))
    start = _plan.Operation(_plan.START_DAEMON, None, None, master)
    stop = _plan.Operation(_plan.STOP_DAEMON, None, master, None)
    outcomes = []
    for step in (
        stop,
        start,
        start,
        start._replace(after=master._replace(role="backup")),
        _plan.Operation(_plan.ADD_SERVICE, ident, None, service),
        _plan.Operation(_plan.ADD_SERVER, ident, None, server),
        stop,
        stop._replace(before=master._replace(role="backup")),
        stop,
        _plan.Operation(_plan.ADD_SERVER, ident, None, server),
        start,
        _plan.Operation(_plan.DELETE_SERVER, ident, server, None),
        start,
        stop,
    ):
        outcomes += kernel.apply([step])
        assert outcomes[-1:] == fake.apply([step]), f"{step} after {outcomes}"
        assert kernel.daemons() == fake.daemons(), f"{step} after {outcomes}"
        assert kernel.read() == fake.read()
    no, twice, gone = errno.EINVAL, errno.EEXIST, errno.ESRCH
    assert outcomes == [gone, 0, twice, 0, 0, no, 0, 0, gone, 0, no, 0, 0, 0]
