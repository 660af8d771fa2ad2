# SPDX-License-Identifier: GPL-3.0-or-later
"""The same machines as nodes of other clusters: one over IPv6 alone, and configurations as other tools write them."""

from __future__ import annotations

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import kube_proxy_config as edit
from extensions.lab.network import BACK, addresses
from tests.kube.real.control_plane import IPV6, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.kube.real.machines import FOREIGN, Machines
from tests.kube.real.services import ADDRESSES, asked, connect, endpoints, pods, service
from tests.kube.real.test_configurations import of_this_version
from tests.support import ROOT, eventually
from tests.unit.kube_proxy_shapes import SHAPES
from tests.unit.kube_proxy_texts import EKS, K3S, KUBEADM


def test_a_cluster_over_ipv6(machines, play):
    """Another control plane, for the same machines: it and its services have IPv6 alone."""
    connect(machines)
    machines.ssh("node1", "ipvsadm --clear")
    address, pod = ADDRESSES["6"].strip("[]"), pods(2)[1]
    for name in machines.lab.machines:
        machines.stop(name)
    with ControlPlane(addresses(BACK, 1)[1], IPV6, machines.lab.network) as control_plane, Kubelets(control_plane) as kubelets:
        cluster = Machines(machines.lab, control_plane, kubelets)
        cluster.install(**{
            name: Node(machine.addresses[1], start=lambda name=name: cluster.start(name), stop=lambda name=name: cluster.stop(name))
            for name, machine in machines.lab.machines.items()
        })  # fmt: skip
        one, ends = service("np", "NodePort"), endpoints("np")
        one["spec"] |= {"clusterIP": address, "clusterIPs": [address], "ipFamilyPolicy": "SingleStack"}
        ends["subsets"][0]["addresses"] = [{"ip": pod, "nodeName": "node2"}]
        cluster.call("POST", "/api/v1/namespaces/default/services", one)
        cluster.call("POST", "/api/v1/namespaces/default/endpoints", ends)
        settings = {"kube_proxy_kubeconfig": str(control_plane.kubeconfig), "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120}
        run = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="ipvs", kube_proxy_scheduler="dh", **settings)
        assert not run.failed, run.output
        for name in machines.lab.machines:
            assert cluster.mode(name, "[::1]:10249") == "ipvs"
            assert cluster.schedulers(name) == {"dh"}
            assert not [line for line in cluster.table(name) if "10.96." in line]
        eventually(lambda: f"-a -t [{address}]:81 -r [{pod}]:8081 -m -w 1" in cluster.table("node1"), 60)
        assert asked(cluster, "node1", f"[{address}]", 2) == (["pod2", "pod2"], ["pod2", "pod2"])
        again = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="ipvs", kube_proxy_scheduler="dh", **settings)
        assert (again.failed, again.changed) == (False, 0), again.output
        away = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="iptables", kube_proxy_cleanup=True, **settings)
        assert not away.failed, away.output
        assert machines.left("node2") == []
        assert not [line for line in machines.left("node1") if line not in FOREIGN and "OURS" not in line]
        for name in machines.lab.machines:
            machines.stop(name)
        assert not kubelets.failure, kubelets.failure


@pytest.mark.parametrize("text", [EKS, KUBEADM, K3S, *SHAPES.values()], ids=["EKS", "kubeadm", "k3s", *SHAPES])
def test_kube_proxy_starts_with_a_tools_shape(machines, text):
    """As the filter edits it; without the keys that Kubernetes has got since. It answers its mode, and writes a table with the scheduler."""
    text = of_this_version(edit(text, mode="ipvs", scheduler="lc"))
    shape = yaml.safe_load(text)
    machine = machines.lab.machine("node2")
    metrics = (shape.get("metricsBindAddress") or "127.0.0.1:10249").replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    family = ":" in shape.get("bindAddress", "")
    # kube-proxy takes the family of the node's address if it is to listen on all.
    path, address = "/api/v1/nodes/node2/status", {"type": "InternalIP", "address": machine.addresses[family]}
    machines.stop("node2")
    machines.before_start["node2"] = "modprobe -a ip_vs_lc && ipvsadm --clear"
    try:
        machines.call("PATCH", path, {"status": {"addresses": [address, {"type": "Hostname", "address": "node2"}]}})
        machines.start("node2", text)
        eventually(lambda: machines.mode("node2", metrics) == "ipvs", 60)
        eventually(lambda: machines.schedulers("node2") == {"lc"}, 60)
        assert machines.ssh("node2", "systemctl is-active kube-proxy").strip() == "active"
    finally:
        machines.before_start.clear()
        machines.stop("node2")
