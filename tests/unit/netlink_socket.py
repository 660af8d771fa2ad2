# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernel layer over a fake socket, and the answers that a kernel may give."""

from __future__ import annotations

import errno
import struct

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _netlink, _plan, _schema, _wire

FAMILY = 30
SERVICE = _model.ServiceId(_literals.IPV4, 0, "", 0, 1)
SERVERS = [_model.overlay_server(_model.Server(_model.ServerId(f"198.51.100.{last}", 0), weight=last)) for last in (11, 12)]


class FakeSocket:
    """Answers what ``answers`` tells: a list, for each datagram that is sent, of datagrams or of OSErrors to raise.

    Each of these is a function of the list of requests' sequence numbers.
    """

    def __init__(self, *answers):
        self.answers = list(answers)
        self.waiting = []
        self.sent = []

    def sendto(self, data, address):
        assert address == (0, 0)  # the kernel
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
