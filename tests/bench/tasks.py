# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible tasks: the collection's modules against the tasks that a user would write without them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from . import measure, tables

HERE = Path(__file__).parent / "playbooks"
ROOT = Path(__file__).parents[2]


def compare(service, table, large, rounds):
    """Run the playbook; return a dict, name of a task -> list of seconds, one for each round.

    ``service``, ``table``, ``large``: the Size of what the three parts of the playbook work on.
    """
    with tempfile.TemporaryDirectory(prefix="bench") as scratch, measure.namespace():
        bench = Path(scratch)
        (one,) = tables.options(service)
        large = tables.options(large)
        variables = {
            "service": one,
            "service_commands": [["ipvsadm", *line.split()] for line in tables.rules([one]).splitlines()],
            "table": tables.options(table),
        }
        (bench / "variables.json").write_text(json.dumps(variables))
        # not among the variables: Ansible would copy it for every task that is measured
        (bench / "large.json").write_text(json.dumps(large))
        (bench / "large.rules").write_text(tables.rules(large))
        run_playbook(bench, rounds)
        taken = {}
        for line in (bench / "times").read_text().splitlines():
            entry = json.loads(line)
            taken.setdefault(entry["task"], []).append(entry)
        return {task: [entry["seconds"] for entry in entries] for task, entries in taken.items()}


def run_playbook(bench, rounds):
    environment = dict(
        os.environ,
        ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache/collections"),
        ANSIBLE_CALLBACKS_ENABLED="stopwatch",
        ANSIBLE_HOME=str(bench / "ansible"),
        ANSIBLE_LOCALHOST_WARNING="false",
        STOPWATCH=str(bench / "times"),
    )
    command = [
        str(Path(sys.executable).with_name("ansible-playbook")),
        "--inventory", "localhost,",
        "--connection", "local",
        "--extra-vars", json.dumps({"bench": str(bench), "rounds": rounds, "ansible_python_interpreter": sys.executable}),
        str(HERE / "tasks.yml"),
    ]  # fmt: skip
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ansible-playbook ended with {done.returncode}")
