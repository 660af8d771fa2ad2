# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that holds max_unhealthy while it runs: what it reads and records, how it ends, and the ipvsadm that it runs."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _pool_guard
from tests.support import eventually

from .guarded_pool import FIRST, FOURTH, SECOND, SERVICE, THIRD, line, name, pool


class Program:
    """The program in a thread, with files of the test's own, an ipvsadm that writes down what it is given, and a FIFO.

    ``printed``: what ipvsadm -S prints; ``age``: of the checker, in seconds.
    """

    def __init__(self, root, monkeypatch):
        self.root, self.done, self.logged, self.printed, self.age = root, [], [], "", 0.0
        self.handled = []
        self.is_open = False
        monkeypatch.setattr(_pool_guard, "RECORD", str(root / "record"))
        monkeypatch.setattr(_pool_guard, "SETTINGS", str(root / "settings"))
        monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(root))
        monkeypatch.setattr(_pool_guard, "_LOOK", 0.01)
        monkeypatch.setattr(_pool_guard, "_ipvsadm", self.ipvsadm)
        monkeypatch.setattr(_pool_guard, "_checker", self.opened)
        monkeypatch.setattr(_pool_guard, "_age", lambda checker: self.age)
        monkeypatch.setattr(_pool_guard.signal, "signal", lambda number, handler: self.handled.append(number))
        monkeypatch.setattr(_pool_guard.signal, "set_wakeup_fd", self.wake_by)
        monkeypatch.setattr(_pool_guard.ctypes, "CDLL", lambda name: self)
        monkeypatch.setattr(_pool_guard.syslog, "syslog", lambda level, line: self.logged.append(line))
        servers = {each: server._asdict() for each, server in pool().servers.items()}
        (root / "settings").write_text(json.dumps([{"service": SERVICE, "share": 50, "servers": servers}]))
        os.mkfifo(root / "fifo")
        self.writer, self.thread, self.wake = None, None, None

    def wake_by(self, descriptor):
        self.wake = descriptor

    def opened(self):
        self.is_open = True  # this is asked for behind the FIFO
        return "7 8"

    def prctl(self, option, number):
        assert (option, number) == (1, 15)

    def ipvsadm(self, *words, **options):
        if words == ("-S", "-n"):
            return self.printed
        assert words == ("-R",)
        self.done += options["input"].splitlines() or ["nothing"]  # which is not worth a process
        return ""

    def start(self):
        reader = os.open(self.root / "fifo", os.O_RDONLY | os.O_NONBLOCK)
        self.writer = os.open(self.root / "fifo", os.O_WRONLY)
        self.thread = threading.Thread(target=_pool_guard.main, args=(["program", str(self.root / "fifo")],), daemon=True)
        self.thread.start()
        eventually(lambda: self.is_open)
        os.close(reader)

    def say(self, *lines):
        os.write(self.writer, "".join(each + "\n" for each in lines).encode())

    def ends(self):
        if self.writer is not None:
            os.close(self.writer)
            self.writer = None
        self.thread.join(10)
        return not self.thread.is_alive()

    def record(self):
        return json.loads((self.root / "record").read_text())


@pytest.fixture
def program(tmp_path, monkeypatch):
    made = Program(tmp_path, monkeypatch)
    yield made
    if made.thread:
        assert made.ends()


def test_from_the_first_failure_to_the_end_of_the_fifo(program):
    program.start()
    program.say(line(FIRST), line(SECOND), line(THIRD))
    eventually(lambda: len(program.done) == 3)
    assert program.done == [f"{FIRST} out", f"{SECOND} out", f"{THIRD} in"]
    assert program.logged == [f"{SERVICE}: more than 50% of the weight fails; {name(THIRD)} stays in service"]
    program.say(line(FIRST, "UP"))
    eventually(lambda: len(program.done) == 5)
    assert program.done[3:] == [f"{THIRD} out", f"{FIRST} in"]
    assert program.ends()
    assert program.record() == {"checker": "7 8", "failed": [[SERVICE, name(SECOND)], [SERVICE, name(THIRD)]]}
    assert not os.path.exists(program.root / "record.new")


def test_a_drain_is_noticed_while_somebody_fails(program):
    program.start()
    program.say(line(FIRST), line(SECOND))
    eventually(lambda: len(program.done) == 2)
    (program.root / FOURTH).write_text("-100000\n")
    # Three are left, one of which may be out. Where the first decision was not through yet, the other one is set once more.
    eventually(lambda: program.done[2:] in ([f"{SECOND} in"], [f"{FIRST} out", f"{SECOND} in"]))


def test_a_signal_ends_it(program):
    program.start()
    eventually(lambda: program.wake is not None)
    os.write(program.wake, b"\x0f")
    program.thread.join(10)
    assert not program.thread.is_alive() and program.handled == [signal.SIGTERM]  # which would kill it where it stands


def test_it_reads_what_is_left_in_the_fifo_before_it_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "RECORD", str(tmp_path / "record"))
    monkeypatch.setattr(_pool_guard, "settle", lambda guard: None)
    (fifo, writer), (received, wake) = os.pipe(), os.pipe()
    guard = _pool_guard.Guard([pool()])
    os.write(writer, f"{line(FIRST)}\n{line(SECOND)}\nRS ".encode())
    os.write(wake, b"\x0f")
    thread = threading.Thread(target=_pool_guard.watch, args=(fifo, guard, "7 8", received))
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
    assert _pool_guard._recorded("7 8") == [[SERVICE, name(FIRST)], [SERVICE, name(SECOND)]] and _pool_guard._recorded("7 9") is None
    for each in (fifo, writer, received, wake):
        os.close(each)


def test_a_reload_forgets_nobody(program):
    (program.root / "record").write_text(json.dumps({"checker": "7 8", "failed": [[SERVICE, name(THIRD)], [SERVICE, name(FIRST)], ["gone", "x"]]}))
    program.age = 100.0
    program.start()
    eventually(lambda: len(program.done) == 2)
    assert program.done == [f"{THIRD} out", f"{FIRST} out"]
    program.say(line(SECOND))
    eventually(lambda: len(program.done) == 3)
    assert program.done[2] == f"{SECOND} in"


@pytest.mark.parametrize("record", [None, "nonsense", '{"checker": "7 7", "failed": []}'])
@pytest.mark.parametrize("age", [1.0, 100.0])
def test_a_checker_that_has_run_without_it(program, record, age):
    """Who has weight 0 then has failed, unless the checker is new: that one says of every server how it is."""
    if record:
        (program.root / "record").write_text(record)
    servers = {each: server._replace(rule_out=f"-e -t 203.0.113.80:80 -r {server.address}:80 -m -w 0")._asdict() for each, server in pool().servers.items()}
    (program.root / "settings").write_text(json.dumps([{"service": SERVICE, "share": 50, "servers": servers}]))
    program.printed = f"-a -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0\n"
    program.age = age
    program.start()
    assert program.ends()
    failed = [[SERVICE, name(SECOND)]] if age > 5 else []
    assert program.record() == {"checker": "7 8", "failed": failed}
    assert program.done == [f"-e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0" for _each in failed]


def test_the_checker_is_the_parent_and_has_an_age():
    number, start = _pool_guard._checker().split()
    assert (int(number), start) == (os.getppid(), _start(os.getppid()))
    assert 0 <= _pool_guard._age(f"{os.getpid()} {_start(os.getpid())}") < 24 * 3600 * 365
    assert _pool_guard._age("1 100") == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) - 100 / os.sysconf("SC_CLK_TCK"), abs=5)


def _start(number):
    with open(f"/proc/{number}/stat") as stream:
        return stream.read().rpartition(")")[2].split()[19]


def test_ipvsadm_is_found_and_given_its_rules(tmp_path, monkeypatch):
    run = []

    def fake(words, **options):
        assert options["universal_newlines"]
        run.append((words, options["env"]["PATH"], options.get("input"), options["check"]))
        return subprocess.CompletedProcess(words, 1, "printed")

    monkeypatch.setattr(_pool_guard.subprocess, "run", fake)
    assert _pool_guard._ipvsadm("-S", "-n") == "printed"
    _pool_guard._set(["one", "two"])
    path = "/usr/sbin:/sbin:/usr/bin:/bin"
    assert run == [(["ipvsadm", "-S", "-n"], path, None, False), (["ipvsadm", "-R"], path, "one\ntwo\n", False)]


def test_an_ipvsadm_that_is_not_there_is_logged(monkeypatch):
    logged = []

    def missing(words, **options):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(_pool_guard.subprocess, "run", missing)
    monkeypatch.setattr(_pool_guard.syslog, "syslog", lambda level, text: logged.append(text))
    assert _pool_guard._ipvsadm("-S", "-n") == "" and logged == ["ipvsadm: No such file or directory"]


def test_it_begins_before_anybody_writes_to_the_fifo(program):
    program.thread = threading.Thread(target=_pool_guard.main, args=(["program", str(program.root / "fifo")],), daemon=True)
    program.thread.start()
    eventually(lambda: program.is_open)
    program.writer = os.open(program.root / "fifo", os.O_WRONLY)
