# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer over a fake socket: lost answers, interrupted dumps, strange datagrams. The real one is in tests/integration."""

from __future__ import annotations

import errno
import gc
import os
import socket
import struct

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _netlink, _plan, _schema, _settings, _wire
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, NoIpvs

FAMILY = 30


class FakeSocket:
    """Answers what ``answers`` tells: a list, for each datagram that is sent, of datagrams or of OSErrors to raise.

    Each of these is a function of the list of requests' sequence numbers.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.waiting = []
        self.sent = []

    def sendto(self, data, _address):
        requests = _wire.split_messages(data)
        self.sent.append(requests)
        numbers = [request.sequence for request in requests]
        self.waiting = [answer(numbers) for answer in self.answers.pop(0)]

    def recv(self, _size):
        answer = self.waiting.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def kernel(*answers):
    """A Kernel over a FakeSocket, without the opening of a real one."""
    made = object.__new__(_netlink.Kernel)
    made._socket, made._family, made._sequence = FakeSocket(*answers), FAMILY, 1000
    return made


def test_each_request_has_a_number_of_its_own():
    """Answers to an earlier one are told from those to the next by it."""
    made = kernel([done()], [done()])
    assert made.read() == made.read() == {}
    first, second = [request.sequence for requests in made._socket.sent for request in requests]
    assert second == first + 1


def error(number, index=-1):
    """The answer to the request of that index: an errno, or 0."""
    return lambda numbers: struct.pack("=IHHIIi16x", 36, _wire.NLMSG_ERROR, 0, numbers[index], 0, -number)


def lost(number=errno.ENOBUFS):
    return lambda numbers: OSError(number, "lost")


def row(text, flags=2):
    ident = _model.ServiceId(_literals.IPV4, 0, "", 0, int(text))
    packed = _schema.pack_service(_model.overlay_service(_model.Service(ident)))

    def answer(numbers):
        return struct.pack("=IHHIIBBH", 20 + len(packed), FAMILY, flags, numbers[-1], 0, 1, 1, 0) + packed

    return answer


def done(flags=2):
    return lambda numbers: struct.pack("=IHHIIi", 20, _wire.NLMSG_DONE, flags, numbers[-1], 0, 0)


def both(*answers):
    return lambda numbers: b"".join(answer(numbers) for answer in answers)


def operations(number):
    service = _model.overlay_service(_model.Service(_model.ServiceId(_literals.IPV4, 0, "", 0, 1)))
    return [
        _plan.Operation(_plan.ADD_SERVICE, each, None, service._replace(id=each))
        for each in (service.id._replace(fwmark=mark + 1) for mark in range(number))
    ]


def test_a_batch_is_closed_by_a_message_that_does_nothing():
    made = kernel([error(0)])
    assert made.apply(operations(3)) == [0, 0, 0]
    (requests,) = made._socket.sent
    assert [request.type for request in requests] == [FAMILY] * 3 + [_wire.NLMSG_NOOP]
    assert [bool(request.flags & _wire.NLM_F_ACK) for request in requests] == [False] * 3 + [True]


def test_failures_are_told_apart_by_their_numbers():
    made = kernel([both(error(errno.EEXIST, 0), error(errno.EINVAL, 2)), error(0)])
    assert made.apply(operations(4)) == [errno.EEXIST, 0, errno.EINVAL, 0]


def test_the_last_one_fails():
    assert kernel([error(errno.EEXIST, 1), error(0)]).apply(operations(2)) == [0, errno.EEXIST]


def test_silence_about_a_stopped_daemon_is_success():
    daemon = _settings.Daemon("master", "eth0", 0, 1472, "224.0.0.81", 8848, 1)
    made = kernel([error(0)])
    assert made.apply([_plan.Operation(_plan.STOP_DAEMON, None, daemon, None)]) == [0]


@pytest.mark.parametrize("number", [errno.ENOBUFS, errno.EAGAIN])
def test_lost_answers_are_nobody_knows(number):
    assert kernel([error(errno.EEXIST, 1), lost(number)]).apply(operations(3)) == [None, errno.EEXIST, None]


def test_nothing_is_sent_after_a_batch_that_failed(monkeypatch):
    monkeypatch.setattr(_netlink, "_BATCH", 1)
    made = kernel([error(0)], [error(errno.EINVAL, 0), error(0)])
    assert made.apply(operations(5)) == [0, errno.EINVAL]


def test_answers_of_an_earlier_request_are_passed_over():
    stale = struct.pack("=IHHIIi16x", 36, _wire.NLMSG_ERROR, 0, 7, 0, -errno.EPERM)
    assert kernel([lambda numbers: stale, error(0)]).apply(operations(1)) == [0]


def test_batches_are_bounded():
    requests = [(1, b"x" * 100)] * 1000
    batches = list(_netlink._batches(requests))
    assert sum(len(batch) for batch in batches) == 1000
    assert all(len(batch) * 124 <= 16384 for batch in batches)
    assert [len(batch) for batch in _netlink._batches([(1, b"x" * 20000)] * 2)] == [1, 1]
    assert list(_netlink._batches([])) == []


def marks(made):
    return [service.id.fwmark for service, _statistics in made._services(None)]


def test_a_dump_in_several_datagrams():
    assert marks(kernel([both(row(1), row(2)), row(3), done()])) == [1, 2, 3]


def test_a_dump_that_was_interrupted_is_read_again():
    interrupted = [row(1, flags=2 | _wire.NLM_F_DUMP_INTR), done()]
    assert marks(kernel(interrupted, [row(1), done(flags=2 | _wire.NLM_F_DUMP_INTR)], [row(1), row(2), done()])) == [1, 2]


def test_a_dump_whose_answer_was_lost_is_read_again():
    assert marks(kernel([row(1), lost()], [row(1), row(2), done()])) == [1, 2]


def test_a_dump_that_never_comes_whole():
    with pytest.raises(IpvsError, match="changed at every one of 5 tries"):
        marks(kernel(*[[row(1), lost()]] * 5))


def test_a_refused_dump():
    with pytest.raises(_netlink.KernelError, match="EPERM.*CAP_NET_ADMIN.*use become") as failure:
        marks(kernel([error(errno.EPERM)]))
    assert failure.value.errno == errno.EPERM


def test_an_answer_that_never_comes():
    with pytest.raises(_netlink.KernelError, match="EAGAIN"):
        marks(kernel([lost(errno.EAGAIN)]))
    with pytest.raises(_netlink.KernelError, match="read timeouts.*EAGAIN"):
        kernel([lost(errno.EAGAIN)]).timeouts()


def test_a_question_that_cannot_be_sent(monkeypatch):
    def refuse(self, data, address):
        raise OSError(errno.EPERM, "refused")

    monkeypatch.setattr(FakeSocket, "sendto", refuse)
    with pytest.raises(_netlink.KernelError, match="read the table.*EPERM.*use become"):
        marks(kernel())
    with pytest.raises(_netlink.KernelError, match="read timeouts.*EPERM"):
        kernel().timeouts()


@pytest.mark.parametrize("data", [struct.pack("=IHHII", 99, 30, 0, 1001, 0), struct.pack("=IHHII", 3, 30, 0, 1001, 0)])
def test_an_answer_that_cannot_be_read(data):
    with pytest.raises(IpvsError, match="the kernel's answer can't be read"):
        marks(kernel([lambda numbers: data]))


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


def test_services_that_are_not_there_are_left_out():
    idents = [_model.ServiceId(_literals.IPV4, 0, "", 0, mark) for mark in (1, 2)]
    made = kernel([error(errno.ESRCH)], [row(2)])
    assert [service.id.fwmark for service, _statistics in made._services(idents)] == [2]
    with pytest.raises(_netlink.KernelError, match=r"read service fwmark 1: the kernel answered EPERM"):
        kernel([error(errno.EPERM)])._services(idents)


# Opening


class Pyroute2:
    """Stands for pyroute2's socket, which resolves the family. ``error``: the errno with which it cannot."""

    def __init__(self, error=0):
        self.error, self.options, self.is_open, self.blocking = error, [], True, None
        self.prid = FAMILY

    class Error(Exception):
        def __init__(self, code):
            super().__init__(code)
            self.code = code

    def load(self):
        return (lambda: self), "message class", self.Error

    def bind(self, name, kind):
        assert (name, kind) == ("IPVS", "message class")
        if self.error:
            raise self.Error(self.error)

    def fileno(self):
        return 99

    def setsockopt(self, *option):
        self.options.append(option)

    def close(self):
        self.is_open = False


def opened(monkeypatch, library):
    monkeypatch.setattr(_netlink._pyroute2, "load", library.load)
    monkeypatch.setattr(_netlink.os, "set_blocking", lambda descriptor, blocking: setattr(library, "blocking", (descriptor, blocking)))
    return _netlink.Kernel()


def test_the_socket_blocks_with_a_limit_and_is_closed(monkeypatch):
    library = Pyroute2()
    with opened(monkeypatch, library) as made:
        assert made._family == FAMILY and library.blocking == (99, True)
        assert library.options == [(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", 30, 0)), (270, 10, 1)]
        assert library.is_open
    assert not library.is_open


@pytest.mark.parametrize(
    ("number", "state", "kind", "told"),
    [
        (errno.EPERM, "missing", _netlink.KernelError, "^looking for IPVS: the kernel answered EPERM "),
        (errno.ENOENT, "loadable", NoIpvs, "^this kernel has no IPVS: its module ip_vs is installed but could not be loaded; 'modprobe ip_vs'"),
        (errno.ENOENT, "missing", NoIpvs, "^this kernel has no IPVS: install it$"),
    ],
)
def test_a_kernel_that_has_no_ipvs_for_us(monkeypatch, number, state, kind, told):
    monkeypatch.setattr(_netlink._kmod, "state", lambda name: state)
    monkeypatch.setattr(_netlink._kmod, "missing_hint", lambda name: "install it")
    library = Pyroute2(number)
    with pytest.raises(kind, match=told):
        opened(monkeypatch, library)
    assert not library.is_open


# Reading


SERVICE = _model.ServiceId(_literals.IPV4, 0, "", 0, 1)
SERVERS = [_model.overlay_server(_model.Server(_model.ServerId(f"198.51.100.{last}", 0), weight=last)) for last in (11, 12)]


def server_row(server, active=0):
    """One of a dump, with its connections."""
    use = b"".join(struct.pack("=HHI", 8, kind, number) for kind, number in ((7, active), (8, 0), (9, 0)))
    packed = _schema.pack_server(server)
    length, kind = struct.unpack_from("=HH", packed)
    packed = struct.pack("=HH", length + len(use), kind) + packed[4:] + use

    def answer(numbers):
        return struct.pack("=IHHIIBBH", 20 + len(packed), FAMILY, 2, numbers[-1], 0, 1, 1, 0) + packed

    return answer


def servers_dump():
    """The kernel lists the newest first."""
    return [server_row(SERVERS[1], 4), server_row(SERVERS[0], 3), done()]


def test_the_table_with_its_servers_in_the_order_in_which_they_came():
    made = kernel([row(1), done()], servers_dump())
    table = made.read()
    assert list(table) == [SERVICE] and list(table[SERVICE].servers.values()) == SERVERS
    assert [requests[0].flags & _wire.NLM_F_DUMP for requests in made._socket.sent] == [_wire.NLM_F_DUMP] * 2
    found = kernel([row(1)], servers_dump()).read([SERVICE])
    assert list(found.values()) == [table[SERVICE]]


def test_connections_and_counters():
    counters, servers = kernel([row(1), done()], servers_dump()).statistics()[SERVICE]
    assert counters == _schema.Statistics()
    assert {ident.address: connections.active for ident, (connections, _counters) in servers.items()} == {"198.51.100.11": 3, "198.51.100.12": 4}
    uses = kernel(servers_dump(), [error(errno.ESRCH)]).uses
    with pytest.raises(_netlink.KernelError, match="ESRCH"):
        uses([SERVICE, SERVICE._replace(fwmark=2)])
    found = kernel(servers_dump(), [done()]).uses([SERVICE, SERVICE._replace(fwmark=2)])
    assert [use[0] for use in found[SERVICE].values()] == SERVERS and found[SERVICE._replace(fwmark=2)] == {}
    assert [use[1].active for use in found[SERVICE].values()] == [3, 4]
    assert kernel(servers_dump()).connections(SERVICE, SERVERS[1].id) == (SERVERS[1], (4, 0, 0))
    assert kernel(servers_dump()).connections(SERVICE, SERVERS[1].id._replace(port=1)) is None


def answering(attributes):
    return lambda numbers: struct.pack("=IHHIIBBH", 20 + len(attributes), FAMILY, 2, numbers[-1], 0, 1, 1, 0) + attributes


def test_settings_of_the_kernel():
    times = _settings.Timeouts(900, 120, 300)
    assert kernel([answering(_schema.pack_timeouts(times))]).timeouts() == times
    assert kernel([answering(struct.pack("=HHIHHI", 8, 1, 0x010201, 8, 2, 4096))]).info() == ("1.2.1", 4096)
    daemon = _settings.Daemon("backup", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
    assert kernel([answering(_schema.pack_daemon(daemon)), done()]).daemons() == {"backup": daemon}


def test_the_search_for_cycles_goes_on_as_it_was():
    @_netlink.gc_paused()
    def look():
        return gc.isenabled()

    assert gc.isenabled() and not look() and gc.isenabled()
    gc.disable()
    try:
        assert not look() and not gc.isenabled()
    finally:
        gc.enable()


# What is asked for

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


def test_a_batch_that_cannot_be_sent_has_done_nothing(monkeypatch):
    def refuse(self, data, address):
        raise OSError(errno.ENOBUFS, "no room")

    monkeypatch.setattr(FakeSocket, "sendto", refuse)
    assert kernel().apply(operations(2)) == [errno.ENOBUFS] * 2


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
