# SPDX-License-Identifier: GPL-3.0-or-later
"""Who can hand over to whom, and what has to be done for it."""

from __future__ import annotations

import copy

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.compare_directors import compare_directors
from ansible_collections.lvs.ipvs.plugins.filter.handover_plan import handover_plan

from .director_hosts import host, out, table, without_vrrp


@pytest.fixture
def pair():
    return [host("lb1", "master"), host("lb2", "backup")]


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
    three[1] = host("lb2", "backup", priority=160)
    three[1]["director_keepalived"]["instances"][0]["state"] = "fault"
    assert planned(three, away_from="lb1")["to"] == "lb3"


def test_what_others_lack_does_not_matter_where_nothing_is_to_be_done_there():
    three = [host("lb1", "master"), host("lb2", "backup"), host("lb3", "backup")]
    three[2]["director_keepalived"]["handover"] = None
    assert planned(three, to="lb2")["to"] == "lb2"
    after = [host("lb1", "backup", lowered=True), host("lb2", "backup", lowered=True), host("lb3", "master")]
    assert planned(after, to="lb3") == {"master": "lb3", "to": "lb3", "lowered": ["lb1", "lb2"]}
    assert refused([], to="lb9") == ["lb9: there is no such director; there are none"]


def test_a_master_that_is_lowered_and_stays_is_not_lowered_again():
    hosts = [host("lb1", "master", lowered=True), host("lb2", "backup")]
    assert planned(hosts, to="lb2") == {"master": "lb1", "to": "lb2", "lowered": ["lb1"]}


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
