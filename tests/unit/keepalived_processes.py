# SPDX-License-Identifier: GPL-3.0-or-later
"""Made-up processes of keepalived, in a folder that stands for /proc."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

# What 2.2.7 and 2.3.3 show in /proc/PID/status.
PARENT, CHECKER, VRRP = "4000000800014a03", "4000000000014203", "4000000800014a03"
NOT_YET = "0000000000010000"
PROGRAM = "/usr/sbin/keepalived"


class Machine:
    """Processes in a folder of the form of /proc, each with a root directory of its own, and what they do when they get a signal."""

    def __init__(self, root, monkeypatch):
        self.root = root
        monkeypatch.setattr(_daemon, "_PROC", str(root))
        monkeypatch.setattr(_daemon.os, "kill", self.kill)
        monkeypatch.setattr(_daemon._programs, "find", lambda name: "/usr/sbin/" + name if "/usr/sbin/" + name in self.printed else None)
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
        (place / "status").write_text(f"Name:\tx:y:z\nPPid:\t{parent}\nSigBlk:\t{blocked}\n")
        (place / "environ").write_bytes(environ)
        (place / "cmdline").write_bytes(b"\0".join(words))
        space = self.root / f"netns-{netns}"
        space.touch()
        (place / "ns/net").symlink_to(space)
        self.on_signal[pid] = lambda number: [self.replace(pid, name, text) for name, text in (write or {}).items()]

    def state(self, pid, letter, ticks=0):
        """What /proc/PID/stat says of a process, and for how long it has worked."""
        (self.root / str(pid) / "stat").write_text(f"{pid} (keepalived (x)) {letter} 1 1 1 0 -1 4194560 9 9 9 9 {ticks} 0 0 0\n")

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


def hurry(monkeypatch):
    """For what never comes."""
    monkeypatch.setattr(_daemon, "PATIENCE", 0.1)
    monkeypatch.setattr(_daemon, "ANSWER_PATIENCE", 0.1)
