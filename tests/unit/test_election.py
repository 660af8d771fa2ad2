# SPDX-License-Identifier: GPL-3.0-or-later
"""When a node knows whether it is master, and how it leaves that to another; addresses that it holds meanwhile."""

from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _election, _failover, _held, _state, _use
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _network_lines, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._node._network_node import Address
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from tests.support import eventually

PROCESSES = _daemon.Processes(10, None, 12)
FAILOVER = _failover.failover({"interface": "eth1", "priority": 100, "addresses": ["203.0.113.80"], "gateways": ["198.51.100.1"], "back_interface": "eth0"})


@pytest.fixture
def states(monkeypatch):
    """([{name: state}] that is said from one question to the next, the last one on and on, [seconds]); a second lies between two."""
    told, clock = [], [0.0]
    monkeypatch.setattr(_daemon, "vrrp_data", lambda processes: "")

    def instances(_data):
        clock[0] += 1
        now = told.pop(0) if len(told) > 1 else told[0]
        return [_state.Instance(name, state, 0, "eth1", 51, 100, 100, None, 0, ()) for name, state in now.items()]

    monkeypatch.setattr(_state, "instances", instances)
    monkeypatch.setattr(_election.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(_election.time, "sleep", lambda seconds: None)
    return told, clock


def both(state):
    return {"front": state, "back": state}


def test_a_master_is_known_at_once(states):
    states[0].extend([both("master")])
    assert _election.decided(FAILOVER, PROCESSES, begins=True) is True and states[1] == [1]


def test_both_sides_have_to_be_master(states):
    states[0].extend([{"front": "master", "back": "backup"}, both("master")])
    assert _election.decided(FAILOVER, PROCESSES, begins=False) is True


@pytest.mark.parametrize(("begins", "interval", "seconds"), [(False, 1, 1), (True, 1, 6), (True, 5, 18)])
def test_a_backup_that_has_begun_waits_for_a_master_to_be_silent(states, begins, interval, seconds):
    states[0].extend([both("backup")])
    assert _election.decided(slower(interval), PROCESSES, begins) is False
    assert states[1] == [pytest.approx(seconds, abs=1)]


def slower(interval):
    return FAILOVER._replace(instances=[instance._replace(advert_interval=interval) for instance in FAILOVER.instances])


def test_it_becomes_master_when_there_is_none(states):
    states[0].extend([both("backup"), both("backup"), both("backup"), both("master")])
    assert _election.decided(FAILOVER, PROCESSES, begins=True) is True


def test_a_fault_is_one_when_a_master_has_had_its_time(states):
    states[0].extend([both("init")] * 15 + [both("master")])
    assert _election.decided(slower(5), PROCESSES, begins=False) is True


@pytest.mark.parametrize("said", [{"front": "backup", "back": "fault"}, both("init"), {}])
def test_a_fault(states, said):
    states[0].extend([said])
    text = "VRRP does not work: (front on eth1 is in state (backup|init), back on eth1 is in state (fault|init)|no instance);"
    with pytest.raises(IpvsError, match=text):
        _election.decided(FAILOVER, PROCESSES, begins=True)


def test_whether_there_is_a_fault(states):
    states[0].extend([{"front": "backup", "back": "fault"}])
    assert _election.is_faulty(PROCESSES) and not _election.is_faulty(None) and not _election.is_faulty(PROCESSES._replace(vrrp=None))
    states[0][:] = [both("backup")]
    assert not _election.is_faulty(PROCESSES)


def test_a_process_without_instances_takes_no_part(states):
    states[0].extend([{}])
    assert not _election.takes_part(PROCESSES) and not _election.takes_part(None)
    states[0][:] = [both("backup")]
    assert _election.takes_part(PROCESSES) and not _election.takes_part(PROCESSES._replace(vrrp=None))


@pytest.mark.parametrize(("told", "seconds"), [([both("master"), both("backup")], 2), ([both("master")], 4), ([both("backup")], 1)])
def test_handing_over(states, tmp_path, told, seconds, monkeypatch):
    """It waits until another has taken over, for a while."""
    states[0].extend(told)
    pauses = []
    monkeypatch.setattr(_election.time, "sleep", pauses.append)
    _election.hand_over(str(tmp_path / "handover"), PROCESSES)
    assert (tmp_path / "handover").read_text() == "1\n" and abs(states[1][0] - seconds) <= 1
    assert pauses == [_election._PAUSE] * len(pauses) and bool(pauses) == (told[0] != both("backup"))


def test_the_file_is_known_from_the_text():
    text = "track_file handover {\n    file /var/lib/x\n    weight -100\n}\n"
    assert (_election.handover_file(text), _election.handover_file("# none\n"), _election.handover_file(None)) == ("/var/lib/x", None, None)
    with pytest.raises(IpvsError, match="/nowhere/x: No such file"):
        _election.hand_over("/nowhere/x", PROCESSES)


# held addresses


class Node:
    """A node's addresses, {identity of a line}."""

    def __init__(self, *texts):
        self.has = set(texts)
        self.loans, self.closed = [], 0

    def addresses(self):
        words = [text.split() for text in sorted(self.has)]
        return [Address(each[1].split("/")[0], int(each[1].split("/")[1]), each[3], 0) for each in words]

    def there(self, lines):
        return set(self.has)

    def change(self, lines, is_up):
        for line in lines:
            (self.has.add if is_up else self.has.discard)(_network_lines.identity(line))
        return []

    def lend(self, lines, seconds, again=False):
        self.loans.append((seconds, again))
        return self.change(lines, True)

    def close(self):
        self.closed += 1


VIP, COPY = "address 203.0.113.80/32 dev eth1", "address 203.0.113.80/32 dev lo"
OWN, VIP6 = "address 203.0.113.11/24 dev eth1", "address 2001:db8::80/128 dev eth1"
HELD = {"203.0.113.80", "2001:db8::80", "203.0.113.99"}


def node_with(monkeypatch, *texts):
    node = Node(*texts)
    monkeypatch.setattr(_boot, "new_node", lambda: node)
    return node


def test_what_is_taken_away_comes_back(monkeypatch):
    node = node_with(monkeypatch, OWN, VIP, VIP6)
    with _held.Held(HELD) as held:
        assert held and node.has == {OWN, VIP, VIP6, COPY, "address 2001:db8::80/128 dev lo"}
        node.has.discard(VIP)
        monkeypatch.setattr(_held.Held, "_keep", None)  # at the latest at the end
    assert node.has == {OWN, VIP, VIP6} and node.closed == 3  # before, meanwhile and after


def test_it_comes_back_meanwhile(monkeypatch):
    node = node_with(monkeypatch, VIP)
    with _held.Held(HELD) as held:
        node.has.discard(VIP)
        held._over.wait(5 * _held._PAUSE)
        assert VIP in node.has


@pytest.mark.parametrize("handed_over", [True, False])
def test_nobody_puts_it_back_after_the_end(monkeypatch, handed_over):
    node = node_with(monkeypatch, VIP)
    with _held.Held(HELD) as held:
        assert held._keeper.is_alive()
        if handed_over:
            held.hand_over(())
            assert not held._keeper.is_alive()
    assert not held._keeper.is_alive() and node.has == (set() if handed_over else {VIP})


def test_a_copy_is_lent_again_until_the_end(monkeypatch):
    node = node_with(monkeypatch, VIP)
    monkeypatch.setattr(_held, "_RENEWAL", 0)
    with _held.Held(HELD) as held:
        held._over.wait(5 * _held._PAUSE)
    assert node.loans[0] == (_held._LOAN, False) and set(node.loans[1:]) == {(_held._LOAN, True)}
    assert _held._RENEWAL < _held._LOAN


def test_a_copy_is_lent_again_from_time_to_time(monkeypatch):
    node, ticks = node_with(monkeypatch, VIP), itertools.count()
    monkeypatch.setattr(_held, "_PAUSE", 0.001)
    monkeypatch.setattr(_held, "time", SimpleNamespace(monotonic=lambda: next(ticks)))
    with _held.Held(HELD):
        eventually(lambda: len(node.loans) > 3)
    assert len(node.loans) - 1 <= next(ticks) / _held._RENEWAL


def test_handed_over_to_the_master_that_this_node_is(monkeypatch):
    node = node_with(monkeypatch, VIP, "address 2001:db8::80/64 dev eth1")
    with _held.Held(HELD) as held:
        node.has.add(VIP6)
        held.hand_over(_election.places(_failover.failover({"interface": "eth1", "priority": 1, "addresses": ["203.0.113.80", "2001:db8::80"]})))
    assert node.has == {VIP, VIP6}


def test_handed_over_to_a_master_elsewhere(monkeypatch):
    node = node_with(monkeypatch, OWN, VIP, VIP6)
    with _held.Held(HELD) as held:
        held.hand_over(())
    assert node.has == {OWN}


def test_a_copy_of_somebody_elses_stays(monkeypatch):
    node = node_with(monkeypatch, VIP, COPY)
    with _held.Held(HELD):
        pass
    assert node.has == {VIP, COPY}


def test_an_address_that_cannot_be_held_is_named(monkeypatch):
    node = node_with(monkeypatch, VIP)
    node.lend = lambda lines, seconds, again=False: [_network_lines.Failure(line, "Operation not permitted") for line in lines]
    with pytest.raises(IpvsError, match=f"^{COPY}: Operation not permitted$"), _held.Held(HELD):
        pass


def test_nothing_to_hold(monkeypatch):
    node = node_with(monkeypatch, OWN)
    with _held.Held(HELD) as held:
        assert not held
    with _held.Held(set()) as held:
        assert not held
    assert node.has == {OWN}


OURS = {"203.0.113.80", "198.51.100.1"}


def running(*instances):
    """[Instance], each of which is given by its interface and its virtual router ID."""
    return [_state.Instance("x", "master", 0, interface, router_id, 100, 100, None, 0, ()) for interface, router_id in instances]


BOTH = running(("eth0", 51), ("eth1", 51))


@pytest.mark.parametrize(
    ("failover", "instances", "processes", "booted", "held"),
    [
        (FAILOVER, [], PROCESSES, False, OURS),
        (FAILOVER, [], None, True, OURS),
        (FAILOVER, [], None, False, set()),
        (FAILOVER, BOTH, PROCESSES, True, set()),
        (FAILOVER, running(("eth0", 52), ("eth1", 52)), PROCESSES, True, OURS),
        (FAILOVER, running(("eth1", 51)), PROCESSES, True, OURS),
        (FAILOVER, [*BOTH, *running(("eth2", 51))], PROCESSES, True, OURS),
        (None, BOTH, PROCESSES, True, {"203.0.113.9"}),
        (None, [], PROCESSES, True, set()),
    ],
    ids=["begins", "keepalived starts", "image build", "goes on", "another ID", "another interface", "one side less", "ends", "never was"],
)
def test_which_addresses_the_node_holds(monkeypatch, failover, instances, processes, booted, held):
    """While VRRP goes on they are its own: on lo they would answer on a backup, too."""
    monkeypatch.setattr(_daemon, "vrrp_data", lambda processes: "")
    monkeypatch.setattr(_state, "instances", lambda data: instances)
    monkeypatch.setattr(_units, "running", lambda: booted)
    assert _use._held_addresses(_use.Desired("x", {}, failover, "u", frozenset({"203.0.113.9"})), processes) == held
