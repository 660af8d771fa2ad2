# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml takes over fleets of different sizes: the first run, and one that finds nothing to do. Whole machines of the lab.

    python -m tests.bench.fleet [MACHINES...]    1, 3 and 10 unless given; one is the director, the others are real servers
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from extensions.lab import Lab

ROOT = Path(__file__).parents[2]


def measure(machines):
    """{"first run": seconds, "nothing to do": seconds, "tasks on the director": number of the second run}"""
    servers = [f"rs{number}" for number in range(1, machines)]
    with Lab("fleet") as lab, tempfile.TemporaryDirectory(prefix="fleet") as scratch:
        lab.up(["director:group=directors", *(f"{name}:group=real_servers" for name in servers)])
        (Path(scratch) / "hosts.yml").write_text(lab.inventory())
        addresses = [lab.machine(name).address for name in servers]
        # a director alone has servers too, elsewhere; it needn't reach them
        service = {"address": "198.51.100.80", "port": 80, "scheduler": "wrr"}
        variables = {"director_services": [{**service, "servers": [{"address": each} for each in addresses or ["198.51.100.201", "198.51.100.202"]]}]}
        taken = {}
        for name in ("first run", "nothing to do"):
            start = time.monotonic()
            output = site(Path(scratch), variables)
            taken[name] = time.monotonic() - start
        if "changed=0" not in output or re.search(r"changed=[1-9]", output):
            raise AssertionError(f"the second run was to find nothing to do:\n{output}")
        taken["tasks on the director"] = int(re.search(r"director +: ok=(\d+)", output)[1])
        return taken


def site(folder, variables):
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache/collections"), ANSIBLE_PIPELINING="true", ANSIBLE_HOME=str(folder / "ansible"))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "hosts.yml"), "--forks", "10"]
    command += ["--extra-vars", json.dumps(variables), str(ROOT / "playbooks/site.yml")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ansible-playbook ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def main(words):
    print("| machines | first run | nothing to do | tasks on the director |\n|---:|---:|---:|---:|")
    for machines in map(int, words or ("1", "3", "10")):
        taken = measure(machines)
        print(f"| {machines} | {taken['first run']:.0f} s | {taken['nothing to do']:.1f} s | {taken['tasks on the director']} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
