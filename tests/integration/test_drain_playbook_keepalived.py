# SPDX-License-Identifier: GPL-3.0-or-later
"""drain.yml where keepalived checks the servers: it waits for the check of each before it goes on."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._configuration import configuration
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from tests.directors import Directors
from tests.support import ROOT, ansible, eventually

from .keepalived import BACKLOG

pytestmark = [pytest.mark.once, pytest.mark.slow]

SERVERS = {"web1": "198.51.100.11", "web2": "198.51.100.12"}
LIST = [
    {
        "address": "203.0.113.80", "port": 80, "scheduler": "wrr", "check": {"interval": 0.5, "retries": 0},
        "servers": [{"address": address, "forward_method": "nat", "weight": 3} for address in SERVERS.values()],
    }
]  # fmt: skip


def ip(*words):
    subprocess.run(["ip", "-n", "lb1", *words], check=True)


def test_a_server_whose_check_fails_ends_the_run(netns, tmp_path):
    with Directors(["lb1"], SERVERS, tmp_path, director_services=LIST) as directors, _netns.inside("lb1"):
        for address in ("203.0.113.80", *SERVERS.values()):
            ip("address", "add", f"{address}/32", "dev", "lo")
        listening = socket.create_server(("", 80), backlog=BACKLOG)
        drains = tmp_path / "lb1/state/drain"
        drains.mkdir()
        path = tmp_path / "keepalived.conf"
        path.write_text(configuration(LIST))
        for address in SERVERS.values():
            (drains / address).write_text("0\n")
        files = [f"--{option}={tmp_path / option}" for option in ("pid", "checkers_pid", "vrrp_pid")]
        words = [directors.shell("lb1"), "-c", 'exec "$@"', "sh", "keepalived", "--dont-fork", "--log-console", f"--use-file={path}", *files]
        with listening, subprocess.Popen(words) as keepalived:
            try:
                _drain(directors, tmp_path)
            finally:
                keepalived.terminate()


def _drain(directors, folder):
    def weights():
        return [line.rpartition(" -w ")[2] for line in directors.ipvsadm("lb1", "-S", "-n").splitlines() if " -w " in line]

    def drain(command, *words, succeeds=True):
        tasks = folder / "tasks.json"
        # the real servers' commands run here, which is the director's network namespace, too
        task = {"name": "Do something", "ansible.builtin.shell": f"ipvsadm -S -n > {folder}/seen; {command}"}
        tasks.write_text(json.dumps([task]))
        playbook = ROOT / "playbooks/drain.yml"
        return ansible("ansible-playbook", "-i", directors.inventory(), playbook, "-e", f"drain_tasks={tasks}", *words, home=folder, succeeds=succeeds)

    eventually(lambda: weights() == ["3", "3"])
    drain("true")
    assert weights() == ["3", "3"] and "-r 198.51.100.12:80 -m -w 0" in (folder / "seen").read_text()

    # what is done to the first one breaks it
    address = "address del 198.51.100.11/32 dev lo"
    failed = drain(f"ip {address}; sleep 2", "-e", "drain_health_retries=1", succeeds=False)
    assert "kept out by its health check" in failed.line
    assert "-r 198.51.100.11:80 -m -w 0" in (folder / "seen").read_text() and sorted(weights()) == ["0", "3"]

    # it comes back within the time
    drain("(sleep 4; ip address add 198.51.100.11/32 dev lo) > /dev/null 2>&1 &", "-e", "drain_hosts=web1")
    assert weights() == ["3", "3"]
