# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for kubelets: registers nodes, says of the pods bound to them that they run, and ends those that are being deleted.

What no kubelet would do: no container is started. For a pod of kube-proxy, the caller's function may start the real program where the node is.
"""

from __future__ import annotations

import datetime
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tests.kube.real.control_plane import ControlPlane, Refused

READY, CRASHING, PENDING = "ready", "crashing", "pending"
MERGE = "application/strategic-merge-patch+json"


@dataclass
class Node:
    """``fate``: what becomes of its new pods; ``slow``: seconds until they are ready; ``start``, ``stop``: called for each new pod of kube-proxy."""

    address: str
    kernel: str = "6.1.0-18-amd64"
    fate: str = READY
    slow: float = 0
    labels: tuple[tuple[str, str], ...] = ()
    start: Callable[[], None] | None = None
    stop: Callable[[], None] | None = None


class Kubelets:
    """The kubelets of all nodes, in one thread, as a context manager."""

    def __init__(self, cluster: ControlPlane):
        self.cluster = cluster
        self.nodes: dict[str, Node] = {}
        self.failure: BaseException | None = None
        self._seen: dict[str, float] = {}  # when a pod's kubelet met it, by its uid
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        self._stopping.set()
        self._thread.join()
        if self.failure:
            raise self.failure

    def register(self, name: str, node: Node) -> None:
        labels = {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64", "kubernetes.io/hostname": name, **dict(node.labels)}
        self.cluster.call("POST", "/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}})
        size = {"cpu": "4", "memory": "8Gi", "pods": "110", "ephemeral-storage": "50Gi"}
        version = f"v{self.cluster.version}"
        info = {"kernelVersion": node.kernel, "operatingSystem": "linux", "architecture": "amd64", "kubeletVersion": version, "kubeProxyVersion": version}
        others = dict.fromkeys(("osImage", "containerRuntimeVersion", "machineID", "systemUUID", "bootID"), name)
        self.cluster.call(
            "PATCH",
            f"/api/v1/nodes/{name}/status",
            {
                "status": {
                    "addresses": [{"type": "InternalIP", "address": node.address}, {"type": "Hostname", "address": name}],
                    "capacity": size,
                    "allocatable": size,
                    "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": _now(), "lastTransitionTime": _now()}],
                    "nodeInfo": {**info, **others},
                }
            },
            MERGE,
        )
        self.nodes[name] = node

    def forget(self) -> None:
        """Take all nodes out of the cluster."""
        for name in list(self.nodes):
            self.cluster.call("DELETE", f"/api/v1/nodes/{name}")
        self.nodes.clear()

    def _live(self) -> None:
        try:
            while not self._stopping.wait(0.3):
                for pod in self.cluster.get("/api/v1/pods")["items"]:
                    try:
                        self._care(pod)
                    except Refused as refused:
                        if refused.code not in (404, 409):  # somebody was quicker
                            raise
        except BaseException as failure:  # raised at the end, in the thread that asked for all this
            self.failure = failure

    def _care(self, pod: dict) -> None:
        node = self.nodes.get(pod["spec"].get("nodeName", ""))
        if not node:
            return
        path = f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
        is_kube_proxy = pod["metadata"].get("labels", {}).get("k8s-app") == "kube-proxy"
        if "deletionTimestamp" in pod["metadata"]:
            if is_kube_proxy and node.stop:
                node.stop()
            self.cluster.call("DELETE", path, {"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0})
            return
        uid = pod["metadata"]["uid"]
        if uid not in self._seen:
            self._seen[uid] = time.monotonic()
            if is_kube_proxy and node.start and node.fate == READY:
                node.start()
        if node.fate == PENDING or time.monotonic() < self._seen[uid] + node.slow:
            return
        ready = node.fate == READY
        told = pod["status"].get("containerStatuses")
        if not told or told[0]["ready"] != ready:
            self.cluster.call("PATCH", f"{path}/status", {"status": _status(pod, node, ready)}, MERGE)


def _status(pod: dict, node: Node, ready: bool) -> dict:
    state = {"running": {"startedAt": _now()}, "waiting": None} if ready else {"waiting": {"reason": "CrashLoopBackOff"}, "running": None}
    truth = {"Initialized": True, "Ready": ready, "ContainersReady": ready, "PodScheduled": True}
    return {
        "phase": "Running",
        "hostIP": node.address,
        "podIP": node.address,
        "podIPs": [{"ip": node.address}],
        "startTime": _now(),
        "conditions": [{"type": name, "status": str(value), "lastTransitionTime": _now()} for name, value in truth.items()],
        "containerStatuses": [
            {"name": each["name"], "image": each["image"], "imageID": "", "ready": ready, "restartCount": 0, "started": ready, "state": state}
            for each in pod["spec"]["containers"]
        ],
    }


def _now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
