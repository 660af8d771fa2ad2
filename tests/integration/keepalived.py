# SPDX-License-Identifier: GPL-3.0-or-later
"""The real keepalived in a network namespace, and the servers that it checks."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from tests.support import eventually

from .modules import ModuleFailed, run_module

ADDITION = Path("/etc/systemd/system/keepalived.service.d/ipvs-director.conf")
DRAIN = Path(_drain_files.FOLDER)
BACKLOG = 4000  # nobody accepts what the checks open
CHECK = {"interval": 0.5, "retries": 0, "timeout": 1}
ADDRESSES = ("198.51.100.11", "198.51.100.12", "198.51.100.13")


def warn(text):
    raise AssertionError(text)


def run_command(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout, done.stderr


CONTEXT = Context(False, False, warn, run_command)


class Keepalived:
    """A keepalived in the current network namespace, with its files in a folder of its own."""

    def __init__(self, folder):
        folder.mkdir()
        self.path = folder / "keepalived.conf"
        self.log = folder / "log"
        self.files = [f"--{option}={folder / option}" for option in ("pid", "checkers_pid", "vrrp_pid")]
        self.environment = {**os.environ, "TMPDIR": str(folder)}
        self.process = None

    def start(self, text):
        self.path.write_text(text)
        self.run()

    def run(self):
        """Start it with the file that is there."""
        words = ["keepalived", "--dont-fork", "--log-console", f"--use-file={self.path}", *self.files]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(words, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
        if self.process:
            self.process.wait()

    def children(self):
        pid = self.process.pid
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def additions():
    """The names of the files that are added to the unit."""
    return sorted(path.name for path in ADDITION.parent.glob("*"))


def web(addresses=ADDRESSES[:2], weight=5, **options):
    """A list of one service with these servers."""
    servers = [{"address": address, "forward_method": "nat", "weight": weight, "upper_threshold": 0, **options} for address in addresses]
    return [{"address": "203.0.113.80", "port": 80, "scheduler": "wrr", "check": CHECK, "servers": servers}]


class Director:
    """A keepalived and the module, which take the same file."""

    def __init__(self, ipvs, keepalived):
        self.ipvs, self.keepalived, self.path = ipvs, keepalived, keepalived.path

    def manage(self, services=None, **options):
        return run_module("ipvs_keepalived", path=str(self.path), **({"services": services} if services else {}), **options)

    def fails(self, services, run_module=run_module, **options):
        """The message of a task that fails, and leaves the file, the table and the processes as they were."""
        before = self.state()
        with pytest.raises(ModuleFailed) as failure:
            self.manage(services, **options)
        assert self.state() == before
        return failure.value.result["msg"]

    def state(self):
        processes = run_module("ipvs_keepalived_info")["processes"]
        drains = sorted(os.listdir(DRAIN)) if DRAIN.exists() else []
        return self.path.read_text() if self.path.exists() else None, additions(), drains, self.ipvs.saved(), processes

    def start(self, services, **options):
        """Have keepalived work by this list, over a table that is equal to it."""
        run_module("ipvs_table", services=services)
        self.manage(services, **options)
        self.keepalived.run()
        eventually(lambda: run_module("ipvs_keepalived_info")["services"])

    def weights(self):
        services = run_module("ipvs_info")["services"]
        return {server["address"]: server["weight"] for service in services for server in service["servers"]}
