# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with a disk in memory and a systemd that stands for the real one. The real ones are in tests/integration/node and tests/machines."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _programs, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


class Machine:
    """``files``: {path: File}; ``enabled``, ``active``, ``masked``: sets of units; ``done``: commands that change something.

    ``broken``: {part of a command: why it fails}; ``full``: a path that cannot be written; ``booted``: whether systemd runs.
    """

    def __init__(self, monkeypatch):
        self.files, self.done, self.warnings = {}, [], []
        self.enabled, self.active, self.masked = set(), set(), set()
        self.broken, self.full, self.booted = {}, "", True
        self.programs = {"ipvsadm", "systemctl", "nft"}
        self.checking = False
        monkeypatch.setattr(_own_files, "read", self.read)
        monkeypatch.setattr(_own_files, "write", self.write)
        monkeypatch.setattr(_files, "check_links", lambda path: None)
        monkeypatch.setattr(_files, "target", lambda path: path)
        monkeypatch.setattr(_programs, "find", lambda name: f"/usr/sbin/{name}" if name in self.programs else None)
        monkeypatch.setattr(_units, "running", lambda: self.booted)

    # the disk

    def put(self, path, text, mode=0o644):
        self.files[path] = _own_files.File(path, text, mode)

    def text(self, path):
        return self.files[path].text if path in self.files else None

    def read(self, path):
        return self.files.get(path, _own_files.File(path, None, None))

    def write(self, changes, context):
        assert not self.checking, "files are written in check mode: %s" % (changes,)
        if any(change.wanted.path == self.full for change in changes):
            raise IpvsError(f"{self.full}: No space left on device")
        for change in changes:
            if change.wanted.text is None:
                self.files.pop(change.wanted.path, None)
            else:
                self.files[change.wanted.path] = change.wanted

    def write_files(self, files):
        assert not self.checking
        for file in files:
            self.put(file.path, file.text, file.mode or 0o644)

    # its programs

    def run_command(self, words, data=None):
        command = " ".join(words)
        for part, reason in self.broken.items():
            if part in command:
                return 1, "", reason
        name = words[-1]
        if words[1] == "is-enabled":
            state = "masked" if name in self.masked else "enabled" if name in self.enabled else "disabled"
            known = _units.FOLDER + name in self.files or name in self.enabled | self.masked
            return (0 if state == "enabled" else 1), (state if known else "not-found") + "\n", ""
        if words[1] == "is-active":
            return (0 if name in self.active else 3), "", ""
        if words[0] == "journalctl":
            return 0, "a line\n", ""
        assert not self.checking, f"run in check mode: {command}"
        self.done.append(command)
        if words[1] in ("enable", "disable"):
            getattr(self.enabled, "add" if words[1] == "enable" else "discard")(name)
        if words[1] in ("restart", "reload-or-restart", "stop"):
            getattr(self.active, "discard" if words[1] == "stop" else "add")(name)
        return 0, "", ""

    def context(self, check=False):
        self.checking = check
        self.done.clear()
        self.warnings.clear()
        return Context(check, True, self.warnings.append, self.run_command, self.write_files)
