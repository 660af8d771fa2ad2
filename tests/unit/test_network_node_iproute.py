# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, routes, rules and foo-over-UDP: what the node makes of pyroute2's messages, and what it asks pyroute2 to do.

On a real kernel, with ip(8) as the oracle: tests/integration/node.
"""

from __future__ import annotations

import errno
import socket
import struct

import pytest
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl.fibmsg import fibmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_lines, _network_node

from .netlink_wire import DONE, Wire, have_interfaces, refused

IPV4, IPV6 = socket.AF_INET, socket.AF_INET6


class IPRoute:
    """Answers ``get_...`` with these messages, of the family and table that are asked for; notes what it is told to do, which fails with ``error``."""

    def __init__(self, links=(), routes=(), rules=(), error=None):
        self.links, self.routes, self.rules, self.error = links, routes, rules, error
        self.asked, self.done, self.closed = [], [], 0

    def get_links(self):
        return self.links

    def get_routes(self, family, table):
        self.asked.append((family, table))
        return [route for route in self.routes if (route["family"], route.get_attr("RTA_TABLE")) == (family, table)]

    def get_rules(self, family):
        return [rule for rule in self.rules if rule["family"] == family]

    def link(self, command, **words):
        self._do("link", command, words)

    def route(self, command, **words):
        self._do("route", command, words)

    def rule(self, command, **words):
        self._do("rule", command, words)

    def _do(self, *what):
        self.done.append(what)
        if self.error:
            raise self.error

    def close(self):
        self.closed += 1


@pytest.fixture(autouse=True)
def interfaces(monkeypatch):
    have_interfaces(monkeypatch)


def message(kind, **fields):
    """One as pyroute2 gives it; attributes have names in capitals."""
    made = kind()
    made["attrs"] = [(name, value) for name, value in fields.items() if name.isupper()]
    for name, value in fields.items():
        if not name.isupper():
            made[name] = value
    return made


def there(text, **messages):
    return _network_node.Node(lambda: IPRoute(**messages)).there(_network_lines.parse(text))


def change(text, is_up, **more):
    """(what pyroute2 was told, [(line, why it failed)])"""
    iproute = IPRoute(**more)
    failures = _network_node.Node(lambda: iproute).change(_network_lines.parse(text), is_up)
    return iproute.done, [(failure.line.text, failure.reason) for failure in failures]


# reading


def test_links():
    links = [message(ifinfmsg, flags=flags, IFLA_IFNAME=name) for name, flags in (("lo", 0x10049), ("ipvs0", 0x82), ("tunl0", 0x81))]
    assert there("link tunl0\n", links=links) == {"link lo", "link tunl0"}
    assert there("dummy ipvs0\n", links=links) == {"dummy lo", "dummy ipvs0", "dummy tunl0"}
    assert _network_node.Node(lambda: IPRoute(links=links)).links() == {"lo": True, "ipvs0": False, "tunl0": True}


def test_routes():
    """Of the families and tables that the lines name."""
    routes = [
        message(rtmsg, family=IPV4, dst_len=0, type=1, RTA_TABLE=5198, RTA_GATEWAY="198.51.100.11"),
        message(rtmsg, family=IPV4, dst_len=24, type=9, RTA_TABLE=5198, RTA_DST="203.0.113.0"),
        message(rtmsg, family=IPV4, dst_len=24, type=1, RTA_TABLE=254, RTA_DST="203.0.113.0", RTA_GATEWAY="198.51.100.1"),
        message(rtmsg, family=IPV6, dst_len=32, type=1, RTA_TABLE=5199, RTA_DST="2001:db8::", RTA_GATEWAY="2001:db8::1"),
    ]
    iproute = IPRoute(routes=routes)
    lines = "route -4 default via 198.51.100.11 table 5198\nroute -4 203.0.113.0/24 type throw table 5198\nroute -6 default via 2001:db8::1 table 5199\n"
    assert _network_node.Node(lambda: iproute).there(_network_lines.parse(lines)) == {
        "route -4 default via 198.51.100.11 table 5198",
        "route -4 203.0.113.0/24 type throw table 5198",
        "route -6 2001:db8::/32 via 2001:db8::1 table 5199",
    }
    assert sorted(iproute.asked) == [(IPV4, 5198), (IPV6, 5199)]


@pytest.mark.parametrize(
    ("fields", "identity"),
    [
        ({"family": IPV4, "FRA_TABLE": 255}, "rule -4 priority 0 from all lookup 255"),
        ({"family": IPV4, "FRA_PRIORITY": 7, "FRA_TABLE": 5198, "FRA_SUPPRESS_PREFIXLEN": 0xFFFFFFFF}, "rule -4 priority 7 from all lookup 5198"),
        ({"family": IPV4, "FRA_PRIORITY": 7, "FRA_TABLE": 254, "FRA_SUPPRESS_PREFIXLEN": 0}, "rule -4 priority 7 from all lookup 254 suppress_prefixlength 0"),
        ({"family": IPV4, "src_len": 32, "FRA_SRC": "198.51.100.12", "FRA_PRIORITY": 7, "FRA_TABLE": 9}, "rule -4 priority 7 from 198.51.100.12 lookup 9"),
        ({"family": IPV4, "src_len": 24, "FRA_SRC": "198.51.100.0", "FRA_PRIORITY": 7, "FRA_TABLE": 9}, "rule -4 priority 7 from 198.51.100.0/24 lookup 9"),
        ({"family": IPV6, "src_len": 128, "FRA_SRC": "2001:db8::1", "FRA_PRIORITY": 7, "FRA_TABLE": 9}, "rule -6 priority 7 from 2001:db8::1 lookup 9"),
        ({"family": IPV6, "src_len": 32, "FRA_SRC": "2001:db8::", "FRA_PRIORITY": 7, "FRA_TABLE": 9}, "rule -6 priority 7 from 2001:db8::/32 lookup 9"),
        (
            {"family": IPV4, "FRA_PRIORITY": 7, "FRA_IP_PROTO": 6, "FRA_SPORT_RANGE": "80:80", "FRA_TABLE": 9},
            "rule -4 priority 7 from all ipproto 6 sport 80 lookup 9",
        ),
        ({"family": IPV4, "FRA_PRIORITY": 7, "FRA_SPORT_RANGE": "80:81", "FRA_TABLE": 9}, "rule -4 priority 7 from all sport 80:81 lookup 9"),
        ({"family": IPV4, "FRA_PRIORITY": 7}, "rule -4 priority 7 from all"),
    ],
)
def test_rules(fields, identity):
    option = identity.split()[1]
    assert there(f"rule {option} priority 1 from all lookup 9\n", rules=[message(fibmsg, **fields)]) == {identity}
    other = {"-4": "-6", "-6": "-4"}[option]
    assert there(f"rule {other} priority 1 from all lookup 9\n", rules=[message(fibmsg, **fields)]) == set()


# writing


@pytest.mark.parametrize(
    ("line", "up", "down"),
    [
        ("dummy ipvs0", ("link", "add", {"ifname": "ipvs0", "kind": "dummy"}), None),
        ("dummy eth0", None, ("link", "del", {"index": 2})),
        ("link eth1", ("link", "set", {"index": 3, "state": "up"}), ("link", "set", {"index": 3, "state": "down"})),
        (
            "route -4 default via 198.51.100.11 table 5198",
            ("route", "replace", {"family": IPV4, "table": 5198, "gateway": "198.51.100.11"}),
            ("route", "del", {"family": IPV4, "table": 5198, "gateway": "198.51.100.11"}),
        ),
        (
            "route -6 2001:db8::/32 type throw table 5198",
            ("route", "replace", {"family": IPV6, "table": 5198, "type": 9, "dst": "2001:db8::/32"}),
            ("route", "del", {"family": IPV6, "table": 5198, "type": 9, "dst": "2001:db8::/32"}),
        ),
        (
            "rule -4 priority 7 from all lookup 254 suppress_prefixlength 0",
            ("rule", "add", {"family": IPV4, "priority": 7, "table": 254, "FRA_SUPPRESS_PREFIXLEN": 0}),
            ("rule", "del", {"family": IPV4, "priority": 7, "table": 254, "FRA_SUPPRESS_PREFIXLEN": 0}),
        ),
        (
            "rule -4 priority 7 from 198.51.100.12 ipproto 6 sport 80 lookup 9",
            ("rule", "add", {"family": IPV4, "priority": 7, "table": 9, "src": "198.51.100.12", "src_len": 32, "FRA_IP_PROTO": 6, "FRA_SPORT_RANGE": "80:80"}),
            None,
        ),
        (
            "rule -4 priority 7 from 198.51.100.0/24 lookup 9",
            ("rule", "add", {"family": IPV4, "priority": 7, "table": 9, "src": "198.51.100.0", "src_len": 24}),
            None,
        ),
        (
            "rule -6 priority 7 from 2001:db8::1 lookup 9",
            ("rule", "add", {"family": IPV6, "priority": 7, "table": 9, "src": "2001:db8::1", "src_len": 128}),
            None,
        ),
    ],
)
def test_what_pyroute2_is_told(line, up, down):
    for is_up, told in ((True, up), (False, down)):
        if told:
            assert change(line + "\n", is_up) == ([told], [])


RULE = "rule -4 priority 7 from all lookup 9"


@pytest.mark.parametrize(
    ("is_up", "number", "reason"),
    [
        (True, errno.EEXIST, None),
        (True, errno.ENOENT, "No such file or directory"),
        (False, errno.ENOENT, None),
        (False, errno.ESRCH, None),
        (False, errno.ENODEV, None),
        (False, errno.EADDRNOTAVAIL, None),
        (False, errno.EEXIST, "File exists"),
        (True, errno.EPERM, "Operation not permitted"),
    ],
)
def test_what_has_come_or_gone_meanwhile_is_no_failure(is_up, number, reason):
    for error in (NetlinkError(number, "..."), OSError(number, "...")):
        done, failures = change(f"{RULE}\n{RULE}0\n", is_up, error=error)
        assert len(done) == 2  # the second is tried, whatever became of the first
        assert failures == ([(RULE, reason), (RULE + "0", reason)] if reason else [])


def test_an_error_without_a_number():
    assert change(RULE + "\n", True, error=ValueError("odd"))[1] == [(RULE, "odd")]
    assert change("link missing\n", True) == ([], [("link missing", "No such device")])
    assert change("link missing\n", False) == ([], [])


def test_pyroute2_is_opened_once_and_only_where_it_is_needed():
    made = []
    node = _network_node.Node(lambda: made.append(IPRoute()) or made[-1])
    node.change([], True)
    node.close()
    assert made == []
    node.links()
    node.links()
    node.close()
    node.close()
    assert [each.closed for each in made] == [1]
    node.links()
    assert len(made) == 2


# foo-over-UDP


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def node_with_fou(ports=(), error=0, loaded=True):
    """A Node whose kernel has the generic family fou as number 30, with these ports: [(number, family, kind)]; and the Wire."""

    def answer(kind, message):
        if kind == 16:  # GENL_ID_CTRL: which family is it?
            assert message[16:20] == struct.pack("=BBH", 3, 1, 0) and message[20:] == attribute(2, b"fou\0")
            return [(16, 0, bytes(4) + attribute(2, b"fou\0") + attribute(1, struct.pack("=H", 30)))] if loaded else refused(errno.ENOENT)
        assert kind == 30
        if message[16] == 3:  # FOU_CMD_GET
            rows = [attribute(1, struct.pack("!H", port)) + attribute(2, bytes([family])) + attribute(4, bytes([gue])) for port, family, gue in ports]
            return [(30, 0, bytes(4) + row) for row in rows] + [(DONE, 0, struct.pack("=i", 0))]
        return refused(error) if error else []

    node, netlink = _network_node.Node(), object.__new__(_network_node.Netlink)
    netlink.socket, netlink.sequence = Wire(answer), 0
    node._netlinks[16] = netlink
    return node, netlink.socket


def test_ports_of_gue():
    node, _wire = node_with_fou([(6080, IPV4, 2), (6081, IPV6, 2), (6082, IPV4, 1)])
    assert node.there(_network_lines.parse("fou -4 port 6080 gue\n")) == {"fou -4 port 6080 gue", "fou -6 port 6081 gue"}
    assert node_with_fou(loaded=False)[0].there(_network_lines.parse("fou -4 port 6080 gue\n")) == set()


@pytest.mark.parametrize(("option", "family"), [("-4", IPV4), ("-6", IPV6)])
@pytest.mark.parametrize("is_up", [True, False])
def test_a_port_of_gue_comes_and_goes(option, family, is_up):
    node, wire = node_with_fou()
    assert node.change(_network_lines.parse(f"fou {option} port 6080 gue\n"), is_up) == []
    assert wire.sent[1][0][16:20] == struct.pack("=BBH", 1 if is_up else 2, 1, 0)
    assert wire.sent[1][0][20:] == attribute(1, b"\x17\xc0") + attribute(2, bytes([family])) + attribute(4, b"\x02")


def test_a_port_of_gue_that_is_refused():
    lines = _network_lines.parse("fou -4 port 6080 gue\n")
    assert [failure.reason for failure in node_with_fou(error=errno.EADDRINUSE)[0].change(lines, True)] == ["Address already in use"]
    assert [failure.reason for failure in node_with_fou(loaded=False)[0].change(lines, True)] == ["the kernel module fou is not loaded"]
    assert node_with_fou(error=errno.ENOENT)[0].change(lines, False) == []
