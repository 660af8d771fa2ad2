# SPDX-License-Identifier: GPL-3.0-or-later
"""A netlink socket whose other end is the test's: it reads what the node says with pyroute2, and answers what the test has it answer."""

from __future__ import annotations

import socket
import struct

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_node

ERROR, DONE = 2, 3
REQUEST, ACK = 0x1, 0x4
INTERRUPTED = 0x10  # NLM_F_DUMP_INTR
FOREVER = 0xFFFFFFFF


class Wire:
    """A netlink socket. ``answer``: (number of the message's kind, whole message) -> [(kind, flags, payload)]; no-ops are acknowledged."""

    def __init__(self, answer):
        self.answer, self.sent, self.pending = answer, [], []

    def send(self, octets):
        self.sent.append([])
        while octets:
            length, kind, flags, sequence, port = struct.unpack_from("=IHHII", octets)
            assert port == 0 and flags & REQUEST  # to the kernel
            message, octets = octets[:length], octets[length:]
            self.sent[-1].append(message)
            replies = [(ERROR, 0, struct.pack("=i", 0) + message[:16])] if flags == REQUEST | ACK and kind == 1 else self.answer(kind, message)
            for number, flags, payload in replies:
                whole = struct.pack("=IHHII", 16 + len(payload), number, flags, sequence, 0) + payload
                self.pending.append(whole + bytes(-len(whole) % 4))

    def recv(self, size):
        """All that has come in one datagram; to wait for more would be to wait for ever."""
        assert self.pending, "the kernel has nothing more to say"
        octets, self.pending = b"".join(self.pending), []
        assert len(octets) <= size
        return octets


def connected(answer):
    """A Node whose netlink socket ends in a Wire, and the Wire."""
    node, netlink = _network_node.Node(), object.__new__(_network_node.Netlink)
    netlink.socket, netlink.sequence = Wire(answer), 0
    node._netlinks[socket.NETLINK_ROUTE] = netlink
    return node, netlink.socket


def refused(number):
    return [(ERROR, 0, struct.pack("=i", -number) + bytes(16))]


def packed(kind, **fields):
    """The payload of a message; attributes have names in capitals."""
    message = kind()
    message["attrs"] = [(name, value) for name, value in fields.items() if name.isupper()]
    for name, value in fields.items():
        if not name.isupper():
            message[name] = value
    message.encode()
    return bytes(message.data)[16:]


def read(kind, octets):
    """(fields, attributes) of a whole message."""
    message = kind(octets)
    message.decode()
    return {name: message[name] for name, *_rest in kind.fields}, dict(tuple(each)[:2] for each in message["attrs"])


def flags_of(message):
    return struct.unpack_from("=H", message, 6)[0]


def have_interfaces(monkeypatch):
    """The interfaces of this machine: the loopback interface and two others."""
    names = {1: "lo", 2: "eth0", 3: "eth1"}
    numbers = {name: index for index, name in names.items()}

    def index_of(name):
        if name not in numbers:
            raise OSError("no interface with this name")
        return numbers[name]

    monkeypatch.setattr(_network_node.socket, "if_nameindex", lambda: list(names.items()))
    monkeypatch.setattr(_network_node.socket, "if_nametoindex", index_of)
