# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of the nftables table. That nft(8) takes it is tested in tests/firewall."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _nftables
from ansible_collections.lvs.ipvs.plugins.module_utils._node._nftables import Rules, Selector, conflict, invalid_drops, merged_ranges, render


def selector(network, *ports, protocol="tcp"):
    return Selector(ipaddress.ip_network(network), protocol, tuple(port if isinstance(port, tuple) else (port, port) for port in ports))


def networks(*texts):
    return [ipaddress.ip_network(text) for text in texts]


def test_nothing_asked_for_is_no_table():
    assert render(Rules([], [], [], [])) is None
    assert render(Rules([], [], networks("198.51.100.0/24"), networks("2001:db8::1"))) is None  # no server of that family
    assert render(Rules([], [], [], networks("198.51.100.1"))) is None


def test_the_whole_table():
    marks = [(7, selector("203.0.113.80", 80, 443)), (7, selector("203.0.113.81", 443, 80)), (8, selector("2001:db8::/64", protocol="udp"))]
    text = render(Rules(marks, [selector("203.0.113.90", (8000, 8010))], networks("198.51.100.0/24"), networks("198.51.100.12", "198.51.100.11")))
    assert text == (
        "table inet lvs_ipvs\n"
        "delete table inet lvs_ipvs\n"
        "table inet lvs_ipvs {\n"
        "\tchain notrack_in {\n"
        "\t\ttype filter hook prerouting priority -300; policy accept;\n"
        "\t\tip daddr 203.0.113.90 tcp dport 8000-8010 notrack\n"
        "\t}\n\n"
        "\tchain notrack_out {\n"
        "\t\ttype filter hook output priority -300; policy accept;\n"
        "\t\tip daddr 203.0.113.90 tcp dport 8000-8010 notrack\n"
        "\t}\n\n"
        "\tchain mark_in {\n"
        "\t\ttype filter hook prerouting priority -150; policy accept;\n"
        "\t\tip daddr 203.0.113.80/31 tcp dport { 80, 443 } meta mark set 7\n"
        "\t\tip6 daddr 2001:db8::/64 meta l4proto udp meta mark set 8\n"
        "\t}\n\n"
        "\tchain mark_out {\n"
        "\t\ttype route hook output priority -150; policy accept;\n"
        "\t\tip daddr 203.0.113.80/31 tcp dport { 80, 443 } meta mark set 7\n"
        "\t\tip6 daddr 2001:db8::/64 meta l4proto udp meta mark set 8\n"
        "\t}\n\n"
        "\tchain snat_out {\n"
        "\t\ttype nat hook postrouting priority 100; policy accept;\n"
        "\t\tip saddr 198.51.100.0/24 ip daddr { 198.51.100.11, 198.51.100.12 } ct original ip daddr != { 198.51.100.11, 198.51.100.12 } masquerade\n"
        "\t}\n"
        "}\n"
    )


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda pair: (pair[0], sum(pair)))))
def test_merged_ranges_hold_the_same_ports_and_do_not_meet(pairs):
    merged = merged_ranges(pairs)
    assert {port for low, high in merged for port in range(low, high + 1)} == {port for low, high in pairs for port in range(low, high + 1)}
    assert all(one[1] + 1 < other[0] for one, other in zip(merged, merged[1:], strict=False))


@pytest.mark.parametrize(
    ("one", "other", "meet"),
    [
        (selector("203.0.113.80", 80), selector("203.0.113.80", 80), True),
        (selector("203.0.113.80", 80), selector("203.0.113.0/24"), True),
        (selector("203.0.113.80", 80), selector("203.0.113.0/24", (1, 80)), True),
        (selector("203.0.113.80", 80), selector("203.0.113.80", 443), False),
        (selector("203.0.113.80", 80), selector("203.0.113.80", 80, protocol="udp"), False),
        (selector("203.0.113.80", 80), selector("203.0.113.81", 80), False),
        (selector("203.0.113.80"), selector("::/0"), False),
    ],
)
def test_two_marks_for_one_packet(one, other, meet):
    between = (9, selector("203.0.112.0/24", 80))
    for first, second in ((one, other), (other, one)):
        assert conflict([(1, first), between, (2, second)]) == ((0, 2) if meet else None)
        assert conflict([(1, first), between, (1, second)]) is None


RULESET = """table inet lvs_ipvs {
    chain mark_in {
        ct state invalid drop
    }
}
table ip filter {
    chain INPUT {
        type filter hook input priority filter; policy accept;
        ct state related,established accept
        meta l4proto tcp ct state invalid counter drop
        ct state invalid log prefix "drop me"
        ct state { invalid, untracked } reject with icmpx admin-prohibited
        ct state new drop
    }
}
"""


def test_rules_that_drop_what_is_invalid_are_found_and_named():
    assert [str(drop) for drop in invalid_drops(RULESET)] == [
        "table ip filter, chain INPUT: meta l4proto tcp ct state invalid counter drop",
        "table ip filter, chain INPUT: ct state { invalid, untracked } reject with icmpx admin-prohibited",
    ]
    assert invalid_drops("") == []


def test_differences_name_rules():
    one = "table inet lvs_ipvs {\n\tchain mark_in {\n\t\tip daddr { 203.0.113.80,\n\t\t\t203.0.113.90 } tcp dport 80 meta mark set 0x1\n\t}\n}\n"
    other = one.replace("0x1", "0x2")
    assert _nftables.differences(one, one) == []
    assert _nftables.differences("", one) == ["nftables table inet lvs_ipvs is missing"]
    assert _nftables.differences(one, "") == ["nftables table inet lvs_ipvs is there and is no longer needed"]
    assert _nftables.differences(one, other) == [
        "nftables table inet lvs_ipvs lacks: mark_in: ip daddr { 203.0.113.80, 203.0.113.90 } tcp dport 80 meta mark set 0x2",
        "nftables table inet lvs_ipvs should not have: mark_in: ip daddr { 203.0.113.80, 203.0.113.90 } tcp dport 80 meta mark set 0x1",
    ]


def test_differences_name_what_is_in_no_chain():
    one = "table inet lvs_ipvs {\n\tset web {\n\t\ttype ipv4_addr\n\t}\n}\n"
    assert _nftables.differences(one, one.replace("type ipv4_addr", "type ipv6_addr")) == [
        "nftables table inet lvs_ipvs lacks: type ipv6_addr",
        "nftables table inet lvs_ipvs should not have: type ipv4_addr",
    ]


def test_differences_name_no_braces():
    chain = "\tchain %s {\n\t\tip daddr 203.0.113.80 drop\n\t}\n\n"
    one, two = ("table inet lvs_ipvs {\n%s}\n" % (chain % "one" + more) for more in ("", chain % "two"))
    texts = _nftables.differences(one, two)
    assert len(texts) == 2 and not [text for text in texts if text.endswith((": }", ": "))], texts
