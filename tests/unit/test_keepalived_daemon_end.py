# SPDX-License-Identifier: GPL-3.0-or-later
"""Ending keepalived: which process gets which signal, and what is waited for."""

from __future__ import annotations

import signal

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .keepalived_processes import PARENT, Machine, hurry


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path / "proc", monkeypatch)


@pytest.fixture
def impatient(monkeypatch):
    hurry(monkeypatch)


class TestEnd:
    """Processes that take the signals as the kernel has them do."""

    ALL = _daemon.Processes(10, 11, 12)

    @pytest.fixture
    def signals(self, machine, monkeypatch):
        """[(process, signal)] in their order. Each process has a line in /proc/PID/stat."""
        sent = []
        for pid in self.ALL:
            machine.process(pid, 1, PARENT)
            machine.state(pid, "S")
            machine.on_signal[pid] = lambda number, pid=pid: (sent.append((pid, number)), self.obey(machine, pid, number))
        monkeypatch.setattr(_daemon.time, "sleep", lambda seconds: None)
        return sent

    def obey(self, machine, pid, number):
        if number == signal.SIGSTOP:
            machine.state(pid, "T")
        elif number == signal.SIGKILL:
            machine.state(pid, "Z")
        elif number == signal.SIGCONT:
            for each in self.ALL:
                (machine.root / str(each) / "stat").unlink(missing_ok=True)
                machine.on_signal.pop(each)

    def test_the_checker_is_killed_while_the_parent_is_stopped(self, machine, signals):
        _daemon.end(self.ALL)
        assert signals == [(10, signal.SIGSTOP), (11, signal.SIGKILL), (10, signal.SIGTERM), (10, signal.SIGCONT)]

    def test_without_a_checker_nothing_is_killed(self, machine, signals):
        _daemon.end(self.ALL._replace(checker=None))
        assert signals == [(10, signal.SIGSTOP), (10, signal.SIGTERM), (10, signal.SIGCONT)]

    def test_its_end_is_announced_before_it_comes(self, machine, signals):
        _daemon.end(self.ALL, lambda: signals.append("announced"))
        assert signals[-3:] == [(10, signal.SIGTERM), "announced", (10, signal.SIGCONT)]

    def test_it_is_not_left_stopped_where_that_fails(self, machine, signals):
        def fail():
            raise IpvsError("no")

        with pytest.raises(IpvsError, match="^no$"):
            _daemon.end(self.ALL, fail)
        assert signals[-1] == (10, signal.SIGCONT)

    def test_the_checker_is_killed_only_once_the_parent_has_stopped(self, machine, signals, monkeypatch):
        machine.on_signal[10] = lambda number: signals.append((10, number))
        looks = []

        def sleep(_seconds):
            looks.append(list(signals))
            machine.state(10, "T")
            machine.on_signal[10] = lambda number: (signals.append((10, number)), self.obey(machine, 10, number))

        monkeypatch.setattr(_daemon.time, "sleep", sleep)
        _daemon.end(self.ALL)
        assert looks == [[(10, signal.SIGSTOP)]]

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("stays", ["S", "D"])
    def test_one_that_does_not_end(self, machine, signals, stays):
        machine.on_signal[10] = lambda number: machine.state(10, "T" if number == signal.SIGSTOP else stays)
        with pytest.raises(IpvsError, match=r"^keepalived \(process 10\) has not ended within"):
            _daemon.end(self.ALL)

    def test_one_that_has_ended_by_itself(self, machine, signals):
        for pid in self.ALL:
            (machine.root / f"{pid}/stat").unlink()
            machine.on_signal.pop(pid)
        _daemon.end(self.ALL)

    def test_its_other_processes_are_waited_for(self, machine, signals, monkeypatch):
        machine.on_signal[10] = lambda number: (machine.root / "10/stat").unlink() if number == signal.SIGCONT else machine.state(10, "T")
        waits = []

        def sleep(_seconds):
            waits.append(1)
            machine.state(12, "Z")

        monkeypatch.setattr(_daemon.time, "sleep", sleep)
        _daemon.end(self.ALL)
        assert waits == [1]
