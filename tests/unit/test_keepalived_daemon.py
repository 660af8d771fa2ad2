# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding keepalived's processes and having them write their data, in a folder that stands for /proc."""

from __future__ import annotations

import os
import signal
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

# What 2.2.7 and 2.3.3 show in /proc/PID/status.
PARENT, CHECKER, VRRP = "4000000800014a03", "4000000000014203", "4000000800014a03"
NOT_YET = "0000000000010000"
PROGRAM = "/usr/sbin/keepalived"


class Machine:
    """Processes in a folder of the form of /proc, each with a root directory of its own, and what they do when they get a signal."""

    def __init__(self, root):
        self.root = root
        self.warnings = []
        self.printed = {}
        self.on_signal = {}
        self.process("thread-self", 0, NOT_YET, "/usr/bin/python3")

    def process(self, pid, parent, blocked, program=PROGRAM, netns="own", environ=b"", write=None, words=(b"keepalived", b"--dont-fork")):
        """``write``: {file name: text} that it leaves in its folder when it gets SIGUSR1."""
        place = self.root / str(pid)
        (place / "ns").mkdir(parents=True)
        (place / "fd").mkdir()
        (place / "root/tmp").mkdir(parents=True)
        (place / "exe").symlink_to(program)
        (place / "status").write_text(f"Name:\tx\nPPid:\t{parent}\nSigBlk:\t{blocked}\n")
        (place / "environ").write_bytes(environ)
        (place / "cmdline").write_bytes(b"\0".join(words))
        space = self.root / f"netns-{netns}"
        space.touch()
        (place / "ns/net").symlink_to(space)
        self.on_signal[pid] = lambda number: [self.replace(pid, name, text) for name, text in (write or {}).items()]

    def replace(self, pid, name, text, folder="tmp"):
        new = self.root / str(pid) / "root" / folder / "new"
        new.write_text(text)
        new.rename(new.parent / name)

    def kill(self, pid, number):
        if pid not in self.on_signal:
            raise ProcessLookupError(pid)
        self.on_signal[pid](number)

    def run_command(self, words):
        return self.printed.get(words[0], (127, "", ""))

    @property
    def context(self):
        return Context(False, False, self.warnings.append, self.run_command)

    def found(self, netns=None):
        return _daemon.find(netns, self.context)


@pytest.fixture
def machine(tmp_path, monkeypatch):
    made = Machine(tmp_path / "proc")
    monkeypatch.setattr(_daemon, "_PROC", str(made.root))
    monkeypatch.setattr(_daemon.os, "kill", made.kill)
    monkeypatch.setattr(_daemon._programs, "find", lambda name: "/usr/sbin/" + name if "/usr/sbin/" + name in made.printed else None)
    return made


@pytest.fixture
def impatient(monkeypatch):
    """For what never comes."""
    monkeypatch.setattr(_daemon, "PATIENCE", 0.1)
    monkeypatch.setattr(_daemon, "ANSWER_PATIENCE", 0.1)


@pytest.fixture
def as_root(monkeypatch, machine):
    """Whoever runs the tests."""
    monkeypatch.setattr(_daemon, "_is_root", lambda: True)


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
    monkeypatch.setattr(_daemon, "_is_root", lambda: False)
    with pytest.raises(IpvsError, match="needs root: use become"):
        machine.found()


def test_version(machine):
    assert _daemon.version(machine.context) is None
    machine.printed[PROGRAM] = (0, "", "Keepalived v2.3.3 (03/30,2025)\n\nCopyright(C) 2001-2025\n")
    running = _daemon.Processes(10, None, None)
    assert _daemon.version(machine.context) == _daemon.version(machine.context, running) == "2.3.3"
    machine.printed[f"{machine.root}/10/exe"] = (0, "", "Keepalived v2.2.7 (01/16,2022)\n")
    assert _daemon.version(machine.context, running) == "2.2.7"


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
            TestEnd.state(machine, 11, "R", ticks=int(passed * 100) if works else 1)
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
        TestEnd.state(machine, 11, "S", ticks=1)
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
        monkeypatch.setattr(_daemon.time, "sleep", lambda _seconds: TestEnd.state(machine, 11, "R", ticks=int((time.monotonic() - begin) * 100)))
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

    def test_it_ends_while_it_is_asked(self, machine):
        machine.process(11, 10, CHECKER)
        machine.on_signal[11] = lambda number: (machine.root / "11/exe").unlink()
        with pytest.raises(IpvsError, match=r"process 11\) ended"):
            _daemon.checker_data(self.CHECKER)


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
    def test_a_child_that_is_not_started_for_it(self, machine):
        machine.process(10, 1, PARENT)
        machine.process(11, 10, CHECKER, write=self.NEW)
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


class TestEnd:
    """Processes that take the signals as the kernel has them do."""

    ALL = _daemon.Processes(10, 11, 12)

    @pytest.fixture
    def signals(self, machine, monkeypatch):
        """[(process, signal)] in their order. Each process has a line in /proc/PID/stat."""
        sent = []
        for pid in self.ALL:
            machine.process(pid, 1, PARENT)
            self.state(machine, pid, "S")
            machine.on_signal[pid] = lambda number, pid=pid: (sent.append((pid, number)), self.obey(machine, pid, number))
        monkeypatch.setattr(_daemon.time, "sleep", lambda seconds: None)
        return sent

    @staticmethod
    def state(machine, pid, letter, ticks=0):
        (machine.root / str(pid) / "stat").write_text(f"{pid} (keepalived (x)) {letter} 1 1 1 0 -1 4194560 9 9 9 9 {ticks} 0 0 0\n")

    def obey(self, machine, pid, number):
        if number == signal.SIGSTOP:
            self.state(machine, pid, "T")
        elif number == signal.SIGKILL:
            self.state(machine, pid, "Z")
        elif number == signal.SIGCONT:
            for each in self.ALL:
                (machine.root / str(each) / "stat").unlink(missing_ok=True)
                machine.on_signal.pop(each)

    def test_the_checker_is_killed_while_the_parent_is_stopped(self, machine, signals):
        _daemon.end(self.ALL)
        assert signals == [(10, signal.SIGSTOP), (11, signal.SIGKILL), (10, signal.SIGTERM), (10, signal.SIGCONT)]

    def test_without_a_checker_nothing_is_killed(self, machine, signals):
        _daemon.end(self.ALL._replace(checker=None))
        assert signals == [(10, signal.SIGTERM), (10, signal.SIGCONT)]

    def test_the_checker_is_killed_only_once_the_parent_has_stopped(self, machine, signals, monkeypatch):
        machine.on_signal[10] = lambda number: signals.append((10, number))
        looks = []

        def sleep(_seconds):
            looks.append(list(signals))
            self.state(machine, 10, "T")
            machine.on_signal[10] = lambda number: (signals.append((10, number)), self.obey(machine, 10, number))

        monkeypatch.setattr(_daemon.time, "sleep", sleep)
        _daemon.end(self.ALL)
        assert looks == [[(10, signal.SIGSTOP)]]

    @pytest.mark.usefixtures("impatient")
    @pytest.mark.parametrize("stays", ["S", "D"])
    def test_one_that_does_not_end(self, machine, signals, stays):
        machine.on_signal[10] = lambda number: self.state(machine, 10, "T" if number == signal.SIGSTOP else stays)
        with pytest.raises(IpvsError, match=r"^keepalived \(process 10\) has not ended within"):
            _daemon.end(self.ALL)

    def test_one_that_has_ended_by_itself(self, machine, signals):
        for pid in self.ALL:
            (machine.root / f"{pid}/stat").unlink()
            machine.on_signal.pop(pid)
        _daemon.end(self.ALL)

    def test_its_other_processes_are_waited_for(self, machine, signals, monkeypatch):
        machine.on_signal[10] = lambda number: (machine.root / "10/stat").unlink() if number == signal.SIGCONT else self.state(machine, 10, "T")
        waits = []

        def sleep(_seconds):
            waits.append(1)
            self.state(machine, 12, "Z")

        monkeypatch.setattr(_daemon.time, "sleep", sleep)
        _daemon.end(self.ALL)
        assert waits == [1]


def test_whoever_has_no_children_works_by_nothing(machine):
    assert _daemon.works_by(_daemon.Processes(10, None, None)) == set()
    assert _daemon.works_by(_daemon.Processes(10, 11, None)) == set()  # it has ended
