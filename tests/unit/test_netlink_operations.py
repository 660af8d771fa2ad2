# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that the kernel layer makes of operations, and what it says where the kernel refuses one."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _netlink, _plan, _schema, _settings, _wire

from .netlink_socket import FAMILY, SERVERS, SERVICE, error, kernel, operations

ENTRY = _model.Entry(_model.overlay_service(_model.Service(SERVICE)), {})
DAEMON = _settings.Daemon("master", "eth7", 7, 1472, "224.0.0.81", 8848, 1)
TIMES = _settings.Timeouts(1, 2, 3)
IDENT = _schema.pack_service_id(SERVICE)
REQUESTS = [  # the numbers of include/uapi/linux/ip_vs.h
    (_plan.ADD_SERVICE, SERVICE, None, ENTRY.service, 1, _schema.pack_service(ENTRY.service)),
    (_plan.EDIT_SERVICE, SERVICE, ENTRY.service, ENTRY.service, 2, _schema.pack_service(ENTRY.service)),
    (_plan.DELETE_SERVICE, SERVICE, ENTRY, None, 3, IDENT),
    (_plan.ADD_SERVER, SERVICE, None, SERVERS[0], 5, IDENT + _schema.pack_server(SERVERS[0])),
    (_plan.EDIT_SERVER, SERVICE, SERVERS[0], SERVERS[0], 6, IDENT + _schema.pack_server(SERVERS[0])),
    (_plan.DELETE_SERVER, SERVICE, SERVERS[0], None, 7, IDENT + _schema.pack_server_id(SERVERS[0].id)),
    (_plan.START_DAEMON, None, None, DAEMON, 9, _schema.pack_daemon(DAEMON)),
    (_plan.STOP_DAEMON, None, DAEMON, None, 10, _schema.pack_daemon_role("master")),
    (_plan.SET_TIMEOUTS, None, TIMES, TIMES, 12, _schema.pack_timeouts(TIMES)),
    (_plan.ZERO, SERVICE, None, None, 16, IDENT),
    (_plan.ZERO, None, None, None, 16, b""),
    (_plan.FLUSH, None, {}, None, 17, b""),
]


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case[0])
def test_each_operation_is_one_request(case):
    *operation, command, attributes = case
    made = kernel([error(0)])
    assert made.apply([_plan.Operation(*operation)]) == [0]
    request = made._socket.sent[0][0]
    assert request.data[16] == command and request.data[request.start : request.end] == attributes
    assert request.type == FAMILY and request.flags == _wire.NLM_F_REQUEST


HINTS = [
    (errno.EPERM, _plan.ADD_SERVICE, ENTRY.service, "needs root"),
    (errno.EACCES, _plan.ADD_SERVICE, ENTRY.service, "needs root"),
    (errno.EAFNOSUPPORT, _plan.ADD_SERVICE, ENTRY.service, "no support for IPv6"),
    (errno.ENODEV, _plan.START_DAEMON, DAEMON, "interface: 'eth7': there is no such interface"),
    (errno.ENETUNREACH, _plan.START_DAEMON, DAEMON, "multicast_group: '224.0.0.81': interface 'eth7' has no address of that family"),
    (errno.EADDRNOTAVAIL, _plan.START_DAEMON, DAEMON, "multicast_group: '224.0.0.81': interface 'eth7' has no address of that family"),
    (errno.EINVAL, _plan.SET_TIMEOUTS, TIMES, "takes no timeout that is so long"),
    (errno.EINVAL, _plan.ADD_SERVER, SERVERS[0], "refuses a server whose address is not unicast"),
]


@pytest.mark.parametrize(("number", "kind", "after", "hint"), HINTS)
def test_what_is_known_of_an_errors_cause(number, kind, after, hint):
    every = {hint for _number, _kind, _after, hint in HINTS}

    def told(number, kind):
        text = str(_netlink.operation_error(number, _plan.Operation(kind, SERVICE, None, after)))
        return {each for each in every if each in text}, text

    assert told(number, kind)[0] == {hint}
    assert told(errno.EBUSY, kind) == (set(), told(errno.EBUSY, kind)[1])
    assert f"the kernel answered EBUSY ({os.strerror(errno.EBUSY)})" in told(errno.EBUSY, kind)[1]
    if number not in (errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT):
        assert told(number, _plan.DELETE_SERVICE if kind != _plan.START_DAEMON else _plan.ADD_SERVICE)[0] == set()
    assert str(_netlink.operation_error(9999, "x")) == "x: the kernel answered 9999 (Unknown error 9999)"


@pytest.mark.parametrize(
    ("scheduler", "state", "blamed"),
    [
        ("rr", "loaded", "engine"),
        ("rr", "builtin", "engine"),
        ("none", "missing", "engine"),
        ("fastest", "missing", "scheduler"),
        ("rr", "loadable", "scheduler"),
    ],
)
def test_which_of_scheduler_and_engine_the_kernel_lacks(monkeypatch, scheduler, state, blamed):
    """It answers both in the same way."""
    monkeypatch.setattr(_netlink._kmod, "state", lambda name: state)
    (operation,) = operations(1)
    operation = operation._replace(after=operation.after._replace(scheduler=scheduler, persistence_engine="http"))
    text = str(_netlink.operation_error(errno.ENOENT, operation))
    assert "ENOENT" in text
    assert ("persistence_engine: 'http': there is no such persistence engine. Linux has sip" in text) == (blamed == "engine")
    assert (f"scheduler: '{scheduler}': " in text) == (blamed == "scheduler")
    without = operation._replace(after=operation.after._replace(persistence_engine=""))
    assert f"scheduler: '{scheduler}': " in str(_netlink.operation_error(errno.ENOENT, without))
