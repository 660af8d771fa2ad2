# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keepalived of a network namespace: its processes, asking them for their data, trying a configuration and taking it up.

Processes are known by the program that they run and by the signals that they wait for. keepalived reads signals from a descriptor, so
those show in /proc as blocked. One that it does not wait for yet could end it, and is not sent.

Sources: keepalived(8); runs of 2.2.7 and 2.3.3.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import time
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _state
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns, _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

PROGRAM = "keepalived"
PATIENCE = 30.0
"""Seconds that processes have to start, or to end. Those in which they work do not count: a start with ten thousand servers takes more, and a
keepalived that hangs does nothing."""
ANSWER_PATIENCE = 120.0
"""The same for taking up a configuration, and for writing their data. With thousands of servers they sleep for half a minute until the journal
has taken what they say of each check."""
LIMIT = 600.0
"""Seconds in all."""
_WORKS = 0.1  # of a CPU: checks alone take less
_PAUSE = 0.02
_LOOK = 0.2  # seconds between two questions, each of which keepalived logs
_AGAIN = 1.0  # seconds: a process that is asked while it reloads forgets it
_PROC = "/proc"
_TEMPORARY = "/tmp"
_ASK, _ASK_VRRP = signal.SIGUSR1, signal.SIGUSR2  # every process waits for the first, of the children only VRRP's for the second
_TESTING = b"--config-test"  # also on the child with which the parent tries a configuration before it reloads, and which being asked would end
_VERSION = re.compile(r"Keepalived v(\d[\w.]*)")


class Processes(NamedTuple):
    """The process IDs of one keepalived. ``checker``, ``vrrp``: None where it has no such child."""

    parent: int
    checker: Optional[int]
    vrrp: Optional[int]


class _Ended(IpvsError):
    """A process is no longer there."""


class _Process(NamedTuple):
    parent: int
    waits_for: int  # a bit for each signal


def find(netns, context):
    """The Processes of the keepalived in a network namespace (as the option netns names it), or None where none runs.

    Warns of a second one. Raises IpvsError without root, which cannot see what program a process runs.
    """
    if not _is_root():
        raise IpvsError("looking for the processes of keepalived needs root: use become")
    with _netns.inside(netns):
        space = _identity(os.stat(os.path.join(_PROC, "thread-self/ns/net")))
    found = {pid: process for pid, process in _running() if _space(pid) == space}
    parents = sorted(pid for pid, process in found.items() if process.parent not in found)
    if not parents:
        return None
    if len(parents) > 1:
        context.warn("%d keepalived run in one network namespace; this is about process %d" % (len(parents), parents[0]))
    children = sorted(pid for pid, process in found.items() if process.parent == parents[0])
    vrrp = [pid for pid in children if found[pid].waits_for & _bit(_ASK_VRRP)]
    checkers = [pid for pid in children if pid not in vrrp]  # a process for BFD is started after the checker
    return Processes(parents[0], *[pids[0] if pids else None for pids in (checkers, vrrp)])


def version(context, processes=None):
    """The version, such as "2.2.7": of the keepalived that runs, else of the one that is installed. None where there is none."""
    programs = [_programs.find(PROGRAM)]
    if processes:  # after an update this is the old one
        programs.insert(0, os.path.join(_PROC, str(processes.parent), "exe"))
    for program in filter(None, programs):
        _status, output, errors = context.run_command([program, "--version"])
        match = _VERSION.search(output + errors)
        if match:
            return match.group(1)
    return None


def checker_data(processes):
    """The text for _state.services, as it is now. Raises IpvsError."""
    return _data(processes.checker, "keepalived_check.data")


def vrrp_data(processes):
    """The text for _state.instances, as it is now. Raises IpvsError."""
    return _data(processes.vrrp, "keepalived.data")


def problems(path, context):
    """What ``keepalived --config-test`` has against the file ``path``, a list of lines: warnings too, empty where there is nothing.

    It has nothing against an empty file, nor against one that is not there. Raises IpvsError where keepalived is not installed.
    """
    program = _programs.find(PROGRAM)
    if not program:
        raise IpvsError("keepalived is not installed")
    status, output, errors = context.run_command([program, "--config-test", "--use-file", path])
    lines = [line.strip() for line in (output + errors).splitlines() if line.strip()]
    return lines or (["exit status %d" % status] if status else [])


def reload(netns, context, router_id, checker, vrrp):
    """Have the keepalived that runs read its configuration again, and wait until its children work by it. Returns the Processes.

    ``router_id``: the one of the new configuration, by which it is known, so the old one must have another; ``checker``, ``vrrp``: whether
    the new configuration has something for that child. Raises IpvsError where keepalived ends, which it does because of a syntax error, or
    goes on with the old configuration.
    """
    before = find(netns, context)
    if not before:
        raise IpvsError("keepalived does not run, so it cannot load its configuration")
    os.kill(before.parent, signal.SIGHUP)
    wait = Wait(_LOOK, ANSWER_PATIENCE)
    processes = before
    while True:
        known, processes = {None, *before, *processes}, find(netns, context)
        if not processes or processes.parent != before.parent:
            raise IpvsError("keepalived (process %d) ended while it loaded its configuration: journalctl -u keepalived" % before.parent)
        # A child that is new may be about to become another program.
        if known.issuperset(processes) and bool(processes.checker) >= checker and bool(processes.vrrp) >= vrrp:
            if works_by(processes) == {router_id}:
                return processes
        if wait.is_over(processes):
            raise IpvsError(
                "keepalived (process %d) has not loaded its configuration within %d seconds and still uses the old one: "
                "journalctl -u keepalived" % (before.parent, ANSWER_PATIENCE)
            )
        wait.pause()


def works_by(processes):
    """The ``router_id`` of the configurations that the children work by, a set: of one, except in the middle of a reload. Raises IpvsError.

    Empty where there are no children, or where one ends meanwhile: the parent starts it again, or ends too.
    """
    try:
        texts = [ask(processes) for pid, ask in ((processes.checker, checker_data), (processes.vrrp, vrrp_data)) if pid]
    except _Ended:
        return set()
    return {_state.router_id(text) for text in texts}


def end(processes, announce=lambda: None):
    """Have a keepalived end and leave the table as it is. Raises IpvsError where it does not end.

    ``announce``: is called before it ends, and tells whoever would start it again. Until then its parent is stopped: a checker that ends by
    itself removes its services, so it is killed, and the parent would start another. Of the signals that wait for the parent it takes the one
    to end before the one about its child. VRRP hands its addresses over as always.
    """
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(processes.parent, signal.SIGSTOP)
        try:
            _await(lambda: _status(processes.parent) in ("T", None), processes)
            if processes.checker:
                os.kill(processes.checker, signal.SIGKILL)
                _await(lambda: _status(processes.checker) in ("Z", None), processes)
            os.kill(processes.parent, signal.SIGTERM)
            announce()
        finally:
            os.kill(processes.parent, signal.SIGCONT)
    _await(lambda: all(_status(pid) in ("Z", None) for pid in processes if pid), processes)


class Wait:
    """For what processes have to do, as long as they work, and no longer than LIMIT says.

    ``pause``: seconds between two looks at it; ``patience``: seconds without work until it is over. A pause is as long as the look before it,
    where that was longer: what keepalived knows of ten thousand servers takes it seconds to write, and it does nothing else meanwhile.
    """

    def __init__(self, pause, patience=None):
        self.patience = PATIENCE if patience is None else patience
        self.begin = self.last = self.paused = time.monotonic()
        self.idle, self.used = 0.0, None
        self.least = pause

    def is_over(self, processes):
        """``processes``: their IDs; None is none."""
        now, used = time.monotonic(), sum(_seconds(pid) for pid in processes if pid)
        if self.used is None:
            self.used = used
        window = now - self.last
        idle = self.idle + (window if used - self.used < _WORKS * window else 0)
        if window > 1:
            self.idle, self.last, self.used = idle, now, used
        return idle > self.patience or now - self.begin > LIMIT

    def has_moved(self):
        """The patience begins anew."""
        self.idle, self.last = 0.0, time.monotonic()

    def pause(self):
        time.sleep(max(self.least, time.monotonic() - self.paused))
        self.paused = time.monotonic()


def _await(reached, processes):
    deadline = time.monotonic() + PATIENCE
    while not reached():
        if time.monotonic() > deadline:
            raise IpvsError("keepalived (process %d) has not ended within %d seconds" % (processes.parent, PATIENCE))
        time.sleep(_PAUSE)


def _status(pid):
    """The letter that /proc has for the status of a process, Z for one that has ended and T for one that is stopped; None without one."""
    return (_fields(pid) or [None])[0]


def _seconds(pid):
    """The CPU time that a process has had; 0 without one."""
    return sum(map(int, _fields(pid)[11:13])) / os.sysconf("SC_CLK_TCK")


def _fields(pid):
    """What /proc/PID/stat has behind the name, a list; empty without a process."""
    try:
        with open(os.path.join(_PROC, str(pid), "stat"), encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


# Processes


def _is_root():
    return os.geteuid() == 0


def _running():
    """(process ID, _Process) of every keepalived that waits for being asked."""
    for name in os.listdir(_PROC):
        if not name.isdigit():
            continue
        try:
            program = os.readlink(os.path.join(_PROC, name, "exe"))
            if os.path.basename(program).partition(" (deleted)")[0] != PROGRAM:
                continue
            with open(os.path.join(_PROC, name, "status"), encoding="utf-8", errors="replace") as stream:
                status = dict(line.split(":", 1) for line in stream)
            with open(os.path.join(_PROC, name, "cmdline"), "rb") as stream:
                if any(word.startswith(_TESTING) for word in stream.read().split(b"\0")):
                    continue
        except OSError:  # it has ended, or is the kernel's own
            continue
        process = _Process(int(status["PPid"]), int(status["SigBlk"], 16))
        if process.waits_for & _bit(_ASK):
            yield int(name), process


def _bit(number):
    return 1 << (number - 1)


def _space(pid):
    """The identity of a process's network namespace; None where it has ended."""
    try:
        return _identity(os.stat(os.path.join(_PROC, str(pid), "ns/net")))
    except OSError:
        return None


def _identity(status):
    return status.st_dev, status.st_ino


# Their data


def _data(pid, name):
    """What the process writes into the file ``name`` when it is asked.

    It makes a new file under that name each time, and fills it while all can see it: it is read when the process has closed it.
    """
    place = os.path.join(_PROC, str(pid))
    try:
        path = os.path.join(_folder(place), name)
        text = _written(pid, place, place + "/root" + path)
    except (FileNotFoundError, ProcessLookupError) as error:
        raise _Ended("keepalived (process %d) ended while it was asked for its data: try again" % pid) from error
    if text is None:
        raise IpvsError(
            "keepalived (process %d) was asked for its data and has not written %s within %d seconds. It hangs, or its configuration gives "
            "the file another name (data_use_instance, state_dump_file)." % (pid, path, ANSWER_PATIENCE)
        )
    return text


def _written(pid, place, path):
    """What the process writes into this file when it is asked, or None. Raises FileNotFoundError or ProcessLookupError where it ends."""
    before = _file(path)
    now = due = time.monotonic()
    wait = Wait(_PAUSE, ANSWER_PATIENCE)
    while not wait.is_over([pid]):
        file = _file(path)
        if now >= due and file in (before, None):  # one that is writing would write all of it again, and with thousands of servers never be done
            os.kill(pid, _ASK)
            due = now + _AGAIN
            file = _file(path)
        if file and file != before and file not in _open_files(place):
            with open(path, encoding="utf-8", errors="replace") as stream:
                if _identity(os.fstat(stream.fileno())) == file:  # else somebody else has asked meanwhile
                    return stream.read()
        os.readlink(os.path.join(place, "exe"))  # there as long as it runs
        wait.pause()
        now = time.monotonic()
    return None


def _folder(place):
    """Where a process puts temporary files."""
    with open(os.path.join(place, "environ"), "rb") as stream:
        settings = dict(each.partition(b"=")[::2] for each in stream.read().split(b"\0"))
    folder = os.fsdecode(settings.get(b"TMPDIR", b""))
    return folder if folder.startswith("/") else _TEMPORARY


def _file(path):
    """The identity of the file there; None where there is none of our own user: anybody may put one into a folder for temporary files."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return None
    return _identity(status) if status.st_uid == os.geteuid() else None


def _open_files(place):
    """The identities of the files that a process has open. Raises FileNotFoundError where it has ended."""
    found = set()
    for name in os.listdir(os.path.join(place, "fd")):
        try:
            found.add(_identity(os.stat(os.path.join(place, "fd", name))))
        except FileNotFoundError:  # closed meanwhile
            continue
    return found
