# SPDX-License-Identifier: GPL-3.0-or-later
"""What a real server needs, by its places in the list of services."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod, _network, _network_lines
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _real_server as real_server
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _real_server_task
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

VIP, VIP6, OWN, OWN6 = "203.0.113.80", "2001:db8::80", "198.51.100.12", "2001:db8::12"
ARP = ["sysctl net.ipv4.conf.all.arp_announce 2", "sysctl net.ipv4.conf.all.arp_ignore 1"]
OPTIONS = {
    "vip_interface": "lo", "arp_interfaces": ["all"], "nat_route": "none", "nat_gateways": [], "nat_direct": [], "nat_table": 5198, "nat_priority": 5198,
}  # fmt: skip
INTERFACES = ["lo", "eth0"]


def place(method="dr", vip=VIP, address=OWN, **fields):
    return real_server.Place(**{"vip": vip, "protocol": 6, "port": 80, "address": address, "method": method, **fields})


def needs(places, interfaces=None, recorded="", **options):
    given_options = real_server.settings({**OPTIONS, **options}, places, interfaces or INTERFACES, _network_lines.parse(recorded))
    return real_server.needs(places, given_options)


def test_direct_routing():
    assert needs([place()]) == ([], [*ARP, f"address {VIP}/32 dev lo"])
    assert needs([place(vip=VIP6, address=OWN6)]) == ([], [f"address {VIP6}/128 dev lo"])


def test_an_interface_that_is_not_there_is_made_and_stays_ours():
    wanted = ["dummy ipvs0", *ARP, "link ipvs0", f"address {VIP}/32 dev ipvs0"]
    assert needs([place()], vip_interface="ipvs0") == (["dummy"], wanted)
    assert needs([place()], [*INTERFACES, "ipvs0"], "dummy ipvs0\n", vip_interface="ipvs0") == (["dummy"], wanted)
    assert needs([place()], [*INTERFACES, "ipvs0"], vip_interface="ipvs0") == ([], wanted[1:])


@pytest.mark.parametrize(
    ("fields", "interface", "modules", "fou"),
    [
        ({}, "tunl0", ["ipip"], []),
        ({"vip": VIP6}, "sit0", ["sit"], []),
        ({"address": OWN6}, "ip6tnl0", ["ip6_tunnel"], []),
        ({"vip": VIP6, "address": OWN6}, "ip6tnl0", ["ip6_tunnel"], []),
        ({"tunnel": "gre"}, "gre0", ["ip_gre"], []),
        ({"tunnel": "gre", "address": OWN6}, "ip6gre0", ["ip6_gre"], []),
        ({"tunnel": "gue", "tunnel_port": 6080}, "tunl0", ["fou", "ipip"], ["fou -4 port 6080 gue"]),
        ({"tunnel": "gue", "tunnel_port": 6080, "address": OWN6}, "ip6tnl0", ["fou6", "ip6_tunnel"], ["fou -6 port 6080 gue"]),
    ],
)
def test_a_tunnel_ends_at_the_interface_of_its_kind(fields, interface, modules, fou):
    found = needs([place("tun", **fields)])
    inner6 = fields.get("vip") == VIP6
    settings = [] if inner6 else sorted([*ARP, "sysctl net.ipv4.conf.all.rp_filter 0", f"sysctl net.ipv4.conf.{interface}.rp_filter 0"])
    address = f"address {fields.get('vip', VIP)}/{128 if inner6 else 32} dev {interface}"
    assert found == (modules, [*settings, f"link {interface}", *fou, address])


def test_answers_behind_nat_go_through_the_director():
    places = [place("nat"), place("nat", port=0, address=OWN6), place("nat", protocol=17, port=53)]
    gateways = {"nat_gateways": ["198.51.100.1", "2001:DB8:0::1", "198.51.100.2"]}
    assert needs(places) == ([], [])
    assert needs(places, nat_route="policy", **gateways).lines == [
        "route -4 default via 198.51.100.1 table 5198",
        "route -6 default via 2001:db8::1 table 5198",
        f"rule -4 priority 5198 from {OWN} ipproto 17 sport 53 lookup 5198",
        f"rule -4 priority 5198 from {OWN} ipproto 6 sport 80 lookup 5198",
        f"rule -6 priority 5198 from {OWN6} lookup 5198",
    ]
    assert needs(places[:1], nat_route="default", nat_table=7, nat_priority=9, **gateways).lines == [
        "route -4 default via 198.51.100.1 table 7",
        "rule -4 priority 10 from all lookup 7",
        "rule -4 priority 9 from all lookup 254 suppress_prefixlength 0",
    ]


def test_replies_to_the_directors_checks_take_no_detour():
    gateways = {"nat_route": "policy", "nat_gateways": ["198.51.100.1", "2001:db8::1"]}
    direct = ["198.51.100.1", "198.51.100.2", "2001:DB8:0::2", "198.51.100.2/32", "203.0.113.0/24"]
    found = needs([place("nat")], nat_direct=direct, **gateways).lines
    assert [line for line in found if "throw" in line] == [
        "route -4 198.51.100.2/32 type throw table 5198", "route -4 203.0.113.0/24 type throw table 5198",
    ]  # fmt: skip
    assert found == [line.text for line in _network_lines.parse("\n".join(found))]
    assert "route -6 2001:db8::2/128 type throw table 5198" in needs([place("nat", address=OWN6)], nat_direct=direct, **gateways).lines
    assert needs([place("nat")], nat_direct=direct) == needs([], nat_direct=direct, **gateways) == ([], [])
    assert needs([place(vip="")], **gateways) == ([], [])  # a firewall mark, by dr


def test_the_key_of_an_interface_with_a_dot_is_one_that_sysctl_d_reads():
    lines = needs([place()], [*INTERFACES, "eth0.100"], arp_interfaces=["eth0.100"]).lines
    assert lines[:2] == ["sysctl net.ipv4.conf.eth0/100.arp_announce 2", "sysctl net.ipv4.conf.eth0/100.arp_ignore 1"]


def test_a_firewall_mark_without_an_address_needs_none():
    assert needs([place(vip="")]) == needs([place("local")]) == ([], [])


@pytest.mark.parametrize(
    ("places", "options", "told"),
    [
        ([place("nat")], {"nat_route": "policy"}, ["nat_gateways", "family of 198.51.100.12"]),
        ([place("nat"), place("nat", address=OWN6)], {"nat_route": "default", "nat_gateways": ["198.51.100.1"]}, ["nat_gateways", OWN6]),
        ([], {"nat_gateways": ["198.51.100.1", "gateway.example.com"]}, ["nat_gateways[1]", "host names are not resolved"]),
        ([], {"nat_direct": ["198.51.100.2", "lb2"]}, ["nat_direct[1]: 'lb2'", "host names are not resolved"]),
        ([], {"nat_direct": ["198.51.100.2/24"]}, ["nat_direct[0]: '198.51.100.2/24'", "such as"]),
        ([], {"nat_direct": ["::/0"]}, ["nat_direct[0]: '::/0'", "the addresses of directors"]),
        ([place()], {"arp_interfaces": ["all", "eth9"]}, ["arp_interfaces[1]: 'eth9'", "it has eth0, lo"]),
        ([place()], {"vip_interface": "a/b"}, ["vip_interface: 'a/b'", "at most 15"]),
        ([place()], {"nat_table": 254}, ["nat_table: 254", "of its own"]),
        ([place()], {"nat_table": 0}, ["nat_table: 0"]),
        ([place()], {"nat_priority": 32765}, ["nat_priority: 32765", "32764"]),
    ],
)
def test_what_cannot_be_is_refused(places, options, told):
    with pytest.raises(OptionError) as failure:
        needs(places, **options)
    assert all(part in str(failure.value) for part in told), failure.value


def test_no_interface_is_missed_where_no_address_is_held():
    assert needs([place("nat")], arp_interfaces=["eth9"]) == ([], [])


def services(*servers, **service):
    return _model.created_table([{"address": VIP, "port": 80, "servers": list(servers), **service}])


def test_the_node_finds_itself_by_its_addresses():
    table = services({"address": OWN}, {"address": "198.51.100.13"})
    assert _real_server_task._places(table, {OWN}, []) == [place()]
    assert _real_server_task._places(table, {"198.51.100.14"}, []) == []
    table = services({"address": OWN6, "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080}, address=VIP, protocol="udp")
    assert _real_server_task._places(table, {OWN6}, []) == [place("tun", address=OWN6, protocol=17, tunnel="gue", tunnel_port=6080)]


def test_the_addresses_behind_a_firewall_mark_are_those_of_its_family():
    for family, vips in (("ipv4", [VIP, "203.0.113.81"]), ("ipv6", [VIP6])):
        address = OWN if family == "ipv4" else OWN6
        table = _model.created_table([{"fwmark": 7, "family": family, "servers": [{"address": address}]}])
        found = _real_server_task._places(table, {address}, [VIP, VIP6, "203.0.113.81"])
        assert [each.vip for each in found] == vips
        assert [each.vip for each in _real_server_task._places(table, {address}, [])] == [""]


def test_what_is_no_longer_needed_and_still_there():
    recorded = needs([place(), place("tun", vip="203.0.113.81"), place("nat")], nat_route="policy", nat_gateways=["198.51.100.1"]).lines
    parsed = _network_lines.parse("\n".join([*recorded, "run something", "await table"]))
    there = {_network_lines.identity(line) for line in parsed}
    assert real_server.leftovers(parsed, recorded, there) == []
    assert real_server.leftovers(parsed, [], set()) == []
    assert sorted(real_server.leftovers(parsed, [], there)) == sorted(recorded)
    wanted = needs([place("nat")], nat_route="policy", nat_gateways=["198.51.100.99"]).lines
    assert not [text for text in real_server.leftovers(parsed, wanted, there) if text.startswith(("route", "rule"))]
    assert "address 203.0.113.81/32 dev tunl0" in real_server.leftovers(parsed, wanted, there)


def test_another_gateway_replaces_the_route():
    old, new = (_network_lines.parse(f"route -4 default via 198.51.100.{host} table 5198\n") for host in (1, 2))
    assert _network.superfluous(old, new) == []
    assert _network.superfluous(old, _network_lines.parse("route -6 default via 2001:db8::1 table 5198\n")) == old


@given(st.permutations([place(), place("tun"), place("nat"), place(vip=VIP6, address=OWN6), place("tun", tunnel="gue", tunnel_port=7)]))
def test_the_order_of_the_list_makes_no_difference(places):
    options = {"nat_route": "policy", "nat_gateways": ["198.51.100.1"]}
    found = needs(places, **options)
    assert found == needs(sorted(places), **options)
    assert [line.text for line in _network_lines.parse("\n".join(found.lines))] == found.lines


def test_modules_are_looked_up_before_anything_is_touched(monkeypatch):
    monkeypatch.setattr(_kmod.Kernel, "state", lambda kernel, name: "loaded" if name == "fou" else "loadable")
    assert _real_server_task._load(["fou", "ipip"], Context(True, False, None)) == ["ipip"]
    assert _real_server_task._load([], None) == []
    monkeypatch.setattr(_kmod.Kernel, "state", lambda kernel, name: "missing")
    with pytest.raises(IpvsError, match="ipip"):
        _real_server_task._load(["ipip"], Context(True, False, None))


def test_ten_thousand_services():
    table = _model.created_table(
        [{"address": f"203.0.{number // 250}.{number % 250}", "port": 80, "servers": [{"address": OWN}]} for number in range(1, 10_001)]
    )
    found = needs(_real_server_task._places(table, {OWN}, []))
    assert len(found.lines) == 10_002


def test_a_setting_that_is_wanted_otherwise_is_not_left_over():
    (recorded,) = _network_lines.parse("sysctl net.ipv4.conf.all.arp_ignore 1\n")
    there = {_network_lines.identity(recorded)}
    assert real_server.leftovers([recorded], [], there) == [recorded.text]
    assert real_server.leftovers([recorded], ["sysctl net.ipv4.conf.all.arp_ignore 2"], there) == []
