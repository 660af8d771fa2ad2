# SPDX-License-Identifier: GPL-3.0-or-later
"""Directors beside one another: what is wrong between them."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.compare_directors import compare_directors

from .director_hosts import FIRST, GATEWAY, SECOND, VIP, checks, health, host, out, server, table, without_vrrp


@pytest.fixture
def pair():
    return [host("lb1", "master"), host("lb2", "backup")]


def wrong(hosts):
    return {each["name"]: each["differences"] for each in compare_directors(hosts)}


def test_nothing_is_wrong(pair):
    table(pair[1])[0]["servers"].reverse()
    assert wrong(pair) == {"lb1": [], "lb2": []}
    first, second = compare_directors(pair)
    assert (first["state"], first["home"], first["addresses"], first["priority"], first["connections"]) == ("master", True, [VIP, GATEWAY], 150, 8)
    assert (second["state"], second["home"], second["addresses"], second["since"]) == ("backup", False, [], "2026-01-31T12:00:00Z")


def test_two_masters_and_none():
    both = wrong([host("lb1", "master"), host("lb2", "master"), host("lb3", "backup")])
    text = "VRRP: lb1 and lb2 are master at the same time: they do not receive one another's advertisements"
    assert both == {"lb1": [text], "lb2": [text], "lb3": []}
    neither = [host("lb1", "backup"), host("lb2", "backup")]
    assert wrong(neither) == {name: ["VRRP: no director is master"] for name in ("lb1", "lb2")}
    assert wrong([*neither, {"inventory_hostname": "lb3"}])["lb1"] == ["VRRP: no director is master, as far as they answered; lb3 did not"]


def test_an_instance_that_is_not_as_it_should_be(pair):
    pair[1]["director_keepalived"]["instances"][1]["state"] = "fault"
    assert wrong(pair)["lb2"] == ["VRRP: the instance front is in the state backup", "VRRP: the instance back is in the state fault"]
    pair[0]["director_keepalived"]["instances"][0]["addresses"][0]["present"] = False
    assert wrong(pair)["lb1"] == ["VRRP: the address 203.0.113.80 is missing on eth0 of the master"]


def test_a_director_without_vrrp(pair):
    without_vrrp(pair[1])
    assert wrong(pair) == {"lb1": [], "lb2": []}  # it is meant so, unless its variables say otherwise
    pair[1]["director_failover"] = "vrrp"
    assert wrong(pair)["lb2"] == ["VRRP: keepalived has no VRRP instance"]
    without_vrrp(pair[1], running=False)
    assert wrong(pair)["lb2"] == ["VRRP: keepalived does not run"]
    pair[1]["director_state"] = "absent"
    assert wrong(pair)["lb2"] == []


def test_tables_that_differ(pair):
    ours, others = (table(each)[0] for each in pair)
    others["scheduler"] = "wrr"
    others["servers"] = [server(SECOND, upper_threshold=9), server("198.51.100.13")]
    table(pair[1]).append({"address": VIP, "port": 443, "protocol": "tcp", "scheduler": "rr", "servers": []})
    table(pair[1]).append({"address": "203.0.113.99", "port": 80, "protocol": "tcp", "scheduler": "rr", "servers": []})  # does not move
    table(pair[0]).append({"fwmark": 7, "family": "ipv4", "scheduler": "rr", "servers": []})
    assert wrong(pair) == {
        "lb1": [],
        "lb2": [
            "tcp 203.0.113.80:80: scheduler is wrr here and rr on lb1",
            "tcp 203.0.113.80:80: the server 198.51.100.11:80 is not here, but on lb1",
            "tcp 203.0.113.80:80: the server 198.51.100.12:80: upper_threshold is 9 here and 0 on lb1",
            "tcp 203.0.113.80:80: the server 198.51.100.13:80 is here and not on lb1",
            "tcp 203.0.113.80:443 is here and not on lb1",
            "fwmark 7 is not here, but on lb1",
        ],
    }


def test_an_option_that_only_one_of_them_knows(pair):
    table(pair[1])[0]["servers"][0]["tunnel_type"] = table(pair[0])[0]["servers"][1]["tunnel_port"] = 7
    assert wrong(pair) == {
        "lb1": [],
        "lb2": [
            "tcp 203.0.113.80:80: the server 198.51.100.11:80: tunnel_type is 7 here and None on lb1",
            "tcp 203.0.113.80:80: the server 198.51.100.12:80: tunnel_port is None here and 7 on lb1",
        ],
    }


def test_tables_are_held_against_the_masters(pair):
    """Whoever comes first in the group."""
    directors = [host("lb1", "backup"), host("lb2", "master"), host("lb3", "backup")]
    table(directors[0])[0]["scheduler"] = table(directors[2])[0]["scheduler"] = "wrr"
    text = "tcp 203.0.113.80:80: scheduler is wrr here and rr on lb2"
    assert wrong(directors) == {"lb1": [text], "lb2": [], "lb3": [text]}
    nobody = [host(name, "backup") for name in ("lb1", "lb2")]
    table(nobody[1])[0]["scheduler"] = "wrr"
    assert wrong(nobody)["lb2"][1:] == ["tcp 203.0.113.80:80: scheduler is wrr here and rr on lb1"]


def test_a_weight_that_a_check_has_set_is_no_difference_unless_directors_disagree(pair):
    out(pair[0], 0, state="down")
    assert wrong(pair)["lb2"] == [
        "tcp 203.0.113.80:80: the server 198.51.100.11:80 has weight 1 here and has weight 0 (its check fails: http) on lb1"
    ]
    out(pair[1], 0, state="down")
    assert wrong(pair) == {"lb1": [], "lb2": []}
    out(pair[1], 0, drained=True)
    assert wrong(pair)["lb2"] == [
        "tcp 203.0.113.80:80: the server 198.51.100.11:80 has weight 0 (drained) here and has weight 0 (its check fails: http) on lb1"
    ]


def test_a_service_without_its_quorum(pair):
    pair[0]["director_keepalived"]["services"][0]["quorum_up"] = False
    table(pair[0])[0]["servers"] = [server("198.51.100.99")]  # the sorry server
    assert wrong(pair)["lb2"] == ["tcp 203.0.113.80:80: the service has its quorum here and lacks its quorum on lb1"]
    pair[1]["director_keepalived"]["services"][0]["quorum_up"] = False
    assert wrong(pair)["lb2"] == []


def test_a_drain_that_keepalived_has_not_noticed_yet(pair):
    pair[1]["director_keepalived"]["drained"] = [{"address": SECOND, "since": "2026-01-30T00:00:00Z"}]
    assert "has weight 1 (drained)" in wrong(pair)["lb2"][0]


def test_another_without_its_quorum(pair):
    pair[1]["director_keepalived"]["services"][0]["quorum_up"] = False
    table(pair[1])[0]["servers"] = [server("198.51.100.99")]
    assert wrong(pair)["lb2"] == ["tcp 203.0.113.80:80: the service lacks its quorum here and has its quorum on lb1"]


def test_what_a_person_should_know(pair):
    out(pair[0], 0, state="down")
    out(pair[0], 1, drained=True)
    pair[0]["director_keepalived"]["drained"] = [{"address": SECOND, "since": "2026-01-30T00:00:00Z"}]
    pair[1]["director_keepalived"]["handover"]["lowered"] = True
    checks(pair[1])[1] = health(SECOND, "unknown")
    table(pair[1])[0]["servers"][0] = server(FIRST, 0)
    first, second = compare_directors(pair)
    assert first["notes"] == [
        "198.51.100.11:80 of tcp 203.0.113.80:80 gets no connections: its check fails: http",
        "198.51.100.12:80 of tcp 203.0.113.80:80 gets no connections: drained since 2026-01-30T00:00:00Z",
    ]
    assert second["notes"] == [
        "VRRP: the priority is lowered: this director has handed over",
        "198.51.100.11:80 of tcp 203.0.113.80:80 gets no connections: weight 0",
        "198.51.100.12:80 of tcp 203.0.113.80:80 gets no connections: not checked yet",
    ]
    assert [each["out"] for each in first["services"][0]["servers"]] == ["its check fails: http", "drained"]


def test_one_whose_table_has_not_been_seen_is_not_compared(pair):
    del pair[1]["director_seen"]
    assert wrong(pair) == {"lb1": []}


def test_directors_that_share_no_address_are_not_compared(pair):
    static = without_vrrp(host("lb3", "backup"))
    table(static)[0]["scheduler"] = "sh"
    assert wrong([*pair, static]) == {"lb1": [], "lb2": [], "lb3": []}
    assert compare_directors([static])[0]["state"] is None
