# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of several folders share: Ansible's programs with nothing of the user's, and waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
"""Of the Python that runs the tests, and of the ansible-core that is under test."""

PATIENCE = 600
"""Seconds that nothing takes but a defect, on the slowest machine: they end a wait, they measure nothing."""


class Done(NamedTuple):
    """A program that has ended."""

    status: int
    stdout: str
    stderr: str

    @property
    def output(self) -> str:
        return self.stdout + self.stderr

    @property
    def line(self) -> str:
        """The output as one line, since Ansible wraps long messages."""
        return " ".join(self.output.split())


def ansible(program, *words, home, succeeds=True, cwd=ROOT, command=None, **environment) -> Done:
    """Run one of Ansible's programs on this checkout's collection; fail unless it succeeds, or fails, as it should.

    Nothing of the user's is seen but PATH: settings, home, what other programs keep there. ``home``: a folder for all that;
    ``succeeds``: None where both will do; ``command``: the words that start the program, if not the one beside this Python;
    ``environment``: variables more.
    """
    nothing = Path(home, "ansible.cfg")
    nothing.touch()
    settings = {
        "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"),
        "ANSIBLE_CONFIG": str(nothing),
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_NOCOLOR": "true",
        "ANSIBLE_PIPELINING": "true",
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PATH": f"{BIN}:{os.environ['PATH']}",
        **environment,
    }
    done = subprocess.run(
        [*(command or [BIN / program]), *words],
        cwd=cwd, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
    )  # fmt: skip
    ended = Done(done.returncode, done.stdout, done.stderr)
    assert succeeds is None or (ended.status == 0) == succeeds, f"exit status {ended.status}: {ended.output}"
    return ended


def eventually(question, patience=PATIENCE):
    """Ask until the answer is true, and return it."""
    end = time.monotonic() + patience
    while not (answer := question()):
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.05)
    return answer
