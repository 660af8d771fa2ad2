# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up file tree of kernel settings, for ipvs_sysctls."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _sysctl_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

from . import plain_files

KERNEL = {
    "net.ipv4.ip_forward": "0",
    "net.ipv6.conf.all.forwarding": "0",
    "net.ipv4.vs.conn_reuse_mode": "1",
    "net.ipv4.vs.sync_threshold": "3\t50",
    **{f"net.ipv4.conf.{name}.{key}": "0" for name in ("all", "default", "eth0", "eth0/100") for key in ("arp_ignore", "arp_announce", "rp_filter")},
}


class Node:
    """A file tree. ``refuse``: {key: errno} of writes; ``meddle``: a function (key, value) called after each write."""

    def __init__(self, root: Path, monkeypatch):
        self.root, self.refuse, self.meddle, self.warnings, self.written = root, {}, None, [], []
        self.path = root / "etc/sysctl.d/60-test.conf"
        for key, value in KERNEL.items():
            self[key] = value
        genuine = _sysctls.write

        def write(key, value, root):
            self.written.append(key)
            if key in self.refuse:
                raise OSError(self.refuse[key], "Invalid argument")
            genuine(key, value, root)
            if self.meddle:
                self.meddle(key, value)

        monkeypatch.setattr(_sysctls, "write", write)
        monkeypatch.setattr(_own_files.os, "chown", lambda *words: None)
        # whoever runs the tests
        monkeypatch.setattr(_own_files, "read", lambda path, read=_own_files.read: read(path)._replace(owner="0:0"))

    def __setitem__(self, key, value):
        file = Path(_sysctls.path_of(key, str(self.root)))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")

    def __getitem__(self, key):
        return _sysctls.read(key, str(self.root))

    def state(self):
        return {path: path.read_text() for path in self.root.rglob("*") if path.is_file()}

    def run(self, settings=None, check=False, diff=True, **options):
        self.warnings.clear()
        options = {"settings": settings, "services": None, "path": str(self.path), "state": "present", **options}
        context = Context(check, diff, self.warnings.append, write_files=plain_files.write_files)
        return _sysctl_tasks.manage_sysctls(options, context, str(self.root))

    def twice(self, settings=None, **options):
        """The answer, foretold in check mode, with a second run that changes nothing."""
        before = self.state()
        foretold = self.run(settings, check=True, **options)
        assert self.state() == before
        done = self.run(settings, **options)
        assert foretold == done
        again = self.run(settings, **options)
        assert (again.changed, again.values["differences"], again.values["settings"]) == (False, [], done.values["settings"])
        assert again.before == again.after
        return done


def lines(node):
    return node.path.read_text().splitlines()[2:]
