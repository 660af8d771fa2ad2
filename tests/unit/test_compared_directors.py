# SPDX-License-Identifier: GPL-3.0-or-later
"""Directors beside one another: what is wrong between them, and who can hand over to whom."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.compare_directors import compare_directors
from ansible_collections.lvs.ipvs.plugins.filter.handover_plan import handover_plan

VIP, GATEWAY, FIRST, SECOND = "203.0.113.80", "198.51.100.250", "198.51.100.11", "198.51.100.12"
PRIORITIES = {"lb1": 150, "lb2": 100, "lb3": 90}


def instance(name, state, priority, address):
    place = {"address": address, "interface": "eth0", "present": state == "master"}
    since = "2026-01-31T12:00:00Z"
    return {"name": name, "state": state, "since": since, "priority": priority, "effective_priority": priority, "addresses": [place]}


def server(address, weight=1, **more):
    statistics = {"active_connections": 4, "inactive_connections": 1, "connections": 5}
    return {"address": address, "port": 80, "forward_method": "nat", "weight": weight, "upper_threshold": 0, "statistics": statistics, **more}


def health(address, state="up", drained=False):
    checks = [{"type": "http", "up": state == "up", "ran": state != "unknown"}, {"type": "file", "up": True, "ran": True}]
    return {"address": address, "port": 80, "health": state, "checks": checks, "drained": drained, "configured_weight": 1, "weight": 1}


def host(name, state, lowered=False, priority=None):
    """The variables of a director."""
    ident = {"address": VIP, "port": 80, "protocol": "tcp"}
    priority = priority or PRIORITIES[name]
    return {
        "inventory_hostname": name,
        "director_keepalived": {
            "running": True,
            "instances": [instance("front", state, priority, VIP), instance("back", state, priority, GATEWAY)],
            "handover": {"file": "/var/lib/ipvs-director/handover", "lowered": lowered},
            "services": [{**ident, "quorum_up": True, "servers": [health(FIRST), health(SECOND)]}],
            "drained": [],
        },
        "director_seen": {"services": [{**ident, "scheduler": "rr", "statistics": {"connections_per_second": 2}, "servers": [server(FIRST), server(SECOND)]}]},
        "director_differences": [],
    }


def table(director):
    return director["director_seen"]["services"]


def checks(director):
    return director["director_keepalived"]["services"][0]["servers"]


def without_vrrp(director, running=True):
    director["director_keepalived"].update(instances=[], handover=None, running=running)
    return director


@pytest.fixture
def pair():
    return [host("lb1", "master"), host("lb2", "backup")]


def wrong(hosts):
    return {each["name"]: each["differences"] for each in compare_directors(hosts)}


# what is wrong


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


def out(director, number, **how):
    """Have a check or a drain take a server out."""
    address = (FIRST, SECOND)[number]
    checks(director)[number] = health(address, **how)
    table(director)[0]["servers"][number] = server(address, 0)


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


# handing over


def planned(hosts, **how):
    result = handover_plan(hosts, **how)
    assert result.pop("problems") == []
    return {key: value for key, value in result.items() if value}


def refused(hosts, **how):
    result = handover_plan(hosts, **how)
    assert not any(value for key, value in result.items() if key != "problems")
    return result["problems"]


def test_away_and_back(pair):
    assert planned(pair) == {"master": "lb1", "to": "lb2", "lower_master": True, "changes": ["lb1"]}
    after = [host("lb1", "backup", lowered=True), host("lb2", "master")]
    assert planned(after) == {"master": "lb2", "to": "lb1", "restore_target": True, "lowered": ["lb1"], "changes": ["lb1"]}
    assert planned(pair, to="lb2") == planned(pair)
    assert planned(pair, to="lb1") == {"master": "lb1", "to": "lb1"}
    assert planned(after, to="lb1") == planned(after)


def test_away_from_one(pair):
    assert planned(pair, away_from="lb1") == planned(pair)
    assert planned(pair, away_from="lb2") == {"master": "lb1", "to": "lb1"}
    after = [host("lb1", "backup", lowered=True), host("lb2", "master")]
    assert planned(after, away_from="lb2")["to"] == "lb1"


def test_three_directors():
    three = [host("lb1", "master"), host("lb2", "backup"), host("lb3", "backup")]
    assert planned(three) == {"master": "lb1", "to": "lb2", "lower_master": True, "changes": ["lb1"]}
    assert planned(three, to="lb3") == {"master": "lb1", "to": "lb3", "lower": ["lb2"], "lower_master": True, "changes": ["lb2", "lb1"]}
    after = [host("lb1", "backup", True), host("lb2", "backup", True), host("lb3", "master")]
    assert planned(after) == {
        "master": "lb3", "to": "lb1", "restore_target": True, "restore": ["lb2"], "lowered": ["lb1", "lb2"], "changes": ["lb1", "lb2"]
    }  # fmt: skip
    # the next best, where the best cannot
    three[1]["director_keepalived"]["instances"][0]["state"] = "fault"
    assert planned(three)["to"] == "lb3"
    home, master = copy.deepcopy(three[1]), copy.deepcopy(three[0])
    home["director_keepalived"]["instances"][0]["priority"], master["director_keepalived"]["instances"][0]["priority"] = 200, 150
    assert planned([home, master, three[2]], away_from=master["inventory_hostname"])["to"] == "lb3"


def test_equal_priorities():
    """The one of the higher address would be first, so each of them has to step back."""
    assert planned([host("lb1", "master", priority=100), host("lb2", "backup")], to="lb2")["lower_master"] is True
    equal = [host("lb1", "backup", priority=100), host("lb2", "master")]
    assert planned(equal, to="lb1")["lower_master"] is True


def test_the_master_stays_where_one_before_it_cannot_be_lowered():
    before = host("lb1", "backup")
    assert planned([before, host("lb2", "master")], to="lb2") == {"master": "lb2", "to": "lb2", "lower": ["lb1"], "changes": ["lb1"]}
    before["director_keepalived"]["handover"] = None
    assert planned([before, host("lb2", "master")], to="lb2") == {"master": "lb2", "to": "lb2"}


def test_who_cannot_take_over(pair):
    assert refused([pair[0]]) == ["there is no second director that could take over from lb1"]
    assert refused(pair, to="lb9") == ["lb9: there is no such director; there are lb1, lb2"]
    stopped = copy.deepcopy(pair)
    without_vrrp(stopped[1], running=False)
    assert refused(stopped) == ["there is no second director that could take over from lb1", "lb2 cannot take over: keepalived does not run"]
    assert refused(stopped, to="lb2") == refused(stopped, away_from="lb2") == ["lb2 has no VRRP instance"]
    assert refused([without_vrrp(each) for each in stopped]) == [
        "no director has VRRP: lb1: keepalived has no VRRP instance; lb2: keepalived has no VRRP instance"
    ]


def test_a_group_that_is_not_sound():
    assert refused([host("lb1", "master"), host("lb2", "master")]) == ["lb1 and lb2 are master at the same time"]
    assert refused([host("lb1", "backup"), host("lb2", "backup")]) == ["no director is master"]
    half = [host("lb1", "master"), host("lb2", "backup")]
    half[0]["director_keepalived"]["instances"][0]["state"] = "fault"
    assert refused(half)[0] == "lb1, the master: VRRP: the instance front is in the state fault"


def test_a_director_that_is_in_fault_or_without_a_file(pair):
    pair[1]["director_keepalived"]["instances"][1]["state"] = "fault"
    assert refused(pair) == [
        "lb2 cannot take over: the VRRP instance front is in the state backup",
        "lb2 cannot take over: the VRRP instance back is in the state fault",
    ]
    pair[1] = host("lb2", "backup")
    pair[0]["director_keepalived"]["handover"] = None
    lacks = "lb2 cannot take over: %s has no handover file: see failover.handover_file of ipvs_keepalived"
    assert refused(pair) == [lacks % "lb1"]
    pair[1]["director_keepalived"]["handover"] = None
    assert refused(pair) == [lacks % "lb1", lacks % "lb2"]


def test_a_director_with_another_table_or_other_health(pair):
    table(pair[1])[0]["scheduler"] = "sh"
    assert refused(pair) == ["lb2 cannot take over: tcp 203.0.113.80:80: scheduler is sh here and rr on lb1"]
    table(pair[1])[0]["scheduler"] = "rr"
    out(pair[1], 0, state="down")
    assert refused(pair)[0].startswith("lb2 cannot take over: tcp 203.0.113.80:80: the server 198.51.100.11:80 has weight 0 (its check fails: http)")


@pytest.mark.parametrize(("high", "low", "possible"), [(150, 51, True), (150, 50, False), (90, 2, True), (90, 1, False)])
def test_priorities_that_are_too_far_apart(high, low, possible):
    hosts = [host("lb1", "master", priority=high), host("lb2", "backup", priority=low)]
    if possible:
        assert planned(hosts)["to"] == "lb2"
    else:
        (text,) = refused(hosts)
        assert text.startswith(f"lb2 cannot take over: the priority of lb1 is {high}; handing over takes 100 of it")


def test_several_groups(pair):
    others = [host("lb3", "master"), host("lb2", "backup")]
    for each in others:
        each["inventory_hostname"] = "other-" + each["inventory_hostname"]
        for number, one in enumerate(each["director_keepalived"]["instances"]):
            one["addresses"][0]["address"] = f"203.0.113.9{number}"
    both = [*pair, *others]
    assert refused(both) == [
        "several groups of directors share addresses (lb1 and lb2; other-lb3 and other-lb2): name the director that is to take over"
    ]
    assert planned(both, to="lb2") == planned(pair)
    assert [each["name"] for each in compare_directors(both) if each["home"]] == ["lb1", "other-lb2"]
