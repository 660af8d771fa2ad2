# SPDX-License-Identifier: GPL-3.0-or-later
"""Planning: what is there becomes what is wanted, in an order without a gap, and every operation can be taken back."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _plan, _schema, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

from . import strategies
from .fake_kernel import FakeKernel
from .strategies import as_desired, few


def everything(_ident):
    return True


@few
@given(strategies.tables, strategies.tables)
def test_a_whole_table_becomes_another(current, wanted):
    kernel = FakeKernel(current)
    plan = _plan.plan_present(current, as_desired(wanted), everything, everything)
    assert not any(kernel.apply(plan.operations))
    assert kernel.table == wanted == plan.after
    assert not _plan.plan_present(kernel.table, as_desired(wanted), everything, everything).operations


@few
@given(strategies.tables)
def test_everything_goes_in_one_operation_and_comes_back(current):
    kernel = FakeKernel(current)
    plan = _plan.flush(_plan.plan_present(current, {}, everything, everything))
    assert len(plan.operations) == bool(current)
    assert not any(kernel.apply(plan.operations))
    assert kernel.table == {} == plan.after
    for operation in plan.operations:
        assert _plan.command(operation) == "ipvsadm -C"
        assert not any(kernel.apply(_plan.inverse(operation)))
    assert kernel.table == current


@few
@given(strategies.tables, strategies.tables)
def test_without_pruning_nothing_is_removed(current, wanted):
    plan = _plan.plan_present(current, as_desired(wanted))
    kernel = FakeKernel(current)
    assert not any(kernel.apply(plan.operations))
    kinds = {operation.kind for operation in plan.operations}
    assert not kinds & {_plan.DELETE_SERVER, _plan.DELETE_SERVICE}
    for ident, entry in current.items():
        expected = {**entry.servers, **wanted[ident].servers} if ident in wanted else entry.servers
        assert kernel.table[ident].servers == expected
    assert {ident: kernel.table[ident] for ident in wanted} == plan.after


@few
@given(strategies.tables)
def test_removals_are_in_the_same_order_however_the_kernel_lists_its_services(current):
    """Linux 7.2 lists them in another order each time."""
    listed_otherwise = dict(reversed(current.items()))
    assert _plan.plan_present(current, {}, None, everything).operations == _plan.plan_present(listed_otherwise, {}, None, everything).operations
    counted = {ident: (_schema.Statistics(in_bytes=1), {}) for ident in current}
    assert _plan.plan_zero(counted).operations == _plan.plan_zero(dict(reversed(counted.items()))).operations


@few
@given(strategies.tables, strategies.tables)
def test_the_order_opens_no_gap(current, wanted):
    operations = _plan.plan_present(current, as_desired(wanted), everything, everything).operations
    removing = [operation.kind in (_plan.DELETE_SERVER, _plan.DELETE_SERVICE) for operation in operations]
    assert removing == sorted(removing)
    touched = [(operation.service, getattr(operation.after or operation.before, "id", None)) for operation in operations]
    assert len(touched) == len(set(touched)), "an object is touched twice"


@few
@given(strategies.tables, strategies.tables)
def test_inverses_bring_back_what_was(current, wanted):
    kernel = FakeKernel(current)
    operations = _plan.plan_present(current, as_desired(wanted), everything, everything).operations
    kernel.apply(operations)
    for operation in reversed(operations):
        assert not any(kernel.apply(_plan.inverse(operation)))
    assert kernel.table == current


@few
@given(st.data(), strategies.tables)
def test_omitted_options_keep_what_is_there(data, current):
    assume(current)
    wanted = {}
    for ident, entry in current.items():
        servers = {each: data.draw(strategies.all_desired(server)) for each, server in as_desired({ident: entry})[ident].servers.items()}
        wanted[ident] = _model.Entry(data.draw(strategies.all_desired(entry.service)), servers)
    assert not _plan.plan_present(current, wanted, everything, everything).operations


def test_a_service_without_servers_leaves_them_unchanged():
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    server = _model.overlay_server(_model.desired_server({"address": "198.51.100.1"}, ident))
    current = {ident: _model.Entry(_model.overlay_service(_model.Service(ident)), {server.id: server})}
    desired = _model.Service(ident)
    assert not _plan.plan_present(current, {ident: _model.Entry(desired, None)}, everything, everything).operations
    emptied = _plan.plan_present(current, {ident: _model.Entry(desired, {})}, everything, everything)
    assert [operation.kind for operation in emptied.operations] == [_plan.DELETE_SERVER]


def test_the_command_that_does_the_same():
    daemon = _settings.Daemon("backup", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
    for operation, command in (
        (_plan.Operation(_plan.SET_TIMEOUTS, None, _settings.Timeouts(1, 2, 3), _settings.Timeouts(1, 2, 4)), "ipvsadm --set 1 2 4"),
        (_plan.Operation(_plan.STOP_DAEMON, None, daemon, None), "ipvsadm --stop-daemon backup"),
        (_plan.Operation(_plan.DELETE_SERVER, WEB, RS1, None), "ipvsadm -d -t 203.0.113.80:80 -r [2001:db8::11]:8080"),
        (_plan.Operation(_plan.DELETE_SERVICE, WEB, None, None), "ipvsadm -D -t 203.0.113.80:80"),
    ):
        assert _plan.command(operation) == command


@pytest.mark.parametrize("default", [{"tunnel_type": "ipip"}, {"tunnel_port": 0}, {"tunnel_checksum": "none"}])
def test_a_tunnels_default_is_refused_on_a_server_that_is_none(default):
    """It is what a server without a tunnel holds, so nothing would change; yet whoever names it takes the server for a tunnel."""
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    server = _model.overlay_server(_model.desired_server({"address": "198.51.100.1"}, ident))
    current = {ident: _model.Entry(_model.overlay_service(_model.Service(ident)), {server.id: server})}
    desired = _model.desired_server({"address": "198.51.100.1", **default}, ident)
    with pytest.raises(OptionError, match="need forward_method tun; this server's is dr") as error:
        _plan.plan_server(current, ident, desired)
    assert error.value.option in default
    tunnel = server._replace(forward_method="tun")
    assert not _plan.plan_server({ident: current[ident]._replace(servers={server.id: tunnel})}, ident, desired).operations


def test_a_server_that_others_made_is_not_judged_where_nothing_changes():
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    server = _model.overlay_server(_model.desired_server({"address": "198.51.100.1"}, ident))._replace(lower_threshold=5, upper_threshold=3)
    current = {ident: _model.Entry(_model.overlay_service(_model.Service(ident)), {server.id: server})}
    assert not _plan.plan_server(current, ident, _model.desired_server({"address": "198.51.100.1"}, ident)).operations
    assert not _plan.plan_present(current, current).operations
    with pytest.raises(OptionError, match="lower_threshold"):
        _plan.plan_server(current, ident, _model.desired_server({"address": "198.51.100.1", "weight": 9}, ident))


WEB = _model.ServiceId(_literals.IPV4, _model.PROTOCOLS["tcp"], "203.0.113.80", 80, 0)
RS1 = _model.Server(_model.ServerId("2001:db8::11", 8080))
MASTER = _settings.Daemon("master")


@pytest.mark.parametrize(
    "operation, text",
    [
        ((_plan.ADD_SERVICE, WEB, None, _model.Service(WEB)), "add service tcp 203.0.113.80:80"),
        ((_plan.DELETE_SERVICE, WEB, _model.Entry(_model.Service(WEB), {}), None), "delete service tcp 203.0.113.80:80"),
        ((_plan.ADD_SERVER, WEB, None, RS1), "add server [2001:db8::11]:8080 of service tcp 203.0.113.80:80"),
        ((_plan.EDIT_SERVER, WEB, RS1, RS1), "edit server [2001:db8::11]:8080 of service tcp 203.0.113.80:80"),
        ((_plan.DELETE_SERVER, WEB, RS1, None), "delete server [2001:db8::11]:8080 of service tcp 203.0.113.80:80"),
        ((_plan.FLUSH, None, {}, None), "delete all services"),
        ((_plan.SET_TIMEOUTS, None, _settings.Timeouts(1, 2, 3), _settings.Timeouts(1, 2, 4)), "set timeouts"),
        ((_plan.START_DAEMON, None, None, MASTER), "start daemon (master)"),
        ((_plan.STOP_DAEMON, None, MASTER, None), "stop daemon (master)"),
        ((_plan.ZERO, WEB, None, None), "zero counters tcp 203.0.113.80:80"),
        ((_plan.ZERO, None, None, None), "zero counters"),
    ],
)
def test_an_operation_says_what_it_does_to_what(operation, text):
    assert str(_plan.Operation(*operation)) == text


def test_an_error_comes_before_any_operation_and_tells_where():
    wanted = _model.desired_table([{"fwmark": 7}, {"address": "203.0.113.80", "port": 0}])
    with pytest.raises(OptionError) as error:
        _plan.plan_present({}, wanted, path=lambda service, server: "services[%d]." % list(wanted).index(service))
    assert error.value.option == "services[1].port"


@few
@given(strategies.tables)
def test_absent(current):
    kernel = FakeKernel(current)
    plan = _plan.plan_absent(current, list(current) + [_model.ServiceId(_literals.IPV4, 6, "198.51.100.9", 9, 0)])
    assert not any(kernel.apply(plan.operations))
    assert kernel.table == {} == plan.after
    assert plan.before == current


DAEMON = _settings.Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)


def test_a_daemon_is_stopped_and_started():
    other = DAEMON._replace(role="backup")
    current = {"master": DAEMON, "backup": other}
    plan = _plan.plan_daemon(current, _settings.Daemon("master", sync_id=8))
    assert [operation.kind for operation in plan.operations] == [_plan.STOP_DAEMON, _plan.START_DAEMON]
    assert plan.after == {"backup": other, "master": DAEMON._replace(sync_id=8)}
    kernel = FakeKernel(daemons=current)
    assert not any(kernel.apply(plan.operations))
    for operation in reversed(plan.operations):
        assert not any(kernel.apply(_plan.inverse(operation)))
    assert kernel.daemons() == current
    assert not _plan.plan_daemon(current, _settings.Daemon("backup")).operations
    assert _plan.plan_daemon(current, _settings.Daemon("backup"), absent=True).after == {"master": DAEMON}


def test_timeouts_and_back():
    kernel = FakeKernel()
    plan = _plan.plan_timeouts(kernel.timeouts(), _settings.Timeouts(udp=9))
    assert plan.after == (900, 120, 9)
    assert not any(kernel.apply(plan.operations))
    assert kernel.timeouts() == plan.after
    kernel.apply(_plan.inverse(plan.operations[0]))
    assert kernel.timeouts() == plan.before


def test_zero_only_where_something_was_counted():
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, 7)
    idle, busy = _schema.Statistics(), _schema.Statistics(in_bytes=1)
    rate = _schema.Statistics(connections_per_second=9, in_bytes_per_second=9)
    use = _schema.Connections(1, 0, 0)
    server = _model.ServerId("198.51.100.1", 80)
    assert not _plan.plan_zero({ident: (idle, {server: (use, rate)})}).operations
    plan = _plan.plan_zero({ident: (busy, {server: (use, busy)})})
    assert (len(plan.operations), plan.before, plan.after) == (1, 2, 0)
    assert _plan.inverse(plan.operations[0]) == []
    assert _plan.command(plan.operations[0]) == "ipvsadm -Z -f 7"
    assert _plan.command(_plan.plan_zero({ident: (busy, {})}, everything=True).operations[0]) == "ipvsadm -Z"
