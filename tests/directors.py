# SPDX-License-Identifier: GPL-3.0-or-later
"""Several directors in one kernel, for playbooks: each a network namespace with a state folder and a rules file of its own.

Ansible reaches them by its local connection, whose shell is a program that goes into the namespaces first. For the lab's kernel, as root.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _netlink, _saved

STATE = "/var/lib/ipvs-director"
SAVED = "/etc/ipvsadm.rules"

_SHELL = """#!/bin/sh
exec nsenter --net=/run/netns/{name} --mount={folder}/mounts/{name} /bin/sh "$@"
"""
_MOUNTS = """
set -eu
mount --bind {folder}/{name}/state {state}
"""


class Directors:
    """``names``: the directors; ``servers``: dict, name of a real server -> address; ``path``: an empty folder for their files.

    A context manager. ``variables``: of all hosts, such as director_services.
    """

    def __init__(self, names, servers, path, **variables):
        self.names, self.servers, self.folder, self.variables = list(names), servers, Path(path), variables

    def __enter__(self):
        mounts = self.folder / "mounts"
        mounts.mkdir()
        # a mount namespace stays alive by a file in a place whose mounts are private
        _run("mount", "-t", "tmpfs", "tmpfs", mounts)
        _run("mount", "--make-private", mounts)
        Path(STATE).mkdir(parents=True, exist_ok=True)
        # what is replaced by a new file cannot be a mount of its own
        Path(SAVED).unlink(missing_ok=True)
        Path(SAVED).symlink_to(f"{STATE}/saved")
        for name in self.names:
            (self.folder / name / "state").mkdir(parents=True)
            (mounts / name).touch()
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            words = {"folder": self.folder, "name": name, "state": STATE}
            _run("unshare", f"--mount={mounts / name}", "sh", "-c", _MOUNTS.format(**words))
            self.shell(name).write_text(_SHELL.format(**words))
            self.shell(name).chmod(0o755)
        return self

    def __exit__(self, *exc_info):
        for name in self.names:
            _run("umount", self.folder / "mounts" / name)
            _run("ip", "netns", "del", name)
        _run("umount", self.folder / "mounts")
        Path(SAVED).unlink()

    def shell(self, name):
        return self.folder / name / "shell"

    def inventory(self):
        """The path of an inventory, with groups directors and real_servers."""
        directors = {name: {"ansible_shell_executable": str(self.shell(name))} for name in self.names}
        servers = {name: {"real_server_addresses": [address]} for name, address in self.servers.items()}
        children = {"directors": {"hosts": directors}, "real_servers": {"hosts": servers}}
        python = {"ansible_python_interpreter": sys.executable, "director_python": sys.executable}
        general = {"ansible_connection": "local", "ansible_become": False, **python, **self.variables}
        path = self.folder / "inventory.json"
        path.write_text(json.dumps({"all": {"vars": general, "children": children}}))
        return path

    def ipvsadm(self, name, *words, rules=None):
        """Run ipvsadm on a director; what it prints."""
        with _netns.inside(name):
            return subprocess.run(["ipvsadm", *words], input=rules, check=True, capture_output=True, text=True).stdout

    def save(self, name):
        """Write what the director's boot would restore, as ipvs_saved does."""
        with _netlink.Kernel(name) as kernel:
            (self.folder / name / "state/saved").write_text(_saved.render(kernel.read(), None, []))

    def state(self, name):
        """The names of the files in a director's folder of state, beside its saved table."""
        return sorted(path.name for path in (self.folder / name / "state").iterdir() if path.name != "saved")


def _run(*words):
    subprocess.run([str(word) for word in words], check=True)
