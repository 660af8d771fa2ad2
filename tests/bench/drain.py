# SPDX-License-Identifier: GPL-3.0-or-later
"""drain.yml over several directors beside the same playbook as it was before the module ipvs_drain: one real server out and back.

The directors are network namespaces of one kernel with one CPU, so nothing that they do at the same time is faster here: what is
compared is the work. What the role director looks up first is the same for both, and left out. Over SSH, each wait for a director
comes on top for the playbook that goes from one to the next.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.directors import Directors

from . import measure

ROOT = Path(__file__).parents[2]
PLAYBOOKS = {"ours": ROOT / "playbooks/drain.yml", "before": Path(__file__).parent / "playbooks/drain_before/drain.yml"}
SERVERS = {f"web{number}": f"198.51.100.1{number}" for number in range(3)}
SERVICES = [
    {"address": "203.0.113.80", "port": port, "scheduler": "wrr", "servers": [{"address": each, "forward_method": "nat"} for each in SERVERS.values()]}
    for port in (80, 443)
]


def compare(directors, rounds):
    """{"ours" or "before": seconds, one for each round}"""
    with tempfile.TemporaryDirectory(prefix="bench") as scratch:
        with Directors([f"lb{number}" for number in range(directors)], SERVERS, scratch, director_services=SERVICES) as found:
            rules = "".join(_rules(service) for service in SERVICES)
            for name in found.names:
                found.ipvsadm(name, "-R", rules=rules)
                found.save(name)
            before = [found.ipvsadm(name, "-S", "-n") for name in found.names]
            inventory = found.inventory()

            def run(way):
                def timed(clock):
                    with clock("drain"):
                        drain(PLAYBOOKS[way], inventory, scratch)
                    if [found.ipvsadm(name, "-S", "-n") for name in found.names] != before:
                        raise AssertionError("the tables are not what they were")

                return timed

            taken = measure.in_turn(rounds, {way: run(way) for way in PLAYBOOKS})
    return {way: seconds for (way, _name), seconds in taken.items()}


def _rules(service):
    name = f"-t {service['address']}:{service['port']}"
    return f"-A {name} -s wrr\n" + "".join(f"-a {name} -r {server['address']} -m -w 2\n" for server in service["servers"])


def drain(playbook, inventory, scratch):
    settings = {"ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"), "ANSIBLE_PIPELINING": "true", "ANSIBLE_HOME": f"{scratch}/ansible"}
    command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(inventory), "--forks", "10", "-e", "drain_hosts=web0", str(playbook)]
    done = subprocess.run(command, env=dict(os.environ, **settings), stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"ansible-playbook ended with {done.returncode}:\n{done.stdout}{done.stderr}")
