# SPDX-License-Identifier: GPL-3.0-or-later
"""What is opened in firewalld, and what is closed: against a firewalld that stands for the real one."""

from __future__ import annotations

import ipaddress
import os
import stat

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _firewalld
from ansible_collections.lvs.ipvs.plugins.module_utils._node._nftables import Selector
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from . import plain_files

WEB = Selector(ipaddress.ip_network("203.0.113.80"), "tcp", ((80, 80), (8000, 8010)))
ALL = Selector(ipaddress.ip_network("2001:db8::/64"), "udp", ())
WEB_RULES = [
    'rule family="ipv4" destination address="203.0.113.80" port port="80" protocol="tcp" accept',
    'rule family="ipv4" destination address="203.0.113.80" port port="8000-8010" protocol="tcp" accept',
]
ALL_RULES = ['rule family="ipv6" destination address="2001:db8::/64" protocol value="udp" accept']


class Firewalld:
    """firewall-cmd, as far as it is used. ``rules``: {(permanent, zone): [rule]}."""

    def __init__(self, zones=("public",)):
        self.rules = {(permanent, zone): [] for permanent in (False, True) for zone in zones}
        self.calls, self.broken = 0, False

    def __call__(self, command, **_options):
        words = command[1:]
        if words == ["--get-default-zone"]:
            return 0, "public\n", ""
        if words == ["--get-active-zones"]:
            return 0, "".join(f"{zone}\n  interfaces: eth0\n" for zone in sorted({zone for _permanent, zone in self.rules})), ""
        permanent = words[0] == "--permanent"
        words = words[permanent:]
        zone = words[0].partition("=")[2]
        if (permanent, zone) not in self.rules:
            return 112, "", "Error: INVALID_ZONE: " + zone
        if words[1:] == ["--list-rich-rules"]:
            return 0, "".join(rule + "\n" for rule in self.rules[permanent, zone]), ""
        self.calls += 1
        if self.broken:
            return 1, "", "Error: COMMAND_FAILED: out of order"
        for word in words[1:]:
            verb, _equals, rule = word.partition("=")
            getattr(self.rules[permanent, zone], {"--add-rich-rule": "append", "--remove-rich-rule": "remove"}[verb])(rule)
        return 0, "success\n", ""


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(_firewalld._programs, "find", lambda name: "/usr/bin/" + name)
    monkeypatch.setattr(os, "chown", lambda *arguments: None)
    return str(tmp_path / "lib/firewalld.json")


def test_whether_it_runs(monkeypatch):
    for path, status, runs in (("/usr/bin/firewall-cmd", 0, True), ("/usr/bin/firewall-cmd", 252, False), (None, 0, False)):
        monkeypatch.setattr(_firewalld._programs, "find", lambda name, path=path: path)
        context = Context(False, True, None, lambda words, status=status: (status if words == ["/usr/bin/firewall-cmd", "--state"] else 1, "", ""), None)
        assert _firewalld.running(context) is runs


def context_of(firewalld):
    return Context(False, True, lambda text: None, firewalld, plain_files.write_files)


def converge(firewalld, place, *selectors, zones=()):
    context = context_of(firewalld)
    plan = _firewalld.plan(selectors, list(zones), context, place)
    _firewalld.apply(plan, context, place)
    again = _firewalld.plan(selectors, list(zones), context, place)
    assert again.steps == [] and again.before == again.after == plan.after
    return plan


def test_opened_and_closed_in_both_configurations(place):
    firewalld = Firewalld()
    plan = converge(firewalld, place, WEB, ALL)
    assert firewalld.rules == {(False, "public"): WEB_RULES + ALL_RULES, (True, "public"): WEB_RULES + ALL_RULES}
    assert _firewalld.differences(plan)[0] == f"firewalld zone public (running): {WEB_RULES[0]} is missing"
    assert plan.before == "" and f"# firewalld zone public (permanent)\n{ALL_RULES[0]}\n" in plan.after
    plan = converge(firewalld, place, WEB)
    assert _firewalld.differences(plan)[0] == f"firewalld zone public (running): {ALL_RULES[0]} is there and is no longer needed"
    converge(firewalld, place)
    assert firewalld.rules == {(False, "public"): [], (True, "public"): []} and not os.path.exists(place)


def test_what_was_open_before_stays_open(place):
    firewalld = Firewalld()
    for rules in firewalld.rules.values():
        rules.append(WEB_RULES[0])
    converge(firewalld, place, WEB)
    converge(firewalld, place)
    assert list(firewalld.rules.values()) == [[WEB_RULES[0]]] * 2


def test_every_zone_in_use_or_those_asked_for(place):
    firewalld = Firewalld(["internal", "public"])
    converge(firewalld, place, ALL)
    assert all(rules == ALL_RULES for rules in firewalld.rules.values())
    converge(firewalld, place, ALL, zones=["internal"])
    assert firewalld.rules[False, "internal"] == ALL_RULES and firewalld.rules[True, "public"] == []
    with pytest.raises(IpvsError, match="firewalld: zone nowhere: Error: INVALID_ZONE"):
        converge(firewalld, place, ALL, zones=["nowhere"])
    del firewalld.rules[False, "internal"], firewalld.rules[True, "internal"]  # the administrator removes the zone
    converge(firewalld, place)
    assert not os.path.exists(place)


def test_what_came_back_without_a_reload_is_closed_where_it_still_is(place):
    firewalld = Firewalld()
    converge(firewalld, place, ALL)
    firewalld.rules[False, "public"].clear()
    converge(firewalld, place)
    assert firewalld.rules[True, "public"] == []


def test_a_failure_leaves_a_record_of_what_may_be_open(place):
    firewalld = Firewalld()
    firewalld.broken = True
    with pytest.raises(IpvsError, match="firewall-cmd --zone=public .* failed: Error: COMMAND_FAILED: out of order"):
        converge(firewalld, place, ALL)
    assert _firewalld.read_record(place) == {"public": ALL_RULES}
    firewalld.broken = False
    converge(firewalld, place)


def test_a_thousand_rules_take_few_commands(place):
    firewalld = Firewalld()
    converge(firewalld, place, *[Selector(ipaddress.ip_network(f"2001:db8::{number:x}"), "tcp", ((80, 80),)) for number in range(1000)])
    assert firewalld.calls == 20
    assert stat.S_IMODE(os.stat(place).st_mode) == 0o644


def test_a_record_that_cannot_be_read_is_named(place):
    os.makedirs(os.path.dirname(place))
    with open(place, "w", encoding="utf-8") as stream:
        stream.write("{")
    with pytest.raises(IpvsError, match="firewalld.json, which lists the ports opened in firewalld, cannot be read"):
        _firewalld.read_record(place)


def test_rules_that_cannot_be_listed(place):
    for errors, reason in (("Error: no bus\n", "Error: no bus"), ("", "exit status 3")):
        context = Context(True, True, print, lambda words, errors=errors: (3, "", errors))
        with pytest.raises(IpvsError, match=f"firewalld: zone gone: {reason}"):
            _firewalld._rules_of("gone", [], context, must=False)
