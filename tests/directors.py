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

STATE = "/var/lib/ipvs-director"
SAVED = "/etc/ipvsadm.rules"

_SHELL = """#!/bin/sh
exec nsenter --net=/run/netns/{name} --mount={folder}/mounts/{name} /bin/sh "$@"
"""
_MOUNTS = """
set -eu
mount --bind {folder}/{name}/state {state}
mount --bind {folder}/{name}/saved {saved}
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
        Path(SAVED).touch()
        for name in self.names:
            (self.folder / name / "state").mkdir(parents=True)
            (self.folder / name / "saved").touch()
            (mounts / name).touch()
            _run("ip", "netns", "add", name)
            _run("ip", "-n", name, "link", "set", "lo", "up")
            words = {"folder": self.folder, "name": name, "state": STATE, "saved": SAVED}
            _run("unshare", f"--mount={mounts / name}", "sh", "-c", _MOUNTS.format(**words))
            self.shell(name).write_text(_SHELL.format(**words))
            self.shell(name).chmod(0o755)
        return self

    def __exit__(self, *exc_info):
        for name in self.names:
            _run("umount", self.folder / "mounts" / name)
            _run("ip", "netns", "del", name)
        _run("umount", self.folder / "mounts")

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

    def state(self, name):
        """The names of the files in a director's folder of state."""
        return sorted(path.name for path in (self.folder / name / "state").iterdir())


def _run(*words):
    subprocess.run([str(word) for word in words], check=True)
