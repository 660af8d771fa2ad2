# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses that the node has the kernel add, lend and remove. The other end is the test's.

On a real kernel: tests/integration/node.
"""

from __future__ import annotations

import errno
import socket

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_lines, _network_node

from .netlink_wire import FOREVER, connected, flags_of, have_interfaces, read, refused


@pytest.fixture(autouse=True)
def interfaces(monkeypatch):
    have_interfaces(monkeypatch)


ADDRESSES = "address 203.0.113.80/32 dev eth0\naddress 203.0.113.81/32 dev gone0\naddress 2001:db8::80/64 dev eth1\naddress 203.0.113.82/24 dev eth1\n"


def changed(is_up, numbers, change=None):
    """[(text of a line, reason)] of what failed, and [(kind, flags, fields, attributes)] of what was said."""
    said = []

    def answer(kind, message):
        fields, attributes = read(ifaddrmsg, message)
        said.append((kind, flags_of(message), fields, attributes))
        number = numbers.get(attributes["IFA_LOCAL"])
        return refused(number) if number else []

    node, _wire = connected(answer)
    lines = _network_lines.parse(ADDRESSES)
    failures = change(node, lines) if change else node.change(lines, is_up)
    return [(failure.line.words[0], failure.reason) for failure in failures], said


def test_addresses_that_are_added():
    failures, said = changed(True, {})
    assert failures == [("203.0.113.81/32", "there is no interface gone0")]
    assert [each[:2] for each in said] == [(20, 0x601)] * 3  # RTM_NEWADDR: one that is there already stays as it is
    assert [(fields["family"], fields["prefixlen"], fields["scope"], fields["index"]) for _kind, _flags, fields, _attributes in said] == [
        (socket.AF_INET, 32, 0, 2), (socket.AF_INET6, 64, 0, 3), (socket.AF_INET, 24, 0, 3),
    ]  # fmt: skip
    assert [(attributes["IFA_LOCAL"], attributes["IFA_ADDRESS"]) for *_rest, attributes in said] == [
        (address, address) for address in ("203.0.113.80", "2001:db8::80", "203.0.113.82")
    ]
    # The IPv6 one does not wait for anybody to object, and is nobody's source. The others are as if ip(8) had added them.
    assert ["IFA_CACHEINFO" in attributes for *_rest, attributes in said] == [False, True, False]
    assert [fields["flags"] for _kind, _flags, fields, _attributes in said] == [0, 0x2, 0]
    attributes = said[1][3]
    assert attributes["IFA_FLAGS"] == 0x2
    assert (attributes["IFA_CACHEINFO"]["ifa_preferred"], attributes["IFA_CACHEINFO"]["ifa_valid"]) == (0, FOREVER)


def test_addresses_that_could_not_be_added():
    """One that is there already is fine; an IPv6 address with another prefix length would be refused in the same way."""
    failures, _said = changed(True, {"203.0.113.80": errno.EEXIST, "2001:db8::80": errno.EEXIST, "203.0.113.82": errno.EPERM})
    assert failures == [
        ("203.0.113.81/32", "there is no interface gone0"),
        ("2001:db8::80/64", "the interface has this address with another prefix length"),
        ("203.0.113.82/24", "Operation not permitted"),
    ]


def test_an_ipv6_address_is_refused_for_the_reason_that_the_kernel_gives():
    failures, _said = changed(True, {"2001:db8::80": errno.EPERM})
    assert failures[1:] == [("2001:db8::80/64", "Operation not permitted")]


def test_addresses_that_are_removed(monkeypatch):
    """What has gone by itself is fine. Those of the same network that came later stay."""
    settings = {f"/proc/sys/net/ipv4/conf/{name}/promote_secondaries": value for name, value in (("eth0", "0\n"), ("eth1", "1\n"))}
    seen = []

    def write(path, text):
        settings[path] = text
        seen.append((path.split("/")[-2], text))

    monkeypatch.setattr(_network_node, "text_of", lambda path: settings.get(path, ""))
    monkeypatch.setattr(_network_node, "_write", write)
    failures, said = changed(False, {"203.0.113.80": errno.EADDRNOTAVAIL, "2001:db8::80": errno.EEXIST, "203.0.113.82": errno.EPERM})
    assert failures == [("2001:db8::80/64", "File exists"), ("203.0.113.82/24", "Operation not permitted")]
    assert [each[:2] for each in said] == [(21, 0x1)] * 3  # RTM_DELADDR
    assert all("IFA_CACHEINFO" not in attributes for *_rest, attributes in said)
    assert seen == [("eth0", "1"), ("eth0", "0")]


@pytest.mark.parametrize(("again", "flags"), [(False, 0x601), (True, 0x501)])
def test_addresses_that_are_lent(again, flags):
    """The kernel removes them by itself, with no route left behind."""
    failures, said = changed(True, {}, lambda node, lines: node.lend(lines, 7, again))
    assert failures == [("203.0.113.81/32", "there is no interface gone0")]
    for kind, given, fields, attributes in said:
        own = 0x200 | (0x2 if ":" in attributes["IFA_LOCAL"] else 0)
        assert (kind, given, attributes["IFA_FLAGS"], fields["flags"]) == (20, flags, own, own & 0xFF)
        assert (attributes["IFA_CACHEINFO"]["ifa_preferred"], attributes["IFA_CACHEINFO"]["ifa_valid"]) == (0, 7)


def test_nothing_to_change_asks_nothing():
    node, wire = connected(lambda kind, message: [])
    assert node.change([], True) == [] and wire.sent == []
