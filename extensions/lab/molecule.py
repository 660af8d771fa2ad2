# SPDX-License-Identifier: GPL-3.0-or-later
"""The `molecule test` that a lab belongs to: Molecule destroys nothing when it is interrupted or killed, so the lab does it then."""
from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

from . import host

COMMANDS = {
    "check", "cleanup", "converge", "create", "dependency", "destroy", "drivers", "idempotence", "init", "list", "login", "matrix", "prepare", "reset",
    "side-effect", "syntax", "test", "verify",
}


def molecule_test():
    """The nearest `molecule test` above this process that is to destroy its machines at the end; None where there is none."""
    for pid in host.ancestors():
        words = arguments(host.command_line(pid))
        if words is not None:
            return host.identity(pid) if destroys(words) else None
    return None


def arguments(words):
    """Those of Molecule in the command line WORDS of a process; None when it is something else."""
    rest = list(words)
    if rest and Path(rest[0]).name.startswith("python"):
        rest.pop(0)
        while rest and rest[0].startswith("-") and rest[0] != "-m":
            rest.pop(0)
        if rest[:1] == ["-m"]:
            rest.pop(0)
    return rest[1:] if rest and Path(rest[0]).name == "molecule" else None


def destroys(words):
    """Whether Molecule with these arguments destroys its machines at its end."""
    command = next((word for word in words if word in COMMANDS), None)
    if command != "test":
        return False
    strategy = "always"
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--":
            break
        if word == "--destroy":
            strategy = following
        elif word.startswith("--destroy="):
            strategy = word.partition("=")[2]
    return strategy == "always"


def destroy_after(process, given):
    """Have the lab of the request GIVEN destroyed when PROCESS has ended, by a process of its own, which no Ctrl-C reaches."""
    program = [host.PYTHON, os.path.dirname(os.path.abspath(__file__)), "destroy", "--after", process]
    subprocess.run(
        ["setsid", "--fork", *program], input=json.dumps(given), text=True, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
