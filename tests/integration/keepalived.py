# SPDX-License-Identifier: GPL-3.0-or-later
"""The real keepalived in a network namespace, and the servers that it checks."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context

DRAIN = Path(_drain_files.FOLDER)
BACKLOG = 4000  # nobody accepts what the checks open
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


@pytest.fixture
def keepalived(ipvs, tmp_path):
    """One that is stopped, whatever becomes of the test."""
    made = Keepalived(tmp_path / "keepalived")
    yield made
    made.stop()


@pytest.fixture
def servers(ipvs):
    """{address: a socket that listens on port 80}."""
    run_command(["ip", "address", "add", "203.0.113.80/32", "dev", "lo"])
    with contextlib.ExitStack() as stack:
        found = {}
        for address in ADDRESSES:
            run_command(["ip", "address", "add", f"{address}/32", "dev", "lo"])
            found[address] = stack.enter_context(socket.create_server((address, 80), backlog=BACKLOG))
        yield found


@pytest.fixture
def drains():
    """The folder of the files by which servers are drained; keepalived misses them if it comes later."""
    DRAIN.mkdir(parents=True)
    yield
    shutil.rmtree(DRAIN)
