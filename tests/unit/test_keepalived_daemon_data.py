# SPDX-License-Identifier: GPL-3.0-or-later
"""Having keepalived's processes write their data: what is read of it, and for how long it is waited for."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .keepalived_processes import CHECKER, VRRP, Machine, hurry


@pytest.fixture
def machine(tmp_path, monkeypatch):
    return Machine(tmp_path / "proc", monkeypatch)


@pytest.fixture
def impatient(monkeypatch):
    hurry(monkeypatch)


class TestData:
    CHECKER = _daemon.Processes(10, 11, None)

    def test_what_was_there_before_is_not_read(self, machine):
        machine.process(11, 10, CHECKER, write={"keepalived_check.data": "new"})
        machine.replace(11, "keepalived_check.data", "old")
        assert _daemon.checker_data(self.CHECKER) == "new"

    def test_it_is_asked_again(self, machine, monkeypatch):
        monkeypatch.setattr(_daemon, "_AGAIN", 0)
        machine.process(11, 10, CHECKER)
        asked = []

        def forget_twice(number):
            asked.append(number)
            if len(asked) == 3:
                machine.replace(11, "keepalived_check.data", "new")

        machine.on_signal[11] = forget_twice
        assert _daemon.checker_data(self.CHECKER) == "new"
        assert asked == [signal.SIGUSR1] * 3

    def test_a_file_that_is_removed_before_it_is_written_anew(self, machine, monkeypatch):
        monkeypatch.setattr(_daemon, "_AGAIN", 0)
        machine.process(11, 10, CHECKER)
        machine.replace(11, "keepalived_check.data", "old")
        file = machine.root / "11/root/tmp/keepalived_check.data"
        machine.on_signal[11] = lambda number: file.unlink() if file.exists() else machine.replace(11, file.name, "new")
        assert _daemon.checker_data(self.CHECKER) == "new"

    @pytest.mark.usefixtures("impatient")
    def test_it_does_not_answer(self, machine):
        machine.process(11, 10, CHECKER)
        machine.replace(11, "keepalived_check.data", "old")
        with pytest.raises(IpvsError, match=r"process 11\) was asked for its data and has not written /tmp/keepalived_check.data"):
            _daemon.checker_data(self.CHECKER)

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("works", [True, False])
    def test_one_that_works_has_more_time(self, machine, monkeypatch, works):
        """Ten thousand servers to begin with take their time, on a slow node above all."""
        machine.process(11, 10, CHECKER)
        begin = time.monotonic()
        sleep = time.sleep

        def go_on(seconds):
            sleep(seconds)
            passed = time.monotonic() - begin
            machine.state(11, "R", ticks=int(passed * 100) if works else 1)
            if passed > 0.4:  # ANSWER_PATIENCE is 0.1
                machine.replace(11, "keepalived_check.data", "at last")

        monkeypatch.setattr(_daemon.time, "sleep", go_on)
        if works:
            assert _daemon.checker_data(self.CHECKER) == "at last"
        else:
            with pytest.raises(IpvsError, match="has not written"):
                _daemon.checker_data(self.CHECKER)

    def test_one_that_waits_for_the_journal_has_more_time_than_for_anything_else(self, machine, monkeypatch):
        monkeypatch.setattr(_daemon, "PATIENCE", 0.1)
        machine.process(11, 10, CHECKER)
        machine.state(11, "S", ticks=1)
        begin, sleep = time.monotonic(), time.sleep

        def go_on(seconds):
            sleep(seconds)
            if time.monotonic() - begin > 0.4:
                machine.replace(11, "keepalived_check.data", "at last")

        monkeypatch.setattr(_daemon.time, "sleep", go_on)
        assert _daemon.checker_data(self.CHECKER) == "at last"

    @pytest.mark.usefixtures("impatient")
    def test_even_one_that_works_has_no_endless_time(self, machine, monkeypatch):
        monkeypatch.setattr(_daemon, "LIMIT", 0.3)
        machine.process(11, 10, CHECKER)
        begin = time.monotonic()
        monkeypatch.setattr(_daemon.time, "sleep", lambda _seconds: machine.state(11, "R", ticks=int((time.monotonic() - begin) * 100)))
        with pytest.raises(IpvsError, match="has not written"):
            _daemon.checker_data(self.CHECKER)
        assert time.monotonic() - begin > 0.3

    def test_pauses_are_as_long_as_the_looks_between_them(self, monkeypatch):
        """Else a keepalived with thousands of servers does nothing but write what it knows."""
        now, slept = [0.0], []
        monkeypatch.setattr(_daemon.time, "monotonic", lambda: now[0])

        def sleep(seconds):
            slept.append(seconds)
            now[0] += seconds

        monkeypatch.setattr(_daemon.time, "sleep", sleep)
        wait = _daemon.Wait(0.5)
        for looked in (0.1, 6, 0):
            now[0] += looked
            wait.pause()
        assert slept == [0.5, 6, 0.5]

    def test_work_of_long_ago_is_no_reason_to_wait(self, monkeypatch):
        now, worked = [0.0], [0.0]
        monkeypatch.setattr(_daemon.time, "monotonic", lambda: now[0])
        monkeypatch.setattr(_daemon, "_seconds", lambda pid: worked[0])
        wait = _daemon.Wait(0.5, patience=3)
        while not wait.is_over([11]):
            now[0] += 0.5
            worked[0] = min(now[0], 20.0)
        assert 23 < now[0] < 26

    def test_it_is_read_when_it_is_closed(self, machine, monkeypatch):
        machine.process(11, 10, CHECKER, write={"keepalived_check.data": "half"})
        path = machine.root / "11/root/tmp/keepalived_check.data"
        opened = machine.root / "11/fd/7"
        begin = machine.on_signal[11]
        machine.on_signal[11] = lambda number: (begin(number), opened.symlink_to(path))

        def finish(_seconds):
            path.write_text("all of it")
            opened.unlink()

        monkeypatch.setattr(_daemon.time, "sleep", finish)
        assert _daemon.checker_data(self.CHECKER) == "all of it"

    def test_it_has_time_to_answer_before_it_is_asked_again(self, machine, monkeypatch):
        machine.process(11, 10, CHECKER)
        asked, pauses = [], []
        machine.on_signal[11] = asked.append

        def pause(seconds):
            pauses.append(seconds)
            if len(pauses) == 3:
                machine.replace(11, "keepalived_check.data", "at last")

        monkeypatch.setattr(_daemon.time, "sleep", pause)
        assert _daemon.checker_data(self.CHECKER) == "at last" and asked == [signal.SIGUSR1]

    def test_one_that_takes_long_to_write_is_not_asked_again(self, machine, monkeypatch):
        """It would write all of it anew, over and over."""
        monkeypatch.setattr(_daemon, "_AGAIN", 0)
        machine.process(11, 10, CHECKER)
        machine.replace(11, "keepalived_check.data", "old")
        path = machine.root / "11/root/tmp/keepalived_check.data"
        opened = machine.root / "11/fd/7"
        asked, parts = [], iter(["half", "more"])

        def begin(number):
            asked.append(number)
            machine.replace(11, "keepalived_check.data", "")
            opened.symlink_to(path)

        def go_on(_seconds):
            path.write_text(next(parts, "all of it"))
            if path.read_text() == "all of it":
                opened.unlink()

        machine.on_signal[11] = begin
        monkeypatch.setattr(_daemon.time, "sleep", go_on)
        assert _daemon.checker_data(self.CHECKER) == "all of it" and asked == [signal.SIGUSR1]

    def test_its_folder_for_temporary_files(self, machine):
        machine.process(11, 10, VRRP, environ=b"HOME=/\0TMPDIR=/var/spool\0")
        (machine.root / "11/root/var/spool").mkdir(parents=True)
        machine.on_signal[11] = lambda number: machine.replace(11, "keepalived.data", "x", folder="var/spool")
        assert _daemon.vrrp_data(_daemon.Processes(10, None, 11)) == "x"

    @pytest.mark.usefixtures("impatient")
    def test_a_file_of_somebody_else_is_not_read(self, machine, monkeypatch):
        machine.process(11, 10, CHECKER, write={"keepalived_check.data": "x"})
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
        with pytest.raises(IpvsError, match="has not written"):
            _daemon.checker_data(self.CHECKER)

    @pytest.mark.usefixtures("impatient")
    def test_a_link_is_not_followed(self, machine):
        machine.process(11, 10, CHECKER)
        folder = machine.root / "11/root/tmp"
        (folder / "secret").write_text("x")
        machine.on_signal[11] = lambda number: (folder / "keepalived_check.data").symlink_to("secret")
        with pytest.raises(IpvsError, match="has not written"):
            _daemon.checker_data(self.CHECKER)

    def test_it_has_ended(self, machine):
        with pytest.raises(IpvsError, match=r"process 11\) ended"):
            _daemon.checker_data(self.CHECKER)

    def test_it_ends_while_it_is_asked(self, machine, monkeypatch):
        monkeypatch.setattr(_daemon.time, "sleep", None)  # that is known at once
        machine.process(11, 10, CHECKER)
        machine.on_signal[11] = lambda number: (machine.root / "11/exe").unlink()
        with pytest.raises(IpvsError, match=r"process 11\) ended"):
            _daemon.checker_data(self.CHECKER)


def test_whoever_has_no_children_works_by_nothing(machine):
    assert _daemon.works_by(_daemon.Processes(10, None, None)) == set()
    assert _daemon.works_by(_daemon.Processes(10, 11, None)) == set()  # it has ended
