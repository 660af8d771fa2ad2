# SPDX-License-Identifier: GPL-3.0-or-later
"""What the node asks the kernel, and what it makes of the answers. The other end is the test's.

On a real kernel: tests/integration/node.
"""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_lines, _network_node

from .netlink_wire import DONE, ERROR, INTERRUPTED, connected, flags_of, have_interfaces, packed, read, refused


@pytest.fixture(autouse=True)
def interfaces(monkeypatch):
    have_interfaces(monkeypatch)


# the socket


def test_a_refused_request_does_not_come_back_with_its_error():
    """On this machine's kernel, which knows no request of that number, whoever asks."""
    netlink = _network_node.Netlink(socket.NETLINK_ROUTE)
    try:
        netlink.socket.send(netlink._message(0x7FFE, netlink.REQUEST, 1, bytes(1000)))
        ((kind, _flags, sequence, payload),) = netlink._receive(lambda _kind, sequence: sequence == 1)
        assert (kind, sequence, -struct.unpack_from("=i", payload)[0]) == (ERROR, 1, errno.EOPNOTSUPP)
        assert len(payload) == 4 + 16  # the number, and the request's header
    finally:
        netlink.socket.close()


def test_an_answer_belongs_to_its_request_however_many_there_are():
    def answer(_kind, message):
        number = struct.unpack_from("=I", message, 16)[0]
        return refused(errno.EPERM) if number % 7 == 0 else [(99, 0, bytes([number] * (number % 5 + 1)))] if number % 2 else []

    node, wire = connected(answer)
    bodies = [struct.pack("=I", number) for number in range(100)]
    netlink = node._netlink(socket.NETLINK_ROUTE)
    expected = {number: errno.EPERM if number % 7 == 0 else bytes([number] * (number % 5 + 1)) for number in range(100) if number % 7 == 0 or number % 2}
    assert netlink.ask(98, bodies) == expected
    assert netlink.ask(98, bodies, 0x600, 50) == expected
    assert [len(each) for each in wire.sent] == [33, 33, 33, 5, 51, 51]  # with the no-op that closes each
    assert {flags_of(message) for each in wire.sent[:4] for message in each[:-1]} == {0x1}
    assert {flags_of(message) for each in wire.sent[4:] for message in each[:-1]} == {0x601}
    assert netlink.ask(98, []) == {} and len(wire.sent) == 6


def test_a_dump_that_was_disturbed_is_done_again():
    disturbed = [True, True, False]

    def answer(_kind, _message):
        flags = INTERRUPTED if disturbed.pop(0) else 0
        return [(20, 0, b"1234"), (20, flags, b"5678" if flags else b"abcd"), (DONE, 0, struct.pack("=i", 0))]

    node, wire = connected(answer)
    assert node._netlink(socket.NETLINK_ROUTE).dump(22, bytes(8)) == [b"1234", b"abcd"]
    assert len(wire.sent) == 3 and disturbed == []
    assert {flags_of(message) for each in wire.sent for message in each} == {0x301}
    numbers = {struct.unpack_from("=I", message, 8) for each in wire.sent for message in each}
    assert len(numbers) == 3  # nobody takes an answer for that to another request


def test_a_dump_that_is_always_disturbed_ends_with_what_came_last():
    def answer(_kind, _message):
        return [(20, INTERRUPTED, b"%04d" % len(wire.sent)), (DONE, 0, struct.pack("=i", 0))]

    node, wire = connected(answer)
    assert node._netlink(socket.NETLINK_ROUTE).dump(22, bytes(8)) == [b"0005"]
    assert len(wire.sent) == 5


@pytest.mark.parametrize("kind", [ERROR, DONE])
def test_a_dump_that_the_kernel_refuses_is_an_error(kind):
    node, _wire = connected(lambda _kind, _message: [(kind, 0, struct.pack("=i", -errno.EPERM))])
    with pytest.raises(PermissionError):
        node._netlink(socket.NETLINK_ROUTE).dump(22, bytes(8))


def test_what_is_no_attribute_ends_the_list():
    """An attribute holds its own head: a length below that would never come to an end."""
    assert _network_node._attributes(_network_node._attribute(1, b"abcd") + bytes(8) + _network_node._attribute(2, b"efgh"), 0) == {1: b"abcd"}


# reading


def test_the_interface_by_which_an_address_would_be_reached():
    """None for an address of this node's own, for one that no route leads to, and where the interface has gone meanwhile."""
    ways = {
        "203.0.113.80": [(24, 0, packed(rtmsg, family=socket.AF_INET, RTA_TABLE=254, RTA_OIF=2))],
        "2001:db8::80": [(24, 0, packed(rtmsg, family=socket.AF_INET6, RTA_TABLE=254, RTA_OIF=3))],
        "127.0.0.1": [(24, 0, packed(rtmsg, family=socket.AF_INET, RTA_OIF=1))],
        "203.0.113.81": [(24, 0, packed(rtmsg, family=socket.AF_INET, RTA_OIF=9))],
        "203.0.113.82": [(24, 0, packed(rtmsg, family=socket.AF_INET, RTA_TABLE=254))],
        "203.0.113.83": refused(errno.ENETUNREACH),
        "203.0.113.84": [(24, 0, packed(rtmsg, family=socket.AF_INET, RTA_OIF=3))],
    }
    asked = []

    def answer(kind, message):
        fields, attributes = read(rtmsg, message)
        asked.append((kind, {name: value for name, value in fields.items() if value}, attributes))
        return ways[attributes["RTA_DST"]]

    node, _wire = connected(answer)
    assert node.routes_to(list(ways)) == {"203.0.113.80": "eth0", "2001:db8::80": "eth1", "203.0.113.84": "eth1"}
    # A question says what is looked for, and nothing that narrows it down.
    assert asked == [
        (26, {"family": socket.AF_INET6 if ":" in address else socket.AF_INET, "dst_len": 128 if ":" in address else 32}, {"RTA_DST": address})
        for address in ways
    ]


def test_addresses_of_all_interfaces():
    """At the end of a tunnel the node's own address is the local one; the other is the peer's."""
    payloads = [
        packed(ifaddrmsg, family=socket.AF_INET, prefixlen=8, scope=254, index=1, IFA_ADDRESS="127.0.0.1", IFA_LOCAL="127.0.0.1"),
        packed(ifaddrmsg, family=socket.AF_INET, prefixlen=32, scope=0, index=2, IFA_ADDRESS="198.51.100.2", IFA_LOCAL="198.51.100.1"),
        packed(ifaddrmsg, family=socket.AF_INET6, prefixlen=64, scope=253, index=3, IFA_ADDRESS="fe80::1"),
        packed(ifaddrmsg, family=socket.AF_INET, prefixlen=24, index=9, IFA_ADDRESS="198.51.100.9", IFA_LOCAL="198.51.100.9"),  # gone
        packed(ifaddrmsg, family=socket.AF_INET, prefixlen=24, index=2),  # none at all
        packed(ifaddrmsg, family=socket.AF_PACKET, prefixlen=48, index=2, IFA_LOCAL="198.51.100.3"),
    ]
    node, wire = connected(lambda kind, _message: [(20, 0, payload) for payload in payloads] + [(DONE, 0, struct.pack("=i", 0))] if kind == 22 else [])
    assert node.addresses() == [("127.0.0.1", 8, "lo", 254), ("198.51.100.1", 32, "eth0", 0), ("fe80::1", 64, "eth1", 253)]
    assert wire.sent[0][0][16:] == bytes(8)  # of every family
    assert node.interfaces() == ["lo", "eth0", "eth1"]
    assert node.there(_network_lines.parse("address 198.51.100.1/32 dev eth0")) == {
        "address 127.0.0.1/8 dev lo", "address 198.51.100.1/32 dev eth0", "address fe80::1/64 dev eth1",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("address", "scope", "interface", "used"),
    [
        ("198.51.100.1", 0, "tunl0", True),
        ("2001:db8::1", 0, "tunl0", True),
        ("198.51.100.1", 0, "eth0", False),
        ("fe80::1", 253, "tunl0", False),
        ("::198.51.100.1", 0, "tunl0", False),  # the kernel gives it to sit0
    ],
)
def test_whether_an_interface_is_in_use(monkeypatch, address, scope, interface, used):
    node = _network_node.Node()
    monkeypatch.setattr(node, "addresses", lambda: [_network_node.Address(address, 32, interface, scope)])
    assert node.in_use("tunl0") is used


MAC = bytes.fromhex("020000000011")
UP, NOARP, ETHERNET, LOOPBACK, TUNNEL = 0x1, 0x80, 1, 772, 768


@pytest.mark.parametrize(
    ("flags", "kind", "expected"), [(UP, ETHERNET, MAC), (UP | NOARP, ETHERNET, None), (UP, LOOPBACK, None), (UP, TUNNEL, None), (0, ETHERNET, MAC)]
)
def test_the_address_of_an_interface_whose_neighbors_resolve_addresses(monkeypatch, flags, kind, expected):
    asked = []

    def ioctl(_probe, code, request):
        asked.append((code, request.rstrip(b"\0")))
        content = {0x8913: struct.pack("=H", flags), 0x8927: struct.pack("=H", kind) + MAC}[code]  # SIOCGIFFLAGS, SIOCGIFHWADDR
        return request[:16] + content + bytes(16 - len(content))

    monkeypatch.setattr(_network_node.fcntl, "ioctl", ioctl)
    node = _network_node.Node()
    assert (node.mac("eth0"), node.mac("eth0")) == (expected, expected)
    assert asked == [(0x8913, b"eth0"), (0x8927, b"eth0")]  # it is asked for once


def test_an_interface_that_comes_later_has_an_address_then(monkeypatch):
    def missing(_probe, _code, _request):
        raise OSError(errno.ENODEV, "No such device")

    node = _network_node.Node()
    monkeypatch.setattr(_network_node.fcntl, "ioctl", missing)
    assert node.mac("eth0") is None
    monkeypatch.setattr(_network_node.fcntl, "ioctl", lambda _probe, _code, request: request[:16] + struct.pack("=H6s8x", ETHERNET, MAC))
    assert node.mac("eth0") == MAC


# commands


def test_why_a_command_failed(monkeypatch):
    node = _network_node.Node()
    assert node.run(["true"]) is None
    assert node.run(["sh", "-c", "echo said"]) is None
    assert node.run(["false"]) == "exit status 1"
    assert node.run(["sh", "-c", "echo printed; echo 'two  words' >&2; echo and more >&2; exit 3"]) == "two words and more"
    assert node.run(["sh", "-c", "echo printed; exit 3"]) == "printed"
    assert node.run(["sh", "-c", "cat; exit 4"]) == "exit status 4"  # there is no input to wait for
    assert "No such file or directory" in node.run(["no-such-program"])
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    monkeypatch.setenv("PATH", "/bin")
    assert node.run(["/bin/sh", "-c", "echo $LC_ALL $PATH; exit 1"]) == "C /bin:/usr/sbin:/sbin"


def test_kernel_settings_that_are_there():
    lines = _network_lines.parse("sysctl kernel.ostype Linux\n")
    assert _network_node.Node().there(lines) == {"sysctl kernel.ostype Linux"}


def test_frames_that_cannot_be_sent():
    node = _network_node.Node()
    try:
        assert node.send("no-such-if", [b"x"])
    finally:
        node.close()


def test_the_table_of_this_network_namespace(monkeypatch):
    monkeypatch.setattr(_network_node, "text_of", lambda path: "text of " + path)
    assert _network_node.Node().table() == "text of /proc/thread-self/net/ip_vs"


def test_a_pause_is_one(monkeypatch):
    slept = []
    monkeypatch.setattr(_network_node.time, "sleep", slept.append)
    _network_node.Node().pause()
    assert slept == [_network_node.PAUSE] and _network_node.PAUSE > 0


def test_a_kernel_that_does_not_answer_is_not_waited_for_without_end(monkeypatch):
    monkeypatch.setattr(_network_node.Netlink, "LIMIT", 0.01)
    netlink = _network_node.Netlink(socket.NETLINK_ROUTE)
    try:
        with pytest.raises(TimeoutError):
            list(netlink._receive(lambda kind, sequence: True))
    finally:
        netlink.socket.close()


def test_a_node_makes_its_iproute_when_it_is_needed(monkeypatch):
    node = _network_node.Node()
    monkeypatch.setattr("pyroute2.IPRoute", lambda: "an IPRoute")
    assert node._iproute() == "an IPRoute"


def test_the_reason_of_an_error_is_its_text_without_its_number():
    assert _network_node._reason(OSError(errno.ENODEV, "eth9")) == "No such device" and _network_node._reason(OSError("not loaded")) == "not loaded"
