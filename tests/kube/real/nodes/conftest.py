# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the lab on which the real kube-proxy runs: one cluster for all tests of this folder, and the playbooks on it.

The cluster has IPv4 and IPv6. node1 is booted from an image that the playbook kube_node_image made ready, node2 knows nothing of it.
The tests take place in the order of their files: each finds the machines as the one before has left them.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from extensions.lab import Lab
from tests.kube.real.cluster import Run
from tests.kube.real.control_plane import DUAL, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.kube.real.machines import ANSIBLE_PLAYBOOK, Machines, bake
from tests.kube.real.services import SIX, endpoints, service
from tests.support import ROOT, ansible


@pytest.fixture(scope="package")
def machines(tmp_path_factory):
    disk = bake(tmp_path_factory.mktemp("image"))
    with Lab("kube-nodes") as lab:
        lab.up([f"node1:group=kube_nodes,mem=512M,front,disk={disk}", "node2:group=kube_nodes,mem=512M"])
        with ControlPlane("198.51.100.1", DUAL, network=lab.network) as control_plane, Kubelets(control_plane) as kubelets:
            cluster = Machines(lab, control_plane, kubelets)
            cluster.prepare("node2")
            nodes = {
                name: Node(machine.address, start=lambda name=name: cluster.start(name), stop=lambda name=name: cluster.stop(name))
                for name, machine in lab.machines.items()
            }
            cluster.install(**nodes)
            cluster.call("POST", "/api/v1/namespaces/default/services", service("np", "NodePort"))
            cluster.call("POST", "/api/v1/namespaces/default/endpoints", endpoints("np"))
            cluster.call("POST", "/api/v1/namespaces/default/services", SIX)
            yield cluster


@pytest.fixture
def play(machines, tmp_path):
    """Run a playbook where the lab's client is, with the machines as kube_nodes."""

    def run(playbook: Path, *options: str, **variables) -> Run:
        (tmp_path / "inventory.yml").write_text(machines.lab.inventory())
        words = ["-i", tmp_path / "inventory.yml", playbook, "-e", json.dumps(variables), *options]
        command = [*machines.lab.network.inside(), ANSIBLE_PLAYBOOK]
        done = ansible(None, *words, home=tmp_path, succeeds=None, cwd=tmp_path, command=command, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    return run


@pytest.fixture
def move(machines, play):
    """Run the playbook kube_proxy_mode."""

    def run(*options: str, mode="ipvs", **variables) -> Run:
        kubeconfig = str(machines.control_plane.kubeconfig)
        settings = {"kube_proxy_kubeconfig": kubeconfig, "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120, "kube_proxy_mode": mode}
        return play(ROOT / "playbooks/kube_proxy_mode.yml", *options, **settings, **variables)

    yield run
    machines.before_start.clear()
    assert not machines.kubelets.failure, machines.kubelets.failure
