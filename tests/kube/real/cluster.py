# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster as tests see it: the control plane, its kubelets' stand-in, and what they look at."""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from tests.kube.real.control_plane import DAEMONSET, SYSTEM, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.support import eventually

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
