# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page about a fleet shows: words and numbers of the filter fleet_report. The page itself: tests/roles/test_report.py."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.fleet_report import fleet_report
from tests import fleet


@pytest.fixture
def hosts():
    """(directors, real servers), as lists of variables."""
    made_up = copy.deepcopy((fleet.DIRECTORS, fleet.REAL_SERVERS))
    return tuple([dict(variables, inventory_hostname=name) for name, variables in each.items()] for each in made_up)


def figures(report):
    return {each["name"]: (each["value"], each["label"], each["note"]) for each in report["figures"]}


def named(rows, name):
    return next(row for row in rows if row["name"] == name)


def test_the_figures_add_up(hosts):
    assert figures(fleet_report(*hosts)) == {
        "directors": (4, "directors", ""),
        "real_servers": (3, "real servers", ""),
        "problems": (5, "not as they should be", ""),
        "services": (4, "services", ""),
        "servers": (5, "places of real servers", "1 with weight 0"),
        "active": (62, "active connections", ""),
        "rate": (48, "new connections a second", ""),
    }


def test_a_fleet_of_one(hosts):
    directors, servers = hosts
    assert figures(fleet_report(directors[1:2], servers[:1])) == {
        "directors": (1, "director", ""),
        "real_servers": (1, "real server", ""),
        "problems": (1, "not as it should be", ""),
        "services": (1, "services", ""),
        "servers": (1, "places of real servers", ""),
        "active": (5, "active connections", ""),
        "rate": (12, "new connections a second", ""),
    }


def test_the_bar_of_the_busiest_is_full(hosts):
    directors, _servers = hosts
    for number in (1, 5):
        for service in directors[1]["director_seen"]["services"]:
            for server in service["servers"]:
                server["statistics"]["active_connections"] = number
        (shown,) = [server for service in fleet_report(directors[1:2])["directors"][0]["services"] for server in service["servers"]]
        assert shown["active"] == {"value": number, "percent": 100}


def test_nothing_is_wrong_and_nobody_is_there(hosts):
    directors, servers = hosts
    directors[0]["director_keepalived"]["services"] = []
    report = fleet_report(directors[:1], servers[:1])
    assert report["problems"] == [] and figures(report)["problems"] == (0, "not as they should be", "")
    assert named(report["directors"], "lb1")["state"] == named(report["real_servers"], "web1")["state"] == "as it should be"
    nobody = fleet_report([])
    assert (nobody["problems"], nobody["directors"], nobody["real_servers"], nobody["vrrp"]) == ([], [], [], False)


def test_problems_come_in_the_order_of_the_hosts(hosts):
    lb2, lb3, lb4, web2, web3 = fleet_report(*hosts)["problems"]
    assert lb2["name"] == "lb2" and lb2["what"] == "differs from the inventory" and lb2["text"] == ""
    assert lb2["differences"][:2] == hosts[0][1]["director_differences"]
    assert lb2["differences"][2] == "fwmark 7 (ipv6) is not here, but on lb1"
    assert lb3 == {"name": "lb3", "what": "could not be asked", "text": "no pyroute2 & no patience", "differences": []}
    assert lb4 == {"name": "lb4", "what": "could not be asked", "text": "It could not be reached.", "differences": []}
    assert web2["differences"] == ["missing: address 203.0.113.80/32 dev lo"]
    assert web3["text"] == "director_services: []"


def test_a_host_that_was_read_but_not_compared_has_not_answered(hosts):
    del hosts[0][0]["director_differences"]
    report = fleet_report(*hosts)
    assert named(report["directors"], "lb1") == {"name": "lb1", "answered": False, "differences": [], "state": "no answer"}
    assert figures(report)["services"] == (1, "services", "")


def test_a_director_in_words(hosts):
    first, second, *_silent = fleet_report(*hosts)["directors"]
    assert (first["state"], second["state"]) == ("as it should be", "3 differences")
    assert first["vrrp"] == {"state": "master", "note": "since 2026-01-31 12:00:00 UTC"}
    assert second["vrrp"] == {"state": "backup", "note": "since 2026-01-31 11:00:00 UTC, has handed over"}
    kernel = "IPVS 1.2.1, connection table of 4096 rows; timeouts TCP 900 s, after FIN 120 s, UDP 300 s."
    assert first["about"] == kernel + " VRRP master since 2026-01-31 12:00:00 UTC, priority 150."
    assert second["about"] == kernel + " VRRP backup since 2026-01-31 11:00:00 UTC, priority 150, lowered because it has handed over."
    assert first["addresses"] == ["203.0.113.80", "2001:db8:1234:5678:9abc:def0:1234:5678", "203.0.113.90"]
    assert (first["servers"], first["active"], first["rate"]) == (4, 57, 36)
    assert (first["drained"], second["drained"]) == (["198.51.100.12 since 2026-01-30 08:15:00 UTC"], [])


def test_a_director_without_keepalived(hosts):
    director = hosts[0][1]
    del director["director_keepalived"]
    director["director_addresses"] *= 2
    director["director_seen"]["sync_daemons"] = [{"role": "master", "interface": "eth0", "sync_id": 3}, {"role": "backup", "interface": "eth1", "sync_id": 4}]
    report = fleet_report([director])
    (row,) = report["directors"]
    assert (report["vrrp"], row["vrrp"], row["drained"], row["addresses"]) == (False, None, [], ["203.0.113.81"])
    assert row["about"].endswith("UDP 300 s; sync daemon master on eth0, ID 3; sync daemon backup on eth1, ID 4.")
    assert [service["name"] for service in row["services"]] == ["203.0.113.81:80"]
    assert row["state"] == "2 differences"


def test_a_kernel_without_ipvs(hosts):
    director = hosts[0][1]
    director.update(director_seen={"loaded": False, "services": []}, director_differences=["services: IPVS is not loaded"])
    del director["director_keepalived"]
    (row,) = fleet_report([director])["directors"]
    assert (row["about"], row["state"], row["services"], row["active"]) == ("The kernel has not loaded IPVS.", "1 difference", [], 0)


def test_services_in_words(hosts):
    director = hosts[0][0]
    director["director_seen"]["services"][0]["one_packet"] = True
    one, two, three = fleet_report([director])["directors"][0]["services"]
    assert (one["name"], one["about"]) == ("203.0.113.80:80", "tcp wrr, packet by packet; 4711 connections so far, 12 a second")
    assert two["name"] == "[2001:db8:1234:5678:9abc:def0:1234:5678]:80"
    assert two["about"] == "tcp wrr, persistent for 60 s; 4711 connections so far, 12 a second"
    assert (three["name"], three["about"], three["servers"]) == ("firewall mark 7 (ipv6)", "wrr; 4711 connections so far, 12 a second", [])


def test_servers_in_words_and_bars(hosts):
    first = fleet_report(*hosts)["directors"][0]["services"][0]["servers"]
    assert first[0] == {
        "name": "198.51.100.11:80", "note": "", "method": "nat", "idle": False, "weight": {"value": 3, "percent": 100.0}, "out": {"text": "", "kind": "idle"},
        "active": {"value": 40, "percent": 100.0}, "inactive": 80, "connections": 4000,
    }  # fmt: skip
    assert [(each["weight"]["percent"], each["active"]["percent"], each["idle"]) for each in first[1:]] == [(33.3, 25.0, False), (0.0, 0.0, True)]
    assert [each["out"] for each in first[1:]] == [{"text": "drained", "kind": "idle"}, {"text": "its check fails: http", "kind": "bad"}]


def test_a_server_with_a_threshold_behind_a_tunnel_and_out(hosts):
    director = hosts[0][1]
    (service,) = director["director_seen"]["services"]
    service["servers"][0].update(upper_threshold=9, forward_method="tun", tunnel_type="gue", weight=0)
    service["servers"][0]["statistics"]["active_connections"] = 0
    service["servers"].append(dict(service["servers"][0], address="2001:db8::12", tunnel_type="ipip", upper_threshold=0))
    gue, ipip = fleet_report([director])["directors"][0]["services"][0]["servers"]
    assert (gue["note"], gue["method"], gue["out"]) == ("at most 9", "tun gue", {"text": "no new ones", "kind": "idle"})
    assert (ipip["note"], ipip["method"], ipip["name"]) == ("", "tun", "[2001:db8::12]:80")
    assert gue["weight"]["percent"] == gue["active"]["percent"] == 0


def test_real_servers(hosts):
    web1, web2, web3 = fleet_report(*hosts)["real_servers"]
    assert (web1["places"], web1["addresses"], web1["state"]) == (2, ["203.0.113.80", "2001:db8::80"], "as it should be")
    assert (web2["places"], web2["addresses"], web2["state"]) == (1, [], "1 difference")
    assert web3 == {"name": "web3", "answered": False, "differences": [], "state": "no answer"}
