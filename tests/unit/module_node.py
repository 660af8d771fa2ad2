# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up file tree for kernel modules: none is loaded here, the fake modprobe writes into the tree's /proc/modules."""

from __future__ import annotations

import os
from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _modules
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

from . import plain_files

RUNNING = os.uname().release
IPVS = "kernel/net/netfilter/ipvs/"


class Node:
    """A file tree, with what ``run_command`` and ``write_files`` do in it. ``stubborn``: modules that modprobe does not load."""

    def __init__(self, root: Path):
        self.root = root
        self.warnings: list[str] = []
        self.runs: list[list[str]] = []
        self.stubborn: set[str] = set()
        self.result = (0, "", "")
        self.path = root / "etc/modules-load.d/ipvs.conf"
        self.put("etc/modules-load.d/.keep", "")
        self.put("etc/modprobe.d/.keep", "")
        self.put("proc/modules", "ipv6 429085 11 [permanent], Live 0x0\n")

    def put(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def kernel(self, release: str = RUNNING, loadable=(), builtin=(), aliases="") -> None:
        """Make the lists that depmod leaves for a kernel."""
        self.put(f"lib/modules/{release}/modules.dep", "".join(f"{path}: kernel/lib/libcrc32c.ko\n" for path in loadable))
        self.put(f"lib/modules/{release}/modules.builtin", "".join(f"{path}\n" for path in builtin))
        self.put(f"lib/modules/{release}/modules.alias", aliases)

    def load(self, name: str, references: int = 0, holders: str = "-") -> None:
        modules = self.root / "proc/modules"
        modules.write_text(modules.read_text() + f"{name} 2029 {references} {holders} Live 0x0\n")
        self.put(f"sys/module/{name}/initstate", "live\n")

    def run_command(self, argv: list[str]) -> tuple[int, str, str]:
        self.runs.append([Path(argv[0]).name, *argv[1:]])
        if self.result[0] == 0:
            for name in argv[2:]:
                if name not in self.stubborn:
                    self.load(name)
        return self.result

    def context(self, check_mode: bool = False) -> Context:
        return Context(check_mode, True, self.warnings.append, self.run_command, plain_files.write_files)

    def task(self, check_mode: bool = False, task=_modules.ensure_modules, **options):
        defaults = {"names": None, "schedulers": None, "state": "present", "load": True, "persist": True, "kernel": None, "options": None}
        defaults.update(path=str(self.path), options_path=str(self.root / "etc/modprobe.d/ipvs.conf"))
        return task({**defaults, **options}, self.context(check_mode), str(self.root))


def fake_programs(folder, monkeypatch):
    """modprobe and rmmod are found, whatever this machine has; they are never run."""
    for name in ("modprobe", "rmmod"):
        (folder / name).write_text("#!/bin/false\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


def node_with_ipvs(root):
    """A Node whose kernel has some modules of IPVS."""
    node = Node(root)
    node.kernel(
        loadable=[IPVS + "ip_vs.ko", IPVS + "ip_vs_rr.ko.xz", IPVS + "ip_vs_wrr.ko.zst", IPVS + "ip-vs-odd.ko.gz", "kernel/net/netfilter/nf_conntrack.ko"],
        builtin=["kernel/net/ipv4/tunnel4.ko"],
        aliases="# Aliases extracted from modules themselves.\n# alias_off nf_conntrack\nalias ip_conntrack nf_conntrack\nalias pci:v00008086d* e1000\n",
    )
    return node
