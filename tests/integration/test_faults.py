# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a node where a task is killed at any of its steps, where the disk is full at any of its writes, and where the kernel's
answers are refused, lost or late.

Steps are found by Python's audit events: whatever a module writes, renames, removes, runs or sends is one, without a list of them here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest import mock

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_record, _netlink

from .conftest import _call, ipvsadm, saved
from .modules import ModuleFailed, run_module

pytestmark = [pytest.mark.once, pytest.mark.slow]

FOLDERS = [
    Path(name) for name in (
        "/etc/default", "/etc/keepalived", "/etc/modprobe.d", "/etc/modules-load.d", "/etc/network", "/etc/sysctl.d", "/etc/systemd",
        "/var/lib/ipvs-director", "/var/lib/ipvs-firewall", "/usr/local/libexec", "/usr/local/lib",
    )
]  # fmt: skip
"""Where the modules keep files, beside /etc itself. What else is in there is not theirs and does not change."""
SCRATCH = (".ansible_tmp", ".drained", ".#")

RULES = """\
-A -t 203.0.113.80:80 -s wrr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 2
-A -u 203.0.113.80:53 -s rr
-a -u 203.0.113.80:53 -r 198.51.100.11:5353 -m -w 4
-a -u 203.0.113.80:53 -r 198.51.100.13:5353 -m -w 1
"""
WEB = {"address": "203.0.113.80", "port": 80}


def nat(address, **options):
    return {"address": address, "forward_method": "nat", **options}


LIST = [
    {**WEB, "scheduler": "wlc", "servers": [nat("198.51.100.11", weight=10), nat("198.51.100.13")]},
    {"address": "203.0.113.82", "port": 80, "servers": [nat("198.51.100.12")]},
    {"fwmark": 8},
]
CHECKED = [
    {**WEB, "scheduler": "rr", "max_unhealthy": 50, "servers": [nat(f"198.51.100.{number}", check={"type": "tcp"}) for number in (11, 12)]},
]
DIRECT = [{**WEB, "servers": [{"address": "198.51.100.11", "forward_method": "dr"}]}]
SYSCTLS = ("net/ipv4/vs/conn_reuse_mode", "net/ipv4/vs/expire_nodest_conn", "net/ipv4/conf/all/arp_ignore", "net/ipv4/conf/all/arp_announce")


@dataclass(frozen=True)
class Task:
    """``before``: tasks that come first; ``back``: the task that has to bring back what was there, where one has."""

    name: str
    options: dict
    before: tuple[tuple[str, dict], ...] = ()
    back: tuple[str, dict] | None = None

    def run(self):
        return run_module(self.name, **self.options)


RESTORED = {"addresses": ["198.51.100.11"], "state": "restored"}
DRAINED = {"addresses": ["198.51.100.11"], "drain_interval": 0.05}
TASKS = {
    "table": Task("ipvs_table", {"services": LIST, "purge_servers": True, "prune": True, "prune_force": True}),
    "drain": Task("ipvs_drain", DRAINED, back=("ipvs_drain", RESTORED)),
    "drain of a saved table": Task("ipvs_drain", DRAINED, (("ipvs_saved", {}),), ("ipvs_drain", RESTORED)),
    "restore": Task("ipvs_drain", RESTORED, (("ipvs_drain", DRAINED),)),
    "server drained": Task("ipvs_server", {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11", "state": "drained"}),
    "saved": Task("ipvs_saved", {}),
    "saved anew": Task("ipvs_saved", {}, (("ipvs_saved", {}), ("ipvs_table", {"services": LIST, "purge_servers": True}))),
    "saved no more": Task("ipvs_saved", {"state": "absent"}, (("ipvs_saved", {}),)),
    "modules": Task("ipvs_modules", {"names": ["ip_vs_rr"], "schedulers": ["lc"], "options": {"ip_vs": {"conn_tab_bits": 12}}}),
    "sysctls": Task("ipvs_sysctls", {"settings": {"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.vs.expire_nodest_conn": 1}}),
    "sysctls no more": Task("ipvs_sysctls", {"state": "absent"}, (("ipvs_sysctls", {"settings": {"net.ipv4.vs.conn_reuse_mode": 0}}),)),
    "addresses": Task("ipvs_addresses", {"addresses": ["203.0.113.80"], "interface": "lo", "announce": False}),
    "addresses no more": Task(
        "ipvs_addresses", {"state": "absent"}, (("ipvs_addresses", {"addresses": ["203.0.113.80"], "interface": "lo", "announce": False}),)
    ),
    "real server": Task("ipvs_real_server", {"services": DIRECT, "addresses": ["198.51.100.11"]}),
    "real server no more": Task("ipvs_real_server", {"state": "absent"}, (("ipvs_real_server", {"services": DIRECT, "addresses": ["198.51.100.11"]}),)),
    "firewall": Task("ipvs_firewall", {"marks": [{"mark": 7, "address": "203.0.113.80", "ports": ["80"]}], "load": False, "firewalld": False}),
    "keepalived": Task("ipvs_keepalived", {"services": CHECKED}),
    "keepalived anew": Task("ipvs_keepalived", {"services": CHECKED}, (("ipvs_keepalived", {"services": [{**CHECKED[0], "scheduler": "wlc"}]}),)),
}


# ---------------------------------------------------------------------------------------------------------------------
# what a node is


def files():
    """{path: (mode, what it says or leads to)} of all files of ours, and of those beside them."""
    found = {}
    for path in [*Path("/etc").glob("*ipvs*"), *Path("/etc").glob(".*"), *(path for folder in FOLDERS for path in folder.rglob("*"))]:
        status = path.lstat()
        if stat.S_ISLNK(status.st_mode):
            found[str(path)] = (0, os.readlink(path))
        elif stat.S_ISREG(status.st_mode):
            found[str(path)] = (stat.S_IMODE(status.st_mode), path.read_bytes())
    return found


def is_scratch(path):
    return os.path.basename(path).startswith(SCRATCH)


@dataclass
class State:
    """All that a task may change."""

    files: dict = field(default_factory=files)
    table: list = field(default_factory=saved)
    folders: set = field(default_factory=lambda: {str(path) for folder in FOLDERS for path in [folder, *folder.rglob("*")] if path.is_dir()}, compare=False)
    sysctls: list = field(default_factory=lambda: [Path("/proc/sys", key).read_text() for key in SYSCTLS])
    addresses: str = field(default_factory=lambda: subprocess.run(["ip", "-o", "address"], capture_output=True, text=True, check=True).stdout)

    def against(self, other):
        """What differs, short enough for a message."""
        paths = {path: (self.files.get(path), other.files.get(path)) for path in self.files.keys() | other.files.keys()}
        pairs = {**paths, **{name: (getattr(self, name), getattr(other, name)) for name in ("table", "sysctls", "addresses")}}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}

    def without_scratch(self):
        return replace(self, files={path: each for path, each in self.files.items() if not is_scratch(path)})


def put_back(wanted):
    """Have files, kernel settings, addresses and the table as they were."""
    now = State()
    for path in now.files.keys() - wanted.files.keys():
        os.unlink(path)
    for path in sorted(now.folders - wanted.folders, reverse=True):
        os.rmdir(path)
    for path, (mode, content) in wanted.files.items():
        if now.files.get(path) == (mode, content):
            continue
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if isinstance(content, bytes):
            Path(path).write_bytes(content)
            os.chmod(path, mode)
        else:
            Path(path).unlink(missing_ok=True)
            os.symlink(content, path)
    for key, value in zip(SYSCTLS, wanted.sysctls, strict=True):
        Path("/proc/sys", key).write_text(value)
    if now.addresses != wanted.addresses:
        for family in ("-4", "-6"):
            subprocess.run(["ip", family, "address", "flush", "dev", "lo"], check=False, capture_output=True)
        for address, line in re.findall(r"inet6? (\S+) (.*)", wanted.addresses):
            words = [*(["preferred_lft", "0"] if "deprecated" in line else []), *(["nodad"] if "nodad" in line else [])]
            subprocess.run(["ip", "address", "add", address, "dev", "lo", *words], check=True)
    if now.table != wanted.table:
        ipvsadm("-C")
        ipvsadm("-R", rules="\n".join(wanted.table) + "\n")


@pytest.fixture
def node(netns):
    """A node with a table, on which nothing of ours is installed; of the lab's kernel, of which nothing gets out."""
    for path in [Path("/etc/ipvsadm.rules"), *Path("/etc").glob("ipvs-*")]:
        path.unlink(missing_ok=True)
    shutil.rmtree(_drain_record.FOLDER, ignore_errors=True)
    os.makedirs("/etc/modules-load.d", exist_ok=True)
    Path("/etc/default/ipvsadm").write_text('AUTO="false"\nDAEMON="none"\n')
    Path("/etc/keepalived").mkdir(exist_ok=True)
    ipvsadm("-R", rules=RULES)
    clean = State()
    yield
    put_back(clean)


def prepared(task):
    for name, options in task.before:
        run_module(name, **options)
    return State()


def undisturbed(task, before):
    """The State that the task comes to where nothing goes wrong."""
    assert task.run()["changed"], task
    done = State()
    assert not task.run()["changed"], "not idempotent"
    put_back(before)
    assert not State().against(before), "this test cannot go back"
    return done


# ---------------------------------------------------------------------------------------------------------------------
# steps


class Steps:
    """What a task does that anybody else could notice; ``at(number)`` is called before that step, and ``heard`` has them all."""

    EVENTS = {
        "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.chmod", "os.chown", "os.truncate", "subprocess.Popen", "socket.sendto",
        "os.kill", "os.posix_spawn",
    }  # fmt: skip

    def __init__(self):
        self.at: Callable | None = None
        self.count = 0
        self.heard: list = []
        self._listens = False

    def begin(self, at):
        if not self._listens:  # for good: Python has no way to take a hook out again
            sys.addaudithook(self.hear)
        self._listens, self.at, self.count, self.heard = True, at, 0, []

    def end(self):
        self.at = None

    def hear(self, event, words):
        if self.at and (event in self.EVENTS or (event == "open" and self._writes(*words))):
            self.count += 1
            self.heard.append((event, words))
            self.at(self.count)

    @staticmethod
    def _writes(path, mode, flags):
        return isinstance(path, (str, bytes)) and path != "/dev/null" and isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)


steps = Steps()


def killed(number, task):
    """Run the task in a process that is killed before its n-th step; whether it came so far."""

    def kill(count):
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            steps.begin(kill)
            task.run()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def whole(now, before, done):
    """Every file is the former one or the new one, never half of it, and with its own mode."""
    for path, content in now.files.items():
        if not is_scratch(path):
            assert content in (before.files.get(path), done.files.get(path)), path
    for path in before.files.keys() & done.files.keys():
        assert path in now.files, f"{path} was lost"


def places(lines):
    """The rules without weights."""
    return [line.partition(" -w ")[0] for line in lines]


KILLED = {name: task for name, task in TASKS.items() if task.name != "ipvs_keepalived"}


@pytest.mark.parametrize("task", KILLED.values(), ids=KILLED)
def test_killed_at_every_step(node, task):
    before = prepared(task)
    done = undisturbed(task, before)
    number = 1
    while killed(number, task):
        now = State()
        whole(now, before, done)
        if task.name == "ipvs_drain":
            assert places(now.table) == places(before.table)
        task.run()
        assert not State().without_scratch().against(done), number
        assert not task.run()["changed"], number
        if task.back:
            run_module(task.back[0], **task.back[1])
            assert saved() == before.table, number
        put_back(before)
        number += 1
    assert number > 2


# ---------------------------------------------------------------------------------------------------------------------
# the disk


MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2
SMALL = "/small-disk"


def set_free(pages):
    """Have so many pages left on the small disk."""
    room = os.statvfs(SMALL)
    size = (room.f_blocks - room.f_bfree) * room.f_frsize + pages * 4096
    _call("mount", None, SMALL.encode(), None, MS_REMOUNT, b"size=%d" % max(size, 4096))


@pytest.fixture
def small_disk():
    """/etc and what else the modules write to lie on a disk of a few pages."""
    os.makedirs(SMALL, exist_ok=True)
    mounted = [SMALL]
    _call("mount", b"small", SMALL.encode(), b"tmpfs", 0, b"size=8m")
    try:
        Path(SMALL, "ballast").write_bytes(bytes(4096))
        for number, folder in enumerate(("/etc", "/var/lib", "/usr/local")):
            upper, work = f"{SMALL}/{number}/upper", f"{SMALL}/{number}/work"
            os.makedirs(upper)
            os.makedirs(work)
            shutil.copystat(folder, upper)
            _call("mount", b"overlay", folder.encode(), b"overlay", 0, f"lowerdir={folder},upperdir={upper},workdir={work}".encode())
            mounted.append(folder)
        yield
    finally:
        for folder in reversed(mounted):
            _call("umount2", folder.encode(), MNT_DETACH)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_disk_is_full_at_every_write(small_disk, node, task):
    before = prepared(task)
    done = undisturbed(task, before)
    if before.files == done.files and task.name in ("ipvs_table", "ipvs_server"):
        set_free(0)
        task.run()  # it needs no disk
        return
    messages = []
    for pages in range(100):
        put_back(before)
        set_free(pages)
        try:
            result = task.run()
        except ModuleFailed as failure:
            result = failure.result
        set_free(1000)
        if not result.get("failed"):
            break
        now = State()
        if task.name == "ipvs_drain" and result.get("changed"):  # the weights are 0 and on record: what it has begun, it goes on with
            whole(now, before, done)
            assert now.table == done.table, (pages, result)
        else:
            assert now.files == before.files, (pages, result)
            assert now.table == before.table and now.sysctls == before.sysctls, (pages, result)
        message = result["msg"]
        assert "No space left on device" in message and "Traceback" not in result.get("exception", ""), result
        assert any(path in message for path in {*before.files, *done.files}), message
        messages.append(message)
        task.run()
        assert not State().against(done), pages
    assert not State().against(done)
    assert messages or before.files.keys() > done.files.keys(), "it needed no room, and did not only remove"


# ---------------------------------------------------------------------------------------------------------------------
# netlink


class Wire:
    """A socket to the kernel with one fault. ``count``: of the messages of this kind so far, of all sockets of a task."""

    def __init__(self, socket, fault):
        self._socket, self._fault, self._late, self._silent = socket, fault, [], False

    def __getattr__(self, name):
        return getattr(self._socket, name)

    def sendto(self, octets, address):
        if self._fault.kind == "refused" and self._fault.now():
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if self._fault.kind == "lost" and self._fault.now():
            self._silent = True
            return len(octets)
        return self._socket.sendto(octets, address)

    def recv(self, size):
        if self._silent:
            self._silent = False
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))  # what the time limit comes to
        if self._late:
            return self._late.pop()
        octets = self._socket.recv(size)
        if self._fault.kind == "answer lost" and self._fault.now():
            raise OSError(errno.ENOBUFS, os.strerror(errno.ENOBUFS))
        if self._fault.kind == "answer late" and self._fault.now():
            self._late.append(octets)
            raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        return octets


@dataclass
class Fault:
    kind: str
    number: int
    count: int = 0

    def now(self):
        self.count += 1
        return self.count == self.number

    @contextlib.contextmanager
    def there(self):
        genuine = _netlink.Kernel.__init__

        def init(kernel, *words, **options):
            genuine(kernel, *words, **options)
            kernel._socket = Wire(kernel._socket, self)

        with mock.patch.object(_netlink.Kernel, "__init__", init):
            yield


SPOKEN = {
    "server gone": Task("ipvs_server", {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11", "state": "absent"}),
    "timeouts": Task("ipvs_timeouts", {"tcp": 800}),
}


def settings():
    daemons = [line.split()[:2] for line in ipvsadm("-L", "--daemon").splitlines()]
    return State(), ipvsadm("-L", "-n", "--timeout"), daemons


@pytest.mark.parametrize("alone", [False, True], ids=["many in one send", "each in a send of its own"])
@pytest.mark.parametrize("kind", ["refused", "lost", "answer lost", "answer late"])
@pytest.mark.parametrize("task", SPOKEN.values(), ids=SPOKEN)
def test_the_nth_message(node, monkeypatch, task, kind, alone):
    monkeypatch.setattr(_netlink, "_BATCH", 1 if alone else 16384)
    prepared(task)
    before = settings()
    assert task.run()["changed"]
    done = settings()

    def back():
        run_module("ipvs_sync_daemon", role="master", state="absent")
        run_module("ipvs_timeouts", tcp=900)
        put_back(before[0])

    number, failures = 0, 0
    reached = True
    while reached:
        back()
        number += 1
        fault = Fault(kind, number)
        with fault.there():
            try:
                result = task.run()
            except ModuleFailed as failure:
                result = failure.result
        reached = fault.count >= number
        assert "Traceback" not in result.get("exception", ""), (number, result)
        if not result.get("failed"):
            assert settings() == done, (number, result)
            continue
        assert reached, result
        failures += 1
        if task.name == "ipvs_drain" or task.options.get("state") == "drained":
            assert places(saved()) == places(before[0].table)  # what it has begun, it goes on with
        elif result.get("changed"):
            assert settings() == done, (number, result)  # all was done, and what came after failed
        else:
            assert settings() == before, (number, result)
        task.run()
        assert settings() == done, number
    back()
    assert failures, "no fault was noticed"
