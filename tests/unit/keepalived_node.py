# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up node with systemd and a made-up keepalived, for ipvs_keepalived."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import (
    _configuration,
    _daemon,
    _ending,
    _pool_guard,
    _state,
    _unit_file,
    _use,
    _use_task,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from . import plain_files
from .fake_kernel import FakeKernel

WEB = {"address": "203.0.113.80", "port": 80}
FIRST, SECOND = "198.51.100.11", "198.51.100.12"
SORRY = {"address": "198.51.100.99", "forward_method": "nat"}
FAILOVER = {"interface": "eth0", "priority": 100, "addresses": ["203.0.113.80", "2001:db8::80"]}
PROCESSES = _daemon.Processes(10, 11, 12)
THEIRS = "vrrp_instance theirs {\n}\n"


def services(*addresses, **options):
    return [{**WEB, **options, "servers": [{"address": address, "forward_method": "nat"} for address in addresses]}]


class Node:
    """A node with systemd. ``processes``: of the keepalived that runs; ``loaded``: the name of the configuration that it works by."""

    def __init__(self, root, monkeypatch):
        self.root, self.path = root, root / "keepalived.conf"
        self.folder, self.addition = root / "drain", root / "units/keepalived.service.d/ipvs-director.conf"
        self.kernel = FakeKernel()
        self.version, self.problems, self.processes, self.loaded = "2.2.7", [], None, None
        self.enabled, self.states, self.fault = False, None, None
        self.warnings, self.done, self.programs = [], [], ["ipvsadm"]
        self.booted, self.ends_by_reload = True, False
        self.vrrp, self.monkeypatch = "master", monkeypatch
        monkeypatch.setattr(_session, "Kernel", lambda netns: self.kernel)
        monkeypatch.setattr(_session._netlink, "loaded", lambda netns: True)
        monkeypatch.setattr(_configuration, "GUARD", str(root / "libexec/guard"))
        monkeypatch.setattr(_pool_guard, "RECORD", str(root / "pool_guard.record"))
        monkeypatch.setattr(_pool_guard, "SETTINGS", str(root / "pool_guard.json"))
        monkeypatch.setattr(_ending, "STOPPED", str(root / "stopped.rules"))
        monkeypatch.setattr(_ending, "FAILED", str(root / "failed.rules"))
        monkeypatch.setattr(_unit_file, "_FOLDERS", [str(root / "etc"), str(root / "lib")])
        monkeypatch.setattr(_use_task._programs, "find", lambda name: name if name in self.programs else None)
        monkeypatch.setattr(_drain_files, "FOLDER", str(self.folder))
        monkeypatch.setattr(_own_files.os, "chown", lambda *words: None)
        read = _own_files.read
        monkeypatch.setattr(_own_files, "read", lambda path: read(path)._replace(owner="0:0"))  # whoever runs the tests
        for name in ("find", "version", "problems", "works_by", "checker_data", "vrrp_data", "reload", "end"):
            monkeypatch.setattr(_daemon, name, getattr(self, "_" + name))
        monkeypatch.setattr(_state, "services", lambda data: self.services())
        monkeypatch.setattr(_state, "instances", lambda data: [_state.Instance("front", self.vrrp, 0, "eth0", 51, 100, 100, None, 0, ())])
        monkeypatch.setattr(_use._units, "FOLDER", f"{root}/units/")
        monkeypatch.setattr(_use._units, "running", lambda: self.booted)
        monkeypatch.setattr(_use, "_PAUSE", 0)
        monkeypatch.setattr(_daemon, "PATIENCE", 0.1)

    # keepalived

    def _find(self, netns, context):
        return self.processes

    def _version(self, context, processes=None):
        return self.version

    def _problems(self, path, context):
        self.done.append("test")
        self.tested = Path(path).read_text()
        assert "virtual_server" in self.tested or "vrrp_instance" in self.tested
        return [line.replace("PATH", path) for line in self.problems]

    def _works_by(self, processes):
        assert processes
        return {self.loaded}

    def _checker_data(self, processes):
        assert processes.checker  # whom else would it ask?
        return ""

    def _vrrp_data(self, processes):
        assert processes.vrrp
        return ""

    def _reload(self, netns, context, name, checker, vrrp):
        if self.ends_by_reload:
            self.processes = None
            raise IpvsError("it ended")
        self.done.append("reload")
        if self.fault and name != self.former:
            raise IpvsError(self.fault)
        self.loaded = name
        return self.processes

    def _end(self, processes, announce):
        announce()
        self.done.append("end")
        self.processes = None

    def services(self):
        return self.states or []

    def named(self):
        """The name in the file."""
        return self.path.read_text().partition("router_id ")[2].split("\n")[0]

    # systemd

    def run_command(self, words):
        command = " ".join(words)
        if words[1] == "is-enabled":
            return 0, "enabled\n" if self.enabled else "disabled\n", ""
        if words[1] == "is-active":
            return 0 if self.processes else 3, "", ""
        self.done.append(command)
        if words[1] in ("enable", "disable"):
            self.enabled = words[1] == "enable"
        if words[1] == "reload-or-restart":
            if self.fault:
                return 1, "", "failed"
            self.processes, self.loaded = PROCESSES, self.named()
        if words[1] == "stop" and "--no-block" not in words:
            self.processes = None
        return 0, "", ""

    def manage(self, check=False, **options):
        defaults = {"services": None, "checks": True, "drain_timeout": None, "failover": None, "keep_addresses": [], "path": str(self.path), "replace": False}
        context = Context(check, True, self.warnings.append, self.run_command, plain_files.write_files)
        self.done.clear()
        return _use_task.manage_keepalived({**defaults, "service": "keepalived", "state": "present", **options}, context)

    def files(self):
        return {str(path.relative_to(self.root)): path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def starts(self, **options):
        """Have keepalived at work by these options."""
        self.manage(**options)
        self.former = self.named()

    def fails(self, **options):
        before = self.files()
        with pytest.raises(IpvsError) as failure:
            self.manage(**options)
        assert self.files() == before
        return str(failure.value)
