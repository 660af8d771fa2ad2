# SPDX-License-Identifier: GPL-3.0-or-later
"""What follows from the inventory for a director's failover, and what its variables may not say."""

from __future__ import annotations

import socket

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.failover_settings import failover_settings
from ansible_collections.lvs.ipvs.plugins.filter.host_addresses import host_addresses
from ansible_collections.lvs.ipvs.plugins.filter.services_problems import services_problems
from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _directors
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _hosts

HOSTS = {"lb1": {"ansible_host": "198.51.100.11"}, "lb2": {"ansible_host": "lb2.example.com"}, "198.51.100.13": {}, "here": {"ansible_host": "127.0.0.1"}}
NAMES = {"lb2.example.com": "198.51.100.12"}
SERVICES = [
    {"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.21"}]},
    {"address": "203.0.113.80", "port": 443, "servers": [{"address": "198.51.100.21"}]},
    {"fwmark": 7, "servers": [{"address": "198.51.100.21"}]},
]


@pytest.fixture(autouse=True)
def resolver(monkeypatch):
    """Host names that are known, one of them with an IPv6 address first."""

    def getaddrinfo(name, port, type=0):
        if name[0].isdigit():
            return [(socket.AF_INET, type, 6, "", (name, 0))]
        if name not in NAMES:
            raise socket.gaierror(-2, "Name or service not known")
        return [(socket.AF_INET6, type, 6, "", ("2001:db8::12", 0, 0, 0)), (socket.AF_INET, type, 6, "", (NAMES[name], 0))]

    monkeypatch.setattr(_hosts.socket, "getaddrinfo", getaddrinfo)


def settings(name, names=("lb1", "lb2", "198.51.100.13"), **options):
    return failover_settings(list(names), HOSTS, name, **options)


def test_two_directors_need_nothing_else():
    assert settings("lb1", ("lb1", "lb2")) == {"peers": ["198.51.100.12"], "source_address": "198.51.100.11", "priority": 150, "sync": {}}
    assert settings("lb2", ("lb1", "lb2")) == {"peers": ["198.51.100.11"], "source_address": "198.51.100.12", "priority": 140, "sync": {}}
    assert settings("198.51.100.13")["peers"] == ["198.51.100.11", "198.51.100.12"]


def test_the_source_address_is_left_out_where_interface_and_peers_are_given():
    given = {"interface": "eth1", "priority": 7}
    address_of = {"lb1": "198.51.100.11", "lb2": "198.51.100.12"}.get
    assert _directors.settings(["lb1", "lb2"], "lb1", address_of, given)["source_address"] == "198.51.100.11"
    assert _directors.settings(["lb1"], "lb1", address_of, {"peers": [], "priority": 7})["source_address"] == "198.51.100.11"
    assert _directors.settings([], "lb1", address_of, {**given, "peers": []}) == {**given, "peers": []}


def test_addresses_of_hosts_that_others_can_reach():
    hosts = {**HOSTS, "any": {"ansible_host": "0.0.0.0"}}
    assert host_addresses(["lb1", "lb2", "198.51.100.13", "here", "any", "nowhere", "lb1"], hosts) == [
        "198.51.100.11", "198.51.100.12", "2001:db8::12", "198.51.100.13",
    ]  # fmt: skip


@pytest.mark.parametrize("count", [1, 2, 3, 10, 11, 50, 100])
def test_priorities(count):
    """Each is its own, the first has the highest, and handing over goes below all of them."""
    names = [f"lb{number}" for number in range(count)]
    found = [_directors.settings(names, name, lambda each: "198.51.100.11", {})["priority"] for name in names]
    assert found == sorted(set(found), reverse=True) and len(found) == count
    assert found[0] - 100 < found[-1] and 1 <= found[-1] and found[0] <= 254


def test_what_is_given_stays():
    given = {"peers": [], "source_address": "198.51.100.99", "priority": 7, "router_id": 8, "handover_file": "/a"}
    assert settings("stranger", **given, interface=None) == {**given, "sync": {}}
    assert settings("stranger", peers=["198.51.100.9"], priority=7, interface="eth1") == {
        "peers": ["198.51.100.9"], "priority": 7, "interface": "eth1", "sync": {},
    }  # fmt: skip
    assert settings("lb1", sync={"interface": "eth1", "enabled": True})["sync"] == {"interface": "eth1"}
    assert "sync" not in settings("lb1", sync={"interface": "eth1", "enabled": False})
    assert "handover_file" not in settings("lb1", handover_file="/a", preempt=False)


def test_an_interface_for_addresses():
    found = settings("lb1", services=SERVICES, address_interface="eth1")["addresses"]
    assert found == [{"address": "203.0.113.80", "prefix_length": 32, "interface": "eth1"}]
    given = [{"address": "203.0.113.81", "interface": "eth2"}, "2001:db8::80"]
    assert [each["interface"] for each in settings("lb1", addresses=given, address_interface="eth1")["addresses"]] == ["eth2", "eth1"]


@pytest.mark.parametrize(
    ("name", "names", "part"),
    [
        ("stranger", ["lb1"], "peers: None: stranger is not in the group of directors (lb1), so give it"),
        ("lb1", ["lb1", "nowhere"], "peers: 'nowhere': this director's name and ansible_host have no address"),
        ("lb1", ["lb1", "here"], "peers: 'here (127.0.0.1)': other directors cannot reach this address"),
        ("lb1", ["lb1"] + ["lb2"] * 100, "priority: None: with more than 100 directors"),
    ],
)
def test_mistakes_of_the_inventory(name, names, part):
    with pytest.raises(AnsibleFilterError) as error:
        settings(name, names)
    assert str(error.value).startswith(f"failover_settings: {part}")


def test_a_director_outside_of_the_group_needs_every_option():
    given = {"peers": ["198.51.100.12"], "source_address": "198.51.100.13", "priority": 7}
    for option, needed in (("peers", {}), ("source_address", {"peers": given["peers"]}), ("priority", {**given, "priority": None})):
        with pytest.raises(OptionError, match=rf"^{option}: None: stranger is not in the group of directors \(empty\), so give it$"):
            _directors.settings([], "stranger", {}.get, {name: value for name, value in needed.items() if value})
    assert _directors.settings([], "stranger", {}.get, given) == given
    named = {**given, "interface": "eth0"}
    del named["source_address"]  # the interface has one
    assert _directors.settings([], "stranger", {}.get, named) == named


def test_no_unknown_option():
    with pytest.raises(AnsibleFilterError, match="there is no option prioriti"):
        settings("lb1", prioriti=100)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"router_id": 256}, "director_vrrp_router_id: 256: a virtual router ID is a number from 1 to 255"),
        ({"priority": 255}, "director_vrrp_priority: 255: "),
        ({"peers": ["other"]}, "director_vrrp_peers[0]: 'other': "),
        ({"sync": {"sync_id": 256}}, "director_vrrp_sync.sync_id: 256: "),
        ({"back_interface": "eth1"}, "director_vrrp_gateways: []: "),
        ({"addresses": []}, "director_vips: []: VRRP needs addresses to move"),
        ({"router_id": "many"}, "'router_id'"),
        ({"interface": "eth 0"}, "director_vrrp_interface: 'eth 0'"),
    ],
)
def test_mistakes_of_the_variables(options, part):
    (problem,) = services_problems(SERVICES, failover=settings("lb1", **options))
    assert part in problem and "failover." not in problem


def test_sync_daemons_beside_those_of_vrrp():
    daemons = [{"role": "master", "interface": "eth0"}]
    (wrong,) = services_problems(SERVICES + SERVICES, failover=settings("lb1"), sync_daemons=daemons)
    assert wrong.startswith("director_services[")
    (problem,) = services_problems(SERVICES, failover=settings("lb1"), sync_daemons=daemons)
    assert problem.startswith("director_sync_daemons: VRRP runs the sync daemons")
    assert services_problems(SERVICES, failover=settings("lb1", sync={"enabled": False}), sync_daemons=daemons) == []


def test_no_sync_beside_servers_of_the_other_family():
    mixed = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "2001:db8::1", "forward_method": "tun"}]}]
    (problem,) = services_problems(mixed, failover=settings("lb1"))
    assert "the kernel runs no sync daemon (director_vrrp_sync) beside such a service" in problem
    assert services_problems(mixed, failover=settings("lb1", sync={"enabled": False})) == []


def test_no_sync_daemon_of_ours_beside_servers_of_the_other_family():
    mixed = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "2001:db8::1", "forward_method": "tun"}]}]
    (problem,) = services_problems(mixed, sync_daemons=[{"role": "master", "interface": "eth0"}])
    assert "the kernel runs no sync daemon (director_sync_daemons) beside such a service" in problem
