# SPDX-License-Identifier: GPL-3.0-or-later
"""A real control plane on loopback, with nodes that have no machine behind them; each test finds kube-proxy as kubeadm installs it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest
import yaml

from tests.kube.real.control_plane import DAEMONSET, SYSTEM, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.support import ROOT, ansible, eventually

CONFIGMAP = f"{SYSTEM}/configmaps/kube-proxy"


class Cluster:
    """The control plane, its kubelets' stand-in, and what tests look at."""

    def __init__(self, control_plane: ControlPlane, kubelets: Kubelets):
        self.control_plane, self.kubelets = control_plane, kubelets
        self.call, self.get = control_plane.call, control_plane.get

    def reset(self) -> None:
        """No nodes, no kube-proxy, nobody's rights."""
        for path in (DAEMONSET, CONFIGMAP):
            if self.there(path):
                self.call("DELETE", path)
        eventually(lambda: not self.pods(), 60)
        self.kubelets.forget()

    def there(self, path: str) -> bool:
        folder, name = path.rsplit("/", 1)
        return name in [item["metadata"]["name"] for item in self.get(folder)["items"]]

    def install(self, *names: str, **nodes: Node) -> None:
        """kube-proxy by kubeadm, on nodes that are ready."""
        nodes = {**{name: Node(f"198.51.100.{21 + index}") for index, name in enumerate(names)}, **nodes}
        for name, node in nodes.items():
            self.kubelets.register(name, node)
        self.control_plane.add_kube_proxy()
        self.settle(len(nodes))

    def settle(self, nodes: int) -> None:
        def is_rolled_out():
            daemonset = self.daemonset()
            status = daemonset["status"]
            return status.get("observedGeneration") == daemonset["metadata"]["generation"] and status.get("numberReady") == nodes

        eventually(is_rolled_out, 60)

    def daemonset(self) -> dict:
        return self.get(DAEMONSET)

    def restarts(self) -> int:
        return self.daemonset()["metadata"]["generation"] - 1

    def note(self) -> str | None:
        return self.daemonset()["metadata"].get("annotations", {}).get("lvs.ipvs/restart-pending")

    def patch(self, path: str, **change) -> None:
        self.call("PATCH", path, change)

    def text(self) -> str:
        return self.get(CONFIGMAP)["data"]["config.conf"]

    def configuration(self) -> dict:
        return yaml.safe_load(self.text())

    def pods(self) -> list[dict]:
        return self.get(f"{SYSTEM}/pods?labelSelector=k8s-app%3Dkube-proxy")["items"]

    def versions(self) -> list[str]:
        """Changes with every write to what the playbook may write to."""
        return [self.get(path)["metadata"]["resourceVersion"] for path in (CONFIGMAP,)] + [str(self.daemonset()["metadata"]["generation"]), str(self.note())]


@dataclass
class Run:
    """One run of ansible-playbook. ``changed``: of all hosts together; ``text``: the output as one line."""

    failed: bool
    changed: int
    output: str

    @property
    def text(self) -> str:
        return " ".join(self.output.split())


@pytest.fixture(scope="session")
def control_plane():
    with ControlPlane() as started, Kubelets(started) as kubelets:
        yield Cluster(started, kubelets)


@pytest.fixture
def cluster(control_plane):
    yield control_plane
    assert not control_plane.kubelets.failure, control_plane.kubelets.failure
    control_plane.reset()


@pytest.fixture
def play(tmp_path, control_plane):
    """Run the playbook kube_proxy_mode from the controller, with no Ansible connection to any node."""

    def run(*options: str, mode="ipvs", **variables) -> Run:
        variables = {
            "kube_proxy_kubeconfig": str(control_plane.control_plane.kubeconfig),
            "kube_proxy_poll_interval": 1,
            "kube_proxy_timeout": 60,
            "kube_proxy_mode": mode,
            **variables,
        }
        words = ["-i", "localhost,", ROOT / "playbooks/kube_proxy_mode.yml", "-e", json.dumps(variables), *options]
        # kubernetes.core keeps what it discovered in the directory for temporary files.
        done = ansible("ansible-playbook", *words, home=tmp_path, succeeds=None, cwd=tmp_path, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    return run
