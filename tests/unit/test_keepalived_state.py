# SPDX-License-Identifier: GPL-3.0-or-later
"""What keepalived tells of itself: texts that 2.2.7 (Debian 12) and 2.3.3 (Debian 13) have written, one configuration for both.

Of the servers of the first service, 198.51.100.11 answers, .12 is drained, .13 is gone, .14 answers to one of two checks, and the check of
.15 has not run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _state
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

VERSIONS = ("2.2.7", "2.3.3")


def text(version, process):
    return (Path(__file__).parent / "keepalived" / f"{version}-{process}.txt").read_text()


@pytest.fixture(params=VERSIONS)
def services(request):
    """{name of a service: Service}."""
    return {str(service.id or service.name): service for service in _state.services(text(request.param, "checker"))}


def test_both_versions_tell_the_same():
    first, second = (_state.services(text(version, "checker")) for version in VERSIONS)
    assert first == second
    first, second = ([each._replace(since=0) for each in _state.instances(text(version, "vrrp"))] for version in VERSIONS)
    assert first == second


def test_services(services):
    assert {name: service.quorum_up for name, service in services.items()} == {
        "tcp 203.0.113.80:80": True,
        "udp 203.0.113.80:53": True,
        "tcp [2001:db8::80]:80": False,
        "fwmark 7": True,
        "fwmark 7 (ipv6)": False,
        "[many]:0": True,
        "tcp 203.0.113.80:25": False,
    }
    assert services["[many]:0"].id is None


def test_health(services):
    servers = services["tcp 203.0.113.80:80"].servers
    assert [(str(server.id), server.health, server.drained) for server in servers] == [
        ("198.51.100.11:80", _state.UP, False),
        ("198.51.100.12:80", _state.UP, True),
        ("198.51.100.13:80", _state.DOWN, False),
        ("198.51.100.14:80", _state.DOWN, False),
        ("198.51.100.15:80", _state.UNKNOWN, False),
    ]
    assert [(server.weight, server.effective_weight) for server in servers] == [(5, 5), (5, -99995), (5, 5), (0, 0), (5, 5)]


def test_checks_belong_to_their_server(services):
    def checks(name, number=0):
        return [(check.type, check.up) for check in services[name].servers[number].checks]

    assert checks("tcp 203.0.113.80:80") == [("tcp", True), ("file", True)]
    assert checks("tcp 203.0.113.80:80", 3) == [("tcp", True), ("http", False)]
    assert checks("udp 203.0.113.80:53") == [("file", True)]
    assert checks("tcp [2001:db8::80]:80") == [("tcp", False)]
    assert checks("fwmark 7") == [("tcp", True), ("file", True)]
    assert checks("fwmark 7 (ipv6)") == [("tcp", False)]
    assert checks("[many]:0") == [("tcp", True)]
    kinds = [("smtp", False), ("https", False), ("script", True), ("ping", True), ("udp", False), ("dns", False)]
    assert checks("tcp 203.0.113.80:25") == kinds


@pytest.mark.parametrize("version", VERSIONS)
def test_instances(version):
    front, back, broken = _state.instances(text(version, "vrrp"))
    places = (_state.Place("203.0.113.80", "d0", True), _state.Place("2001:db8::80", "d0", True))
    assert front == _state.Instance("front", "master", front.since, "d0", 51, 150, 150, "directors", 0, places)
    assert (back.name, back.state, back.interface, back.router_id) == ("back", "master", "e0", 52)
    assert (broken.name, broken.state, broken.sync_group) == ("broken", "fault", None)
    assert front.since - broken.since == pytest.approx(3.5, abs=0.1)  # three adverts missed, and the skew


@pytest.mark.parametrize(("version", "state", "content"), [("2.2.7", "backup", 1), ("2.3.3", "master", 0)])
def test_a_director_that_is_handed_over_by_a_file(version, state, content):
    """The first has handed over to the second."""
    data = text(version, "handover")
    front, back = _state.instances(data)
    assert (front.state, back.state, front.preempt_delay, front.priority - front.effective_priority) == (state, state, 5, 100 * content)
    assert (front.places, back.places) == (
        (_state.Place("203.0.113.80", "eth1", state == "master"),),
        (_state.Place("198.51.100.250", "eth0", state == "master"),),
    )
    assert _state.track_files(data) == [_state.TrackFile("handover", "/var/lib/ipvs-director/handover", content, -100)]
    unwilling = data.replace("   Preempt = enabled\n   Preempt delay = 5 secs\n", "   Preempt = disabled\n")
    assert [each.preempt_delay for each in _state.instances(unwilling)] == [None, None]


def test_other_addresses_are_not_those_that_move():
    routes = "   Virtual Routes (1):\n     198.51.100.99 dev eth0 scope global set\n"
    data = text("2.2.7", "handover")
    assert _state.instances(data.replace("   Unicast TTL", routes + "   Unicast TTL")) == _state.instances(data)


@pytest.mark.parametrize("process", ["checker", "vrrp"])
@pytest.mark.parametrize("version", VERSIONS)
def test_every_text_begins_with_the_router_id(version, process):
    assert _state.router_id(text(version, process)) == "director1"


def test_what_a_process_has_nothing_of():
    globals_alone = text("2.2.7", "vrrp").partition("------< VRRP Topology")[0]
    assert _state.instances(globals_alone) == [] and _state.services(globals_alone) == []


def test_a_file_that_takes_only_some_of_the_weight_does_not_drain():
    check = _state.Check("file", True, True, -4)
    server = _state.Server(("198.51.100.11", 80), True, 5, 1, (check,))
    assert not server.drained
    assert server._replace(effective_weight=0, checks=(check._replace(weight=-5),)).drained
    assert not server._replace(weight=0, effective_weight=0, checks=(check._replace(weight=0),)).drained
    assert not server._replace(effective_weight=0, checks=(check._replace(type="misc", weight=-5),)).drained


def test_what_users_may_choose_is_no_state():
    """Scripts' arguments and the like come behind the state in a block."""
    lines = text("2.2.7", "checker").replace("   script = ", "   Up = no\n   script = ")
    assert _state.services(lines) == _state.services(text("2.2.7", "checker"))


def test_only_the_health_checkers_are_checks():
    """The name of a server stands in other sections, too."""
    lines = text("2.2.7", "checker")
    assert _state.services(lines + "------< Another section >------\n FWM 7 -> [198.51.100.11]:none:0\n   Weight = 1\n") == _state.services(lines)


@pytest.mark.parametrize("missing", ["   alive = ", "   Keepalive method = ", "   protocol = ", " VS VIP = "])
def test_another_form_is_refused(missing):
    lines = [line for line in text("2.2.7", "checker").splitlines() if not line.startswith(missing)]
    with pytest.raises(IpvsError, match=r"^what keepalived tells of services cannot be read \(KeyError"):
        _state.services("\n".join(lines))


def test_no_text_is_refused():
    with pytest.raises(IpvsError, match="global definitions cannot be read"):
        _state.router_id("")


def test_what_stands_before_the_first_title_belongs_to_nothing():
    whole = text("2.2.7", "checker")
    assert _state.services("Weight = 7\n\n" + whole) == _state.services(whole)
