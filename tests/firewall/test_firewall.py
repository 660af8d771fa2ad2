# SPDX-License-Identifier: GPL-3.0-or-later
"""Marks, masquerading and untracked packets with real traffic, nft(8) as the oracle."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.integration.modules import ModuleFailed
from tests.integration.test_documentation import assert_documented, examples

from .conftest import CLIENT, DIRECTOR, PORTS, SERVER, VIP, nft

LIVE = {"persist": False, "firewalld": False}
CONNTRACK = Path("/proc/sys/net/ipv4/vs/conntrack")
INVALID = "table inet theirs { chain input { type filter hook input priority 0; policy accept; ct state invalid drop; }; }"


def service(method, port=80, **options):
    servers = [{"address": address, "forward_method": method} for address in (SERVER, "198.51.100.12")]
    return {"address": VIP, "port": port, "scheduler": "rr", "servers": servers, **options}


def ours():
    done = subprocess.run(["nft", "-s", "list", "table", "inet", "lvs_ipvs"], capture_output=True, text=True, check=False)
    return done.stdout


def apply(ipvs, **options):
    """Check, do, do again; returns the result of the real run."""
    before = nft("list ruleset")
    foretold = ipvs.module("ipvs_firewall", check=True, diff=True, **LIVE, **options)
    assert nft("list ruleset") == before
    done = ipvs.module("ipvs_firewall", diff=True, **LIVE, **options)
    for key in ("changed", "differences", "rules", "diff"):
        assert foretold[key] == done[key], key
    again = ipvs.module("ipvs_firewall", **LIVE, **options)
    assert (again["changed"], again["differences"], again["rules"]) == (False, [], ours())
    return done


MARKS = [{"mark": 7, "address": VIP, "ports": ["80", "443"]}]


def test_http_and_https_as_one_persistent_service(ipvs, site):
    servers = [{"address": each, "forward_method": "nat"} for each in (SERVER, "198.51.100.12")]
    marked = {"fwmark": 7, "scheduler": "rr", "persistence_timeout": 60, "servers": servers}
    ipvs.module("ipvs_table", services=[marked])
    CONNTRACK.write_text("1")
    with pytest.raises(OSError):
        site.ask()
    done = apply(ipvs, services=[marked], marks=MARKS, snat=True)
    assert done["differences"] == ["nftables table inet lvs_ipvs is missing"] and done["conflicts"] == []
    assert len({site.ask(port) for port in PORTS for _time in range(3)}) == 1
    assert "TCP" not in ipvs.ipvsadm("-Ln") and "FWM  7" in ipvs.ipvsadm("-Ln")
    assert set(site.peers) <= {DIRECTOR, "closed"}


def test_a_client_in_the_servers_own_network(ipvs, site):
    ipvs.module("ipvs_table", services=[service("nat")])
    CONNTRACK.write_text("0")
    apply(ipvs, services=[service("nat")])
    assert ours() == ""  # where nothing is asked for nothing is written
    with pytest.raises(OSError):
        site.ask()
    needs = "snat: needs net.ipv4.vs.conntrack=1, or nothing is masqueraded: set it with lvs.ipvs.ipvs_sysctls"
    done = apply(ipvs, services=[service("nat")], snat=["198.51.100.0/24"])
    assert done["conflicts"] == done["warnings"] == [needs]
    with pytest.raises(OSError):
        site.ask()
    CONNTRACK.write_text("1")
    assert apply(ipvs, services=[service("nat")], snat=True)["conflicts"] == []
    site.peers.clear()
    assert len({site.ask() for _time in range(4)}) == 2
    assert DIRECTOR in site.peers and CLIENT not in site.peers
    # what IPVS has not balanced keeps its address
    site.peers.clear()
    site.ask(address=SERVER)
    assert CLIENT in site.peers and DIRECTOR not in site.peers
    assert apply(ipvs, services=[service("nat")])["differences"] == ["nftables table inet lvs_ipvs is there and is no longer needed"]


@pytest.mark.parametrize("conntrack", ["0", "1"])
def test_a_firewall_that_drops_what_is_invalid(ipvs, dr_site, conntrack):
    services = [service("dr")]
    ipvs.module("ipvs_table", services=services)
    CONNTRACK.write_text(conntrack)
    assert apply(ipvs, services=services)["conflicts"] == []
    dr_site.ask()
    nft(INVALID)
    (conflict,) = apply(ipvs, services=services)["conflicts"]
    assert conflict.startswith("table inet theirs, chain input: ct state invalid drop: drops packets of virtual services with dr and tun")
    dr_site.peers.clear()
    try:
        dr_site.ask()
    except OSError:
        pass
    dr_site.wait_for_end()
    assert "closed" not in dr_site.peers, "the rule is named, and does no harm"
    done = apply(ipvs, services=services, notrack=True)
    assert done["conflicts"] == [] and "notrack" in done["rules"]
    dr_site.peers.clear()
    assert len({dr_site.ask() for _time in range(4)}) == 2
    dr_site.wait_for_end(4)
    assert dr_site.peers.count("closed") == 4
    assert "theirs" in nft("list tables")


def test_nat_behind_such_a_firewall_needs_conntrack(ipvs, site):
    ipvs.module("ipvs_table", services=[service("nat")])
    CONNTRACK.write_text("0")
    nft(INVALID.replace("input", "forward"))
    (conflict,) = apply(ipvs, services=[service("nat")])["conflicts"]
    assert "with nat (tcp 198.51.100.80:80): set net.ipv4.vs.conntrack=1" in conflict
    CONNTRACK.write_text("1")
    assert apply(ipvs, services=[service("nat")])["conflicts"] == []


def test_a_table_that_somebody_has_changed_is_replaced_and_theirs_stays(ipvs):
    nft(INVALID)
    apply(ipvs, marks=MARKS)
    nft("flush chain inet lvs_ipvs mark_in\nadd rule inet lvs_ipvs mark_in ip daddr 203.0.113.9 meta mark set 3")
    done = apply(ipvs, marks=MARKS)
    assert done["differences"] == [
        "nftables table inet lvs_ipvs lacks: mark_in: ip daddr 198.51.100.80 tcp dport { 80, 443 } meta mark set 0x00000007",
        "nftables table inet lvs_ipvs should not have: mark_in: ip daddr 203.0.113.9 meta mark set 0x00000003",
    ]
    assert "203.0.113.9" in done["diff"]["before"] and "203.0.113.9" not in done["diff"]["after"]
    apply(ipvs, state="absent")
    assert ours() == "" and "theirs" in nft("list tables")


def test_in_another_namespace(ipvs, site):
    options = {"marks": MARKS, "netns": site.client, "firewalld": True}
    with pytest.raises(ModuleFailed, match="netns: .*: only the rules of the initial network namespace are restored at boot: set persist to false"):
        ipvs.module("ipvs_firewall", **options)
    assert ipvs.module("ipvs_firewall", persist=False, **options)["changed"]
    assert ours() == "" and not ipvs.module("ipvs_firewall", persist=False, **options)["changed"]


def test_ten_thousand_addresses(ipvs):
    marks = [{"mark": 1 + index % 3, "address": f"2001:db8::{index:x}", "ports": ["80"]} for index in range(1, 10001)]
    servers = [{"address": f"198.51.{100 + index // 250}.{index % 250 + 1}", "forward_method": "nat"} for index in range(10000)]
    done = apply(ipvs, marks=marks, services=[service("nat", servers=servers)], snat=["203.0.113.0/24"])
    assert done["changed"]


def test_examples_run_and_return_what_is_documented(ipvs, site):
    for name, action, options in examples("ipvs_firewall"):
        done = apply(ipvs, **options)
        assert_documented(action, done)
        # the server of the example is in a network that this machine is on
        assert done["changed"], name
