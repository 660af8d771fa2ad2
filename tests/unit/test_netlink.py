# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer over a fake socket: lost answers, interrupted dumps, strange datagrams. The real one is in tests/integration."""

from __future__ import annotations

import errno
import struct

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _netlink, _plan, _schema, _settings, _wire
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

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
