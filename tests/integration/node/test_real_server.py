# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_real_server on a real kernel, ip(8) and /proc as the oracles."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from ..conftest import loaded
from ..modules import ModuleFailed, run_module

FILES = [
    "/etc/ipvs-real-server.conf", "/etc/modules-load.d/ipvs-real-server.conf", "/etc/sysctl.d/60-ipvs-real-server.conf",
    "/etc/systemd/system/ipvs-real-server.service", "/usr/local/lib/ipvs-real-server",
]  # fmt: skip
OWN, OWN6 = "198.51.100.12", "2001:db8::12"


def service(number, method, own=OWN, **fields):
    address = f"2001:db8::{number}" if ":" in own and method != "tun" else f"203.0.113.{number}"
    servers = [{"address": each, "forward_method": method, **fields} for each in (own, own[:-1] + "9")]
    return {"address": address, "port": 80, "servers": servers}


DR, DR6, NAT, NAT6 = service(80, "dr"), service(80, "dr", OWN6), service(82, "nat"), service(82, "nat", OWN6)
TUN, GUE, GUE6 = service(81, "tun"), service(83, "tun", tunnel_type="gue", tunnel_port=6080), service(84, "tun", OWN6, tunnel_type="gue", tunnel_port=6081)
GATEWAYS = {"nat_route": "policy", "nat_gateways": ["198.51.100.1", "2001:db8::1"]}


def shown(*commands):
    """What each of these commands prints. One shell for all: to start a program from here takes long in the lab's kernel."""
    done = subprocess.run("; echo --; ".join(commands), shell=True, capture_output=True, text=True, check=False)
    assert not done.stderr, done.stderr
    return [text.strip() for text in done.stdout.split("--\n")]


def ip(words):
    return json.loads(shown("ip -json " + words)[0] or "[]")


def have(text=None):
    links = ip("address show") if text is None else json.loads(text)
    return {(each["local"], link["ifname"]) for link in links for each in link["addr_info"] if each["scope"] == "global" and "local" in each} - {
        (OWN, "eth1"), (OWN6, "eth1"),
    }  # fmt: skip


def setting(key):
    with open("/proc/sys/net/ipv4/conf/" + key) as stream:
        return stream.read().strip()


RULES, ROUTES, FOU = "ip {} -json -N rule", "ip {} route show table 5198 2>/dev/null", "ip fou show"


def rules(family="-4", text=None):
    found = json.loads(text or shown(RULES.format(family))[0] or "[]")
    return {rule["priority"]: rule for rule in found if rule["priority"] not in (0, 32766, 32767)}


def routes(family="-4", text=None):
    return [line.split(" proto")[0] for line in (shown(ROUTES.format(family))[0] if text is None else text).splitlines()]


def fou(text=None):
    return [" ".join(line.split()) for line in (shown(FOU)[0] if text is None else text).splitlines()]


def there():
    return [path for path in FILES if os.path.lexists(path)]


def kernel():
    families = ("-4", "-6")
    commands = ["ip -json address show", *(each.format(family) for each in (RULES, ROUTES) for family in families)]
    addresses, rules4, rules6, routes4, routes6, *tunnels = shown(*commands, *([FOU] if "fou" in loaded() else []))
    return (
        have(addresses), rules(text=rules4), rules(text=rules6), routes(text=routes4), routes(text=routes6), [fou(each) for each in tunnels if each],
        there(), [setting("all/" + key) for key in ARP],
    )  # fmt: skip


ARP = ("arp_ignore", "arp_announce", "rp_filter")


@pytest.fixture(autouse=True)
def node(netns):
    subprocess.run("ip link add eth1 type veth peer name e0 && ip link set eth1 up && ip link set e0 up", shell=True, check=True)
    subprocess.run(f"ip address add {OWN}/24 dev eth1 && ip address add {OWN6}/64 dev eth1 nodad", shell=True, check=True)
    assert there() == []
    before = kernel()
    yield
    run_module("ipvs_real_server", state="absent")
    assert kernel() == before


def twice(*services, **options):
    """A check, the real thing, and again: the check changes nothing and tells the same; the second run changes nothing."""
    options = dict(options, services=list(services))
    before = kernel()
    foretold = run_module("ipvs_real_server", check=True, diff=True, **options)
    assert kernel() == before
    done = run_module("ipvs_real_server", diff=True, **options)
    for part in ("changed", "differences", "places", "addresses", "leftovers"):
        assert foretold[part] == done[part], part
    again = run_module("ipvs_real_server", diff=True, **options)
    assert (again["changed"], again["differences"]) == (False, []) and again["diff"]["before"] == again["diff"]["after"]
    return done


def test_direct_routing():
    done = twice(DR, DR6)
    assert have() == {("203.0.113.80", "lo"), ("2001:db8::80", "lo")}
    assert [setting("all/" + key) for key in ARP[:2]] == ["1", "2"]
    assert done["places"] == 2 and there() == [path for path in FILES if "modules" not in path]
    assert {"address": "2001:db8::80", "prefix_length": 128, "interface": "lo"} in done["addresses"]


@pytest.mark.once
@pytest.mark.long
def test_what_the_boot_runs_is_what_was_installed():
    twice(DR, NAT, **GATEWAYS, vip_interface="ipvs0")
    standing = kernel()
    with open("/etc/systemd/system/ipvs-real-server.service") as stream:
        commands = dict(line.strip().split("=", 1) for line in stream if line.startswith("Exec"))
    subprocess.run([word for word in commands["ExecStop"].split() if word != "-I"], check=True)
    assert have() == set() and rules() == {} and routes() == []
    subprocess.run([word for word in commands["ExecStart"].split() if word != "-I"], check=True)
    assert kernel() == standing


@pytest.mark.long
def test_tunnels():
    twice(TUN, GUE, GUE6)
    assert have() == {("203.0.113.81", "tunl0"), ("203.0.113.83", "tunl0"), ("203.0.113.84", "ip6tnl0")}
    assert {"port 6080 gue", "port 6081 gue -6"} <= set(fou())
    assert [setting(key) for key in ("tunl0/rp_filter", "ip6tnl0/rp_filter", "all/rp_filter", "all/arp_ignore")] == ["0", "0", "0", "1"]
    flags = {link["ifname"]: link["flags"] for link in ip("link")}
    assert "UP" in flags["tunl0"] and "UP" in flags["ip6tnl0"]
    with open(FILES[1]) as stream:
        assert [line.strip() for line in stream if not line.startswith("#")] == ["fou", "fou6", "ip6_tunnel", "ipip"]
    twice()
    flags = {link["ifname"]: link["flags"] for link in ip("link")}
    assert have() == set() and "UP" not in flags["tunl0"] and "UP" not in flags["ip6tnl0"] and fou() == []


@pytest.mark.long
def test_answers_behind_nat():
    twice(NAT, NAT6, DR, **GATEWAYS)
    assert routes() == ["default via 198.51.100.1 dev eth1"] and routes("-6") == ["default via 2001:db8::1 dev eth1"]
    assert {key: str(rules()[5198][key]) for key in ("src", "sport", "table")} == {"src": OWN, "sport": "80", "table": "5198"}
    assert rules("-6")[5198]["src"] == OWN6
    twice(NAT, nat_route="default", nat_gateways=["198.51.100.9"])
    assert routes() == ["default via 198.51.100.9 dev eth1"] and routes("-6") == [] and rules("-6") == {}
    assert rules()[5198]["suppress_prefixlen"] == 0 and rules()[5199]["table"] == "5198"
    assert not twice(NAT)["addresses"] and rules() == {} and there() == []


@pytest.mark.long
def test_replies_to_the_directors_checks_do_not_go_through_the_master():
    def gateway(family, address, own):
        return [each.get("gateway") for each in ip(f"{family} route get {address} from {own} ipproto tcp sport 80")]

    twice(NAT, NAT6, **GATEWAYS)
    assert gateway("-4", "198.51.100.2", OWN) == gateway("-4", "198.51.100.99", OWN) == ["198.51.100.1"]
    twice(NAT, NAT6, **GATEWAYS, nat_direct=["198.51.100.2", "2001:db8::2", "203.0.113.0/24"])
    assert gateway("-4", "198.51.100.2", OWN) == gateway("-6", "2001:db8::2", OWN6) == [None]
    assert (gateway("-4", "198.51.100.99", OWN), gateway("-6", "2001:db8::99", OWN6)) == (["198.51.100.1"], ["2001:db8::1"])
    assert routes() == ["default via 198.51.100.1 dev eth1", "throw 198.51.100.2", "throw 203.0.113.0/24"]
    twice(NAT, **GATEWAYS, nat_direct=["198.51.100.3"])
    assert routes() == ["default via 198.51.100.1 dev eth1", "throw 198.51.100.3"] and routes("-6") == []


@pytest.mark.once
@pytest.mark.long
def test_what_is_no_longer_needed_goes_only_with_purge():
    twice(DR, TUN, NAT, **GATEWAYS)
    standing = kernel()
    kept = twice(DR, purge=False, **GATEWAYS)
    assert kernel() == standing and not kept["changed"]
    assert {"link tunl0", "address 203.0.113.81/32 dev tunl0", "route -4 default via 198.51.100.1 table 5198"} <= set(kept["leftovers"])
    added = twice(DR, DR6, purge=False, **GATEWAYS)
    assert have() == standing[0] | {("2001:db8::80", "lo")} and added["leftovers"] == kept["leftovers"]
    assert twice(purge=False)["places"] == 0 and have() == standing[0] | {("2001:db8::80", "lo")}
    assert run_module("ipvs_real_server", state="absent", purge=False)["changed"] is False
    gone = twice(DR6)
    assert have() == {("2001:db8::80", "lo")} and gone["leftovers"] == []
    assert "address 203.0.113.81/32 dev tunl0 is no longer needed" in gone["differences"]


@pytest.mark.once
@pytest.mark.long
def test_settings_go_back_to_what_they_were():
    subprocess.run("ip link add link eth1 name eth1.100 type vlan id 100 || ip link add eth1.100 type dummy", shell=True, check=True, stderr=subprocess.DEVNULL)
    keys = [f"{name}/{key}" for name in ("eth1", "eth1.100") for key in ARP[:2]]
    for key, value in zip(keys, "8120", strict=True):
        with open("/proc/sys/net/ipv4/conf/" + key, "w") as stream:
            stream.write(value)
    twice(DR, arp_interfaces=["eth1", "eth1.100"])
    assert [setting(key) for key in keys] == ["1", "2", "1", "2"]
    twice(DR, arp_interfaces=["eth1"])
    assert [setting(key) for key in keys] == ["1", "2", "2", "0"]
    with open("/proc/sys/net/ipv4/conf/eth1/arp_ignore", "w") as stream:
        stream.write("0")
    done = twice(DR, arp_interfaces=["eth1"])
    assert done["differences"] == ["kernel setting net.ipv4.conf.eth1.arp_ignore is not 1"] and setting("eth1/arp_ignore") == "1"
    twice()
    assert [setting(key) for key in keys] == ["8", "1", "2", "0"]


@pytest.mark.once
@pytest.mark.long
def test_a_dummy_of_ours_goes_and_one_of_somebody_else_stays():
    twice(DR, vip_interface="ipvs0")
    assert have() == {("203.0.113.80", "ipvs0")} and "UP" in ip("link show dev ipvs0")[0]["flags"]
    twice()
    assert "ipvs0" not in [link["ifname"] for link in ip("link")]
    subprocess.run("ip link add ipvs0 type dummy", shell=True, check=True)
    twice(DR, vip_interface="ipvs0")
    twice()
    assert "ipvs0" in [link["ifname"] for link in ip("link")] and have() == set()


@pytest.mark.once
def test_the_node_finds_itself_by_the_addresses_it_is_given():
    assert twice(DR, addresses=["198.51.100.77"])["places"] == 0
    done = twice({"fwmark": 7, "servers": [{"address": "198.51.100.77"}]}, addresses=["198.51.100.77"], fwmark_addresses=["203.0.113.90", "2001:db8::90"])
    assert have() == {("203.0.113.90", "lo")} and done["places"] == 1


@pytest.mark.once
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"services": [NAT], "nat_route": "policy"}, "nat_gateways: []: add the director's address of the family of 198.51.100.12"),
        ({"services": [NAT, NAT6], "nat_route": "default", "nat_gateways": ["198.51.100.1"]}, "family of 2001:db8::12"),
        ({"services": [NAT], "nat_gateways": ["director.example.com"]}, "nat_gateways[0]: 'director.example.com'"),
        ({"services": [DR], "arp_interfaces": ["all", "eth9"]}, "arp_interfaces[1]: 'eth9': this node has no such interface"),
        ({"services": [DR], "addresses": ["here"]}, "addresses[0]: 'here'"),
        ({"services": [DR], "fwmark_addresses": ["here"]}, "fwmark_addresses[0]: 'here'"),
        ({"services": [DR], "nat_table": 254}, "nat_table: 254"),
        ({"services": [DR, DR]}, "services[1].address"),
        ({}, "services"),
    ],
)
@pytest.mark.long
def test_what_cannot_be_is_refused_before_anything_is_touched(options, told):
    before = kernel()
    with pytest.raises(ModuleFailed) as failure:
        run_module("ipvs_real_server", **options)
    assert told in failure.value.result["msg"] and kernel() == before


@pytest.mark.once
def test_a_gateway_that_the_kernel_refuses_is_named():
    with pytest.raises(ModuleFailed, match="route -4 default via 203.0.113.7 table 5198: Network is unreachable"):
        run_module("ipvs_real_server", services=[NAT], nat_route="policy", nat_gateways=["203.0.113.7"])


@pytest.mark.once
@pytest.mark.slow
def test_ten_thousand_services_and_twice_as_many_addresses():
    services = [dict(DR, address=f"203.0.{100 + number // 250}.{number % 250}") for number in range(1, 10_001)]
    services += [dict(DR6, address=f"2001:db8:1::{number:x}") for number in range(1, 10_001)]
    assert len(run_module("ipvs_real_server", services=services)["addresses"]) == len(have()) == 20_000
    assert not run_module("ipvs_real_server", services=services)["changed"]
