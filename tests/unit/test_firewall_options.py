# SPDX-License-Identifier: GPL-3.0-or-later
"""What ipvs_firewall makes of its options, and the networks that it masquerades for."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _firewall_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

from .firewall_director import NETWORKS, mark, service, texts


def desired(services=(), marks=(), snat=False, notrack=False):
    options = {"services": list(services), "marks": list(marks), "snat": snat, "notrack": notrack}
    return _firewall_tasks.make_desired(options, lambda: NETWORKS)


def test_what_firewalld_is_to_let_in():
    found = desired([service(port=0, persistence_timeout=9), service(fwmark=7), service(fwmark=7, family="ipv6"), service(fwmark=8)], [mark(7, ports=["1-9"])])
    assert texts(found.open) == ["tcp to 203.0.113.80", "tcp to 203.0.113.80 port 1-9"]


@pytest.mark.parametrize(
    ("methods", "half", "nat"),
    [
        (["dr"], True, False),
        (["tun", "dr"], True, False),
        (["dr", "local"], True, False),
        (["local"], False, False),
        (["nat"], False, True),
        (["dr", "nat"], False, True),
        ([], False, False),
    ],
)
def test_which_services_are_seen_in_one_direction(methods, half, nat):
    services = [service(*[(f"198.51.100.{number + 11}", method) for number, method in enumerate(methods)])]
    found = desired(services)
    assert (bool(found.half), bool(found.nat), found.rules.notrack) == (half, nat, [])
    found = desired(services, notrack=True)
    assert (found.half, bool(found.rules.notrack)) == ([], half)


def test_packets_of_marks_stay_out_of_connection_tracking_too():
    found = desired([service(("198.51.100.11", "dr"), fwmark=7)], [mark(7, ports=["80"]), mark(9, ports=["81"])], notrack=True)
    assert texts(found.rules.notrack) == ["tcp to 203.0.113.80 port 80"]


def test_masquerading_is_for_networks_that_hold_servers():
    services = [service(("198.51.100.11", "nat"), ("198.51.100.12", "dr")), service(("2001:db8::11", "nat"), address="2001:db8::80")]
    found = desired(services, snat=True)
    assert texts(found.rules.clients) == ["198.51.100.0/24", "2001:db8::/64"]
    assert texts(found.rules.servers) == ["198.51.100.11/32", "2001:db8::11/128"]
    assert texts(desired(services, snat=["203.0.113.0/28"]).rules.clients) == ["203.0.113.0/28"]
    for snat in (False, [], None, "no"):
        assert desired(services, snat=snat).rules == ([], [], [], [])
    assert desired(services, snat="yes") == found


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"marks": [mark(0)]}, "marks[0].mark: 0: a firewall mark is a number from 1 to 4294967295"),
        ({"marks": [mark(1, "example.org")]}, "marks[0].address: 'example.org': give an IPv4 or IPv6 address or network"),
        ({"marks": [mark(1, "203.0.113.80/24")]}, "marks[0].address: '203.0.113.80/24': the address has bits beyond the network's length: write"),
        ({"marks": [mark(1), mark(1, ports=["80", "http"])]}, "marks[1].ports[1]: 'http': give a port from 1 to 65535, or a range"),
        ({"marks": [mark(1, ports=["9-8"])]}, "marks[0].ports[0]: '9-8': give a port"),
        ({"marks": [mark(1, ports=["0"])]}, "marks[0].ports[0]: '0': give a port"),
        ({"marks": [mark(1, ports=["65536"])]}, "marks[0].ports[0]: '65536': give a port"),
        ({"marks": [mark(1), mark(2, ports=["80"])]}, "marks[1].mark: 2: marks[0] gives packets that this entry is for the mark 1 (tcp to 203.0.113.80)"),
        ({"snat": 7}, "snat: 7: give true, false, or a list of networks"),
        ({"snat": "198.51.100.0/24"}, "snat: '198.51.100.0/24': give true, false, or a list of networks"),
        ({"snat": [7]}, "snat: [7]: give true, false, or a list of networks"),
        ({"snat": ["lan"]}, "snat[0]: 'lan': give an IPv4 or IPv6 address or network"),
        ({"services": [service(), service()]}, "services[1].address: 'tcp 203.0.113.80:80': this service is listed twice"),
    ],
)
def test_bad_input_is_named(options, told):
    with pytest.raises(OptionError) as error:
        desired(**options)
    assert str(error.value).startswith(told)


def test_networks_that_this_machine_is_on(tmp_path):
    (tmp_path / "route").write_text(
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n"
        "eth0\t00000000\t016433C6\t0003\t0\t0\t0\t00000000\t0\t0\t0\n"
        "eth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        "eth1\t007100CB\t00000000\t0011\t0\t0\t0\tC0FFFFFF\t0\t0\t0\n"
        "eth1\t0000FEA9\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n"
    )
    none, here = "0" * 32, "20010db8000000000000000000000000"
    (tmp_path / "ipv6_route").write_text(
        f"{here} 40 {none} 00 {none} 00000100 00000001 00000000 00000011     eth0\n"
        f"fe80{'0' * 28} 40 {none} 00 {none} 00000100 00000001 00000000 00000001     eth0\n"
        f"{none} 00 {none} 00 {here[:-1]}1 00000400 00000001 00000000 00000003     eth0\n"
        f"{here[:-2]}11 80 {none} 00 {none} 00000000 00000003 00000000 80200001     lo\n"
        f"ff{'0' * 30} 08 {none} 00 {none} 00000100 00000003 00000000 00000001     eth0\n"
    )
    assert texts(_firewall_tasks.connected_networks(str(tmp_path))) == ["198.51.100.0/24", "203.0.113.0/26", "2001:db8::/64"]
    assert _firewall_tasks.connected_networks(str(tmp_path / "none")) == []
    (tmp_path / "ipv6_route").unlink()
    (tmp_path / "route").write_text("Iface\tDestination\neth0\t006433C6\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n")
    assert texts(_firewall_tasks.connected_networks(str(tmp_path))) == ["198.51.100.0/24"]
