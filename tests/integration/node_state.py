# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node is to tests that disturb its tasks: its files, settings, addresses and table, the way back to them, and the steps of a task.

Steps are found by Python's audit events: whatever a module writes, renames, removes, runs or sends is one, without a list of them here.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_record

from .conftest import ipvsadm, saved
from .modules import run_module

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


@contextlib.contextmanager
def clean_node():
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


def places(lines):
    """The rules without weights."""
    return [line.partition(" -w ")[0] for line in lines]
