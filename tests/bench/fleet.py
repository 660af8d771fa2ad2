# SPDX-License-Identifier: GPL-3.0-or-later
"""How long site.yml takes over fleets of different sizes: the first run, and one that finds nothing to do. Whole machines of the lab.

    python -m tests.bench.fleet [MACHINES...] [--beside CHECKOUT]

MACHINES  1, 3 and 10 unless given; one is the director, the others are real servers
CHECKOUT  another checkout of this repository, an older one for example, whose site.yml is measured in turn with this one's
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from extensions.lab import Lab

ROOT = Path(__file__).parents[2]


ROUNDS = 3  # of runs with nothing to do, of which the median counts


def measure(machines, checkout):
    """{"first run": seconds, "nothing to do": seconds, "tasks on the director": number of the last run} of this checkout's site.yml"""
    servers = [f"rs{number}" for number in range(1, machines)]
    with Lab("fleet") as lab, tempfile.TemporaryDirectory(prefix="fleet") as scratch:
        folder = Path(scratch)
        lab.up(["director:group=directors", *(f"{name}:group=real_servers" for name in servers)])
        (folder / "hosts.yml").write_text(lab.inventory())
        collection = folder / "collections/ansible_collections/lvs/ipvs"
        collection.parent.mkdir(parents=True)
        collection.symlink_to(checkout)
        addresses = [lab.machine(name).address for name in servers]
        # a director alone has servers too, elsewhere; it needn't reach them
        service = {"address": "198.51.100.80", "port": 80, "scheduler": "wrr"}
        variables = {"director_services": [{**service, "servers": [{"address": each} for each in addresses or ["198.51.100.201", "198.51.100.202"]]}]}
        first, _output = site(folder, variables)
        again = []
        for _round in range(ROUNDS):
            seconds, output = site(folder, variables)
            again.append(seconds)
            if "changed=0" not in output or re.search(r"changed=[1-9]", output):
                raise AssertionError(f"a second run was to find nothing to do:\n{output}")
        tasks = int(re.search(r"director +: ok=(\d+)", output)[1])
        return {"first run": first, "nothing to do": statistics.median(again), "tasks on the director": tasks}


def site(folder, variables):
    """(seconds, output) of site.yml from the collections of this folder"""
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(folder / "collections"), ANSIBLE_PIPELINING="true", ANSIBLE_HOME=str(folder / "ansible"))
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(folder / "hosts.yml"), "--forks", "10"]
    command += ["--extra-vars", json.dumps(variables), "lvs.ipvs.site"]
    start = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - start
    if done.returncode:
        raise RuntimeError(f"ansible-playbook ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return seconds, done.stdout


def line(machines, name, taken):
    return f"| {machines} | {name} | {taken['first run']:.1f} s | {taken['nothing to do']:.1f} s | {taken['tasks on the director']} |"


def main(words):
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet")
    parser.add_argument("machines", nargs="*", type=int, default=(1, 3, 10))
    parser.add_argument("--beside", type=Path)
    options = parser.parse_args(words)
    print("| machines | | first run | nothing to do | tasks on the director |\n|---:|---|---:|---:|---:|")
    for machines in options.machines:
        ours = measure(machines, ROOT)
        print(line(machines, "this checkout", ours), flush=True)
        if options.beside:
            other = measure(machines, options.beside.resolve())
            print(line(machines, "the other", other))
            print(f"| | ratio | {ours['first run'] / other['first run']:.2f} | {ours['nothing to do'] / other['nothing to do']:.2f} | |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
