# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept of the network, now and at boot: a node of the test's own, a disk in memory, a stand-in for systemd."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .network_host import OTHER, OWNER, VIP, Host

UNIT = "/etc/systemd/system/ipvs-x.service"
RULE = "rule -4 priority 5198 from 198.51.100.12 lookup 5198"
SYSCTL = "sysctl net.ipv4.conf.all.arp_ignore 1"


@pytest.fixture
def host(monkeypatch):
    return Host(monkeypatch)


def test_lines_come_with_files_and_a_unit(host):
    todo = host.plan(SYSCTL, VIP)
    assert todo.differences == [
        "kernel setting net.ipv4.conf.all.arp_ignore is not 1",
        "address 203.0.113.80/32 dev eth0 is missing",
        "/usr/local/lib/ipvs-x is missing",
        "/etc/ipvs-x.conf is missing",
        f"{UNIT} is missing",
        "ipvs-x.service is not enabled: nothing comes back after a reboot",
        "ipvs-x.service is not active: see journalctl -u ipvs-x.service",
    ]
    assert host.files == {} and host.network.done == []
    assert todo.before == "" and todo.after.startswith(f"{SYSCTL}\n{VIP}\n# /etc/ipvs-x.conf\n")
    assert "# /usr/local/lib" not in todo.after  # the program itself is the same every time, and long
    assert host.have(SYSCTL, VIP) == todo.differences
    assert host.network.done == ["net.ipv4.conf.all.arp_ignore = 1", VIP]
    assert [line.text for line in _boot.recorded(OWNER)] == [SYSCTL, VIP]
    assert host.done == ["systemctl daemon-reload", "systemctl enable ipvs-x.service", "systemctl reload-or-restart ipvs-x.service"]
    assert host.active == host.enabled == {"ipvs-x.service"}
    host.again(SYSCTL, VIP)


def test_a_unit_that_has_changed_is_enabled_again(host):
    """It may be wanted by something else now."""
    host.have(VIP)
    host.put(UNIT, host.text(UNIT) + "# of a former version\n")
    assert host.have(VIP) == [f"{UNIT} is not as it should be"]
    assert host.done == ["systemctl daemon-reload", "systemctl enable ipvs-x.service"]
    host.again(VIP)


def test_only_what_is_new_comes_and_what_is_not_wanted_goes(host):
    host.have(VIP, RULE)
    assert host.have(OTHER, RULE) == [f"{VIP} is no longer needed", f"{OTHER} is missing", "/etc/ipvs-x.conf is not as it should be"]
    assert host.network.done == [f"- {VIP}", OTHER]
    assert host.done == []  # the unit is the same, enabled and active
    host.again(OTHER, RULE)


MOVED = "address 203.0.113.80/32 dev eth1"


def test_an_address_that_moves_comes_before_it_goes(host, monkeypatch):
    """So it is never away, and the file has both places as long as it is in both."""
    host.have(VIP, RULE)
    recorded, taken = [], []
    change = host.network.change
    monkeypatch.setattr(host.network, "change", lambda group, up: recorded.extend(host.text(OWNER.path) for _line in group) or change(group, up))
    monkeypatch.setattr(_boot._managers, "take_up", lambda changes, context: taken.append(VIP in host.text(OWNER.path)))
    steps = []
    todo = host.plan(MOVED)
    host.network.done.clear()
    _boot.apply(todo, host.network, host.context(), lambda: steps.append(list(host.network.done)))
    assert host.network.done == [f"- {RULE}", MOVED, f"- {VIP}"] and steps == [[f"- {RULE}"]]
    assert VIP in recorded[-1] and MOVED in recorded[-1] and taken == [True, False]
    assert todo.differences[:3] == [f"{VIP} is no longer needed", f"{RULE} is no longer needed", f"{MOVED} is missing"]
    host.again(MOVED)


@pytest.mark.parametrize("broken", [{"dev eth1": "no such device"}, {}])
def test_an_address_that_cannot_move_stays(host, broken):
    host.have(VIP)
    host.network.broken = broken
    if not broken:
        host.full = OWNER.path
    with pytest.raises(IpvsError, match="no such device$" if broken else r"No space left on device\. The rest was undone\.$"):
        host.have(MOVED)
    assert VIP in host.network.found and MOVED not in host.network.found and VIP in host.text(OWNER.path)
    host.network.broken, host.full = {}, ""
    host.have(MOVED)
    assert VIP not in host.network.found and host.text(OWNER.path).count("\naddress") == 1
    host.again(MOVED)


def test_an_address_that_has_moved_and_does_not_go_is_still_known(host):
    host.have(VIP)
    host.network.broken = {"dev eth0": "busy"}
    with pytest.raises(IpvsError, match="did not go: address 203.0.113.80/32 dev eth0: busy$"):
        host.have(MOVED)
    assert {VIP, MOVED} <= host.network.found and [line.text for line in _boot.recorded(OWNER)] == [MOVED, VIP]
    host.network.broken = {}
    assert f"{VIP} is no longer needed" in host.have(MOVED)
    host.again(MOVED)


def test_an_ipv6_address_with_another_prefix_length_goes_when_everything_is_ready(host, monkeypatch):
    """The kernel does not let an interface have both."""
    old, new = "address 2001:db8::80/64 dev eth0", "address 2001:db8::80/128 dev eth0"
    host.have(VIP, old)
    monkeypatch.setattr(_boot._managers, "take_up", lambda changes, context: host.network.done.append("files"))
    host.have(new)
    assert host.network.done == [f"- {VIP}", "files", f"- {old}", new]
    host.again(new)


def test_what_is_up_and_was_not_recorded_needs_the_files_only(host):
    host.network.found.add(VIP)
    assert f"{VIP} is missing" not in host.have(VIP) and host.network.done == []


def test_a_line_of_ours_that_somebody_took_down_comes_back(host):
    host.have(VIP, RULE)
    host.network.found.remove(RULE)
    assert host.have(VIP, RULE) == [f"{RULE} is missing"] and host.network.done == [RULE]


def test_a_link_is_up_or_not(host):
    assert host.plan("link tunl0").differences[0] == "link tunl0 is not up"


@pytest.mark.parametrize(("taken", "what"), [("enabled", "is not enabled: nothing"), ("active", "is not active: see")])
def test_a_unit_that_was_switched_off(host, taken, what):
    host.have(VIP)
    getattr(host, taken).clear()
    (difference,) = host.have(VIP)
    assert what in difference and host.network.done == []
    host.again(VIP)


def test_network_managers_take_up_what_has_been_written(host, monkeypatch):
    taken = []
    monkeypatch.setattr(_boot._managers, "take_up", lambda changes, context: taken.append([change.wanted.path for change in changes]))
    host.have(VIP)
    assert len(taken) == 1 and OWNER.path in taken[0]


def test_in_an_image_build_the_unit_is_enabled_and_not_started(host):
    host.booted = False
    assert not [each for each in host.have(VIP) if "active" in each]
    assert host.enabled == {"ipvs-x.service"} and host.done == ["systemctl enable ipvs-x.service"]
    host.again(VIP)


def test_nothing_wanted_takes_everything_away(host):
    host.have(VIP, SYSCTL)
    todo = host.plan()
    assert todo.differences[0] == f"{VIP} is no longer needed" and todo.after == "" and VIP in todo.before
    _boot.apply(todo, host.network, host.context())
    assert host.files == {} and host.enabled == set() and host.active == set()
    assert VIP not in host.network.found and host.network.settings  # those stay
    assert host.done == ["systemctl stop ipvs-x.service", "systemctl disable ipvs-x.service", "systemctl daemon-reload"]
    host.again()
    assert host.plan().unit is None


def test_a_unit_that_goes_is_not_said_to_be_off(host):
    host.have(VIP)
    host.enabled.clear()
    host.active.clear()
    assert not [each for each in host.plan().differences if "active" in each or "enabled" in each]


def test_what_somebody_else_takes_over_stays_up(host):
    host.have(VIP, OTHER)
    todo = host.plan(released=VIP)
    assert todo.keeps and [line.text for line in todo.leaving] == [OTHER]
    stopped = []
    host.network.done.clear()
    run = host.run_command

    def look(words, data=None):
        if words[1] == "stop":
            stopped.append(host.text(OWNER.path))
        return run(words, data)

    host.run_command = look
    _boot.apply(todo, host.network, host.context())
    assert stopped == [""]  # so that the unit, which takes down what the file has, takes down nothing
    assert VIP in host.network.found and OTHER not in host.network.found and host.files == {}


def test_lines_that_fail_are_named(host):
    host.network.broken = {"203.0.113.81": "no such device"}
    with pytest.raises(IpvsError, match=r"^1 of the lines in /etc/ipvs-x.conf did not come up: address 203.0.113.81/32 dev eth0: no such device$"):
        host.have(VIP, OTHER)
    assert VIP in host.network.found and "ipvs-x.service" not in host.active
    host.network.broken = {}
    assert host.have(VIP, OTHER) == [f"{OTHER} is missing", "ipvs-x.service is not active: see journalctl -u ipvs-x.service"]


def test_lines_that_do_not_go(host):
    host.have(VIP, OTHER)
    files = dict(host.files)
    host.network.broken = {"203.0.113.80": "busy"}
    with pytest.raises(IpvsError, match="did not go: address 203.0.113.80/32 dev eth0: busy$"):
        host.have(OTHER)
    assert host.files == files


def test_a_line_that_nothing_refuses_and_that_is_not_there(host):
    host.network.deaf = ("203.0.113.81",)
    with pytest.raises(IpvsError, match=r"^1 of .* did not come up: address 203.0.113.81/32 dev eth0: it is not there, though nothing refused it$"):
        host.have(VIP, OTHER)


@pytest.mark.parametrize("number", [20, 21, 23])
def test_many_failures_are_shortened(host, number):
    host.network.broken = {"address": "no"}
    with pytest.raises(IpvsError) as failure:
        host.have(*[f"address 198.51.100.{last}/32 dev eth0" for last in range(100, 100 + number)])
    message = str(failure.value)
    assert message.startswith(f"{number} of the lines") and message.count(": no") == 20
    assert message.endswith(f"; and {number - 20} more") == (number > 20)


def test_files_that_cannot_be_written_undo_the_rest(host):
    host.have(VIP)
    host.full = OWNER.path
    todo = host.plan(OTHER)
    steps = []
    with pytest.raises(IpvsError, match=r"^/etc/ipvs-x.conf: No space left on device\. The rest was undone\.$"):
        _boot.apply(todo, host.network, host.context(), lambda: steps.append("between"), lambda: steps.append("undo") or "")
    assert steps == ["between", "undo"] and VIP in host.network.found and OTHER not in host.network.found
    assert host.done == []  # the unit was not stopped, so there is nothing to bring back
    host.network.broken = {}

    def go_bad():
        host.network.broken = {"203.0.113.80": "gone"}

    with pytest.raises(IpvsError, match=r"Undoing the rest failed in part: y is not x; address 203.0.113.80/32 dev eth0: gone$"):
        _boot.apply(host.plan(OTHER), host.network, host.context(), go_bad, lambda: "y is not x")


@pytest.mark.parametrize("was", ["active", "enabled", "neither"])
def test_a_unit_that_was_stopped_is_as_it_was_where_the_files_stay(host, was):
    host.have(VIP)
    files, host.full = dict(host.files), OWNER.path
    host.active, host.enabled = (({"ipvs-x.service"} if state == was else set()) for state in ("active", "enabled"))
    before = set(host.active), set(host.enabled)
    with pytest.raises(IpvsError, match=r"No space left on device\. The rest was undone\.$"):
        host.have()
    assert (host.active, host.enabled, host.files) == (*before, files) and VIP in host.network.found
    host.active, host.broken = {"ipvs-x.service"}, {"reload-or-restart": "no"}
    with pytest.raises(IpvsError, match=r"Undoing the rest failed in part: systemctl reload-or-restart ipvs-x\.service failed: a line$"):
        host.have()


def test_a_file_that_somebody_else_has_spoilt(host):
    host.put(OWNER.path, "adress 203.0.113.80/32 dev eth0\n")
    with pytest.raises(IpvsError, match=r"^/etc/ipvs-x.conf: unknown line 'adress.*; remove that line, which this collection did not write$"):
        host.plan(VIP)


def test_more_files_of_the_owners(host):
    extra = [_own_files.File("/etc/x", "x\n")]
    assert "/etc/x is missing" in host.have(VIP, extra=extra)
    assert host.text("/etc/x") == "x\n"
    host.again(VIP, extra=extra)


def test_a_node_imports_pyroute2_when_it_is_needed(monkeypatch):
    monkeypatch.setattr(_boot._pyroute2, "load_iproute", lambda: lambda: "an IPRoute")
    assert _boot.new_node()._iproute() == "an IPRoute"


def test_folders_of_ours_go_with_what_was_in_them(host, monkeypatch):
    gone = []
    host.have(VIP)
    monkeypatch.setattr(_boot.os, "rmdir", gone.append)
    host.have()
    assert gone == [OWNER.program + "/ipvs_network", OWNER.program]


def test_files_that_were_removed_before_one_could_not_be_come_back(host, monkeypatch):
    host.have(VIP)
    files, failures = dict(host.files), iter(["/etc/ipvs-x.conf: Input/output error"])

    def write(changes, context):
        for failure in failures:
            host.write(changes[:1], context)
            raise IpvsError(failure)
        host.write(changes, context)

    monkeypatch.setattr(_boot._own_files, "write", write)
    with pytest.raises(IpvsError, match="Input/output error"):
        host.have()
    assert host.files == files
