# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer over a fake socket: lost answers, interrupted dumps, strange datagrams. The real one is in tests/integration."""

from __future__ import annotations

import errno
import gc
import socket
import struct

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _netlink, _plan, _settings, _wire
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, NoIpvs

from .netlink_socket import FAMILY, FakeSocket, both, done, error, kernel, lost, operations, row


def test_each_request_has_a_number_of_its_own():
    """Answers to an earlier one are told from those to the next by it."""
    made = kernel([done()], [done()])
    assert made.read() == made.read() == {}
    first, second = [request.sequence for requests in made._socket.sent for request in requests]
    assert second == first + 1


def test_a_batch_is_closed_by_a_message_that_does_nothing():
    made = kernel([error(0)])
    assert made.apply(operations(3)) == [0, 0, 0]
    (requests,) = made._socket.sent
    assert [request.type for request in requests] == [FAMILY] * 3 + [_wire.NLMSG_NOOP]
    assert _wire.pack_message(FAMILY, 1, 9, 7, 0, b"1234") == struct.pack("=IHHIIBBH", 24, FAMILY, 1, 7, 0, 9, 1, 0) + b"1234"
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


def test_a_batch_that_cannot_be_sent_has_done_nothing(monkeypatch):
    def refuse(self, data, address):
        raise OSError(errno.ENOBUFS, "no room")

    monkeypatch.setattr(FakeSocket, "sendto", refuse)
    assert kernel().apply(operations(2)) == [errno.ENOBUFS] * 2


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
