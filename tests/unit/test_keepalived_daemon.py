# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding keepalived's processes, and having them load a configuration, in a folder that stands for /proc."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .keepalived_processes import CHECKER, NOT_YET, PARENT, PROGRAM, VRRP, Machine, hurry


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path / "proc", monkeypatch)


@pytest.fixture
def impatient(monkeypatch):
    hurry(monkeypatch)


@pytest.fixture
def as_root(monkeypatch, machine):
    """Whoever runs the tests."""
    monkeypatch.setattr(_daemon.os, "geteuid", lambda: 0)


@pytest.mark.usefixtures("as_root")
class TestFind:
    def test_nothing_runs(self, machine):
        assert machine.found() is None

    def test_all_three(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(12, 10, CHECKER)
        machine.process(11, 10, VRRP)
        assert machine.found() == (10, 12, 11)
        assert machine.warnings == []

    def test_a_child_may_be_missing(self, machine):
        machine.process(10, 1, PARENT)
        assert machine.found() == (10, None, None)
        machine.process(11, 10, VRRP)
        assert machine.found() == (10, None, 11)

    def test_a_process_for_bfd_is_none_of_them(self, machine):
        for pid, blocked in ((10, PARENT), (11, CHECKER), (12, VRRP), (13, CHECKER)):
            machine.process(pid, min(pid - 1, 10), blocked)
        assert machine.found() == (10, 11, 12)

    def test_a_program_that_was_replaced_since(self, machine):
        machine.process(10, 1, PARENT, program=PROGRAM + " (deleted)")
        assert machine.found().parent == 10

    @pytest.mark.parametrize("program", ["/usr/bin/python3", "/usr/sbin/keepalived-exporter", "/srv/keepalived/check"])
    def test_other_programs(self, machine, program):
        machine.process(10, 1, PARENT, program=program)
        assert machine.found() is None

    def test_the_child_that_tries_a_configuration_before_a_reload(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, CHECKER)
        machine.process(12, 10, PARENT, words=(b"/usr/sbin/keepalived", b"--dont-fork", b"--config-test=/dev/null"))
        assert machine.found() == (10, 11, None)

    def test_one_that_does_not_wait_for_signals(self, machine):
        """As ``keepalived --config-test``, and a keepalived that has just been started."""
        machine.process(10, 1, NOT_YET)
        assert machine.found() is None

    def test_one_of_another_network_namespace(self, machine):
        machine.process(10, 1, PARENT, netns="other")
        assert machine.found() is None

    def test_a_second_one_is_told_of(self, machine):
        machine.process(20, 1, PARENT)
        machine.process(10, 1, PARENT)
        assert machine.found().parent == 10
        assert machine.warnings == ["2 keepalived run in one network namespace; this is about process 10"]


def test_without_root_nothing_can_be_said(machine, monkeypatch):
    monkeypatch.setattr(_daemon.os, "geteuid", lambda: 1000)
    with pytest.raises(IpvsError, match="needs root: use become"):
        machine.found()


def test_version(machine):
    assert _daemon.version(machine.context) is None
    machine.printed[PROGRAM] = (0, "", "Keepalived v2.3.3 (03/30,2025)\n\nCopyright(C) 2001-2025\n")
    running = _daemon.Processes(10, None, None)
    assert _daemon.version(machine.context) == _daemon.version(machine.context, running) == "2.3.3"
    machine.printed[f"{machine.root}/10/exe"] = (0, "", "Keepalived v2.2.7 (01/16,2022)\n")
    assert _daemon.version(machine.context, running) == "2.2.7"


@pytest.mark.usefixtures("as_root")
class TestReload:
    OLD, NEW = ({"keepalived_check.data": f"------< Global definitions >------\n Router ID = {name}\n"} for name in ("old", "new"))

    def reload(self, machine, **wanted):
        return _daemon.reload(None, machine.context, "new", **{"checker": True, "vrrp": False, **wanted})

    def test_it_is_waited_for(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, CHECKER)
        signals = []
        machine.on_signal[10] = signals.append
        answers = iter([self.OLD, self.OLD, self.NEW])
        machine.on_signal[11] = lambda number: [machine.replace(11, *item) for item in next(answers).items()]
        assert self.reload(machine) == (10, 11, None)
        assert signals == [signal.SIGHUP] and next(answers, None) is None

    @pytest.mark.usefixtures("impatient")
    def test_the_old_configuration_stays(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, CHECKER, write=self.OLD)
        with pytest.raises(IpvsError, match="still uses the old one"):
            self.reload(machine)

    def test_a_child_that_is_started_for_it(self, machine):
        machine.process(10, 1, PARENT)
        machine.on_signal[10] = lambda number: machine.process(11, 10, CHECKER, write=self.NEW)
        assert self.reload(machine) == (10, 11, None)

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize(
        ("there", "write"), [(CHECKER, NEW), (VRRP, {"keepalived.data": NEW["keepalived_check.data"]})], ids=["vrrp is missing", "the checker is missing"]
    )
    def test_a_child_that_is_not_started_for_it(self, machine, there, write):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, there, write=write)
        machine.on_signal[10] = lambda number: None
        with pytest.raises(IpvsError, match="still uses the old one"):
            self.reload(machine, vrrp=True)

    def test_a_child_that_is_started_again(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, CHECKER)

        def crash(_number):
            (machine.root / "11/exe").unlink()
            machine.process(12, 10, CHECKER, write=self.NEW)

        machine.on_signal[11] = crash
        assert self.reload(machine) == (10, 12, None)

    def test_it_ends(self, machine):
        machine.process(10, 1, PARENT)
        machine.on_signal[10] = lambda number: (machine.root / "10/exe").unlink()
        with pytest.raises(IpvsError, match=r"process 10\) ended while it loaded"):
            self.reload(machine)

    def test_it_ends_and_systemd_starts_another(self, machine):
        machine.process(10, 1, PARENT)

        def crash(_number):
            (machine.root / "10/exe").unlink()
            machine.process(20, 1, PARENT)
            machine.process(21, 20, CHECKER, write=self.NEW)

        machine.on_signal[10] = crash
        with pytest.raises(IpvsError, match=r"process 10\) ended while it loaded"):
            self.reload(machine)

    def test_it_does_not_run(self, machine):
        with pytest.raises(IpvsError, match="does not run"):
            self.reload(machine)


class TestConfigTest:
    def test_not_installed(self, machine):
        with pytest.raises(IpvsError, match="not installed"):
            _daemon.problems("/etc/keepalived/keepalived.conf", machine.context)

    @pytest.mark.parametrize(
        ("ended", "problems"),
        [
            ((0, "", ""), []),
            ((5, "", "Unknown keyword 'x'\n\n"), ["Unknown keyword 'x'"]),
            ((0, "", "a warning\n"), ["a warning"]),
            ((2, "", ""), ["exit status 2"]),
        ],
    )
    def test_problems(self, machine, ended, problems):
        machine.printed[PROGRAM] = ended
        assert _daemon.problems("/etc/keepalived/keepalived.conf", machine.context) == problems
