# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbooks/kube_proxy_mode.yml refuses, and why."""

from __future__ import annotations

import pytest

from tests.kube.metrics import kube_proxy
from tests.kube.texts import CONVERGED, WEB, note


def test_services_of_others_are_not_deleted_by_accident(play, kubeadm):
    """What the playbook finds on nodes is given here; test_cleanup.py finds it in a real kernel."""
    api = kubeadm(nodes=("node1",))
    settings = {"kube_proxy_mode": "ipvs", "kube_proxy_nodes": [{"name": "node1", "foreign": [WEB]}, {"name": "node2"}]}
    refused = play("--check", api=api, kube_proxy_exclude_cidrs=["203.0.113.0/28"], **settings)
    assert refused.failed, "a check says so too, and this network does not cover it"
    assert "kube-proxy would delete virtual services that it did not make. Nothing was changed. node1: tcp 203.0.113.80 port 80. Add" in refused.text
    unread = play(api=api, kube_proxy_mode="nftables", kube_proxy_nodes=[{"name": "node1", "unread": "no pyroute2"}])
    assert unread.failed
    assert "the IPVS table of 1 nodes could not be read. Nothing was changed. node1: no pyroute2." in unread.text
    assert (api.writes(), note(api)) == ([], None)

    covered = play(api=api, kube_proxy_exclude_cidrs=["203.0.113.0/24"], **settings)
    assert not covered.failed, covered.output
    narrowed = play(api=api, kube_proxy_exclude_cidrs=[], **settings)
    assert narrowed.failed, narrowed.output
    lost = play(api=api, kube_proxy_exclude_cidrs=[], kube_proxy_foreign_services="delete", **settings)
    assert not lost.failed, lost.output
    nothing_to_do = play(api=api, **settings)
    assert (nothing_to_do.failed, nothing_to_do.changed) == (False, 0), nothing_to_do.output


@pytest.mark.parametrize(
    ("version", "build", "settings", "gate", "failed", "message"),
    [
        ("1.36", "", {}, "", False, "WARNING: The mode ipvs is deprecated since Kubernetes 1.35, and this kube-proxy is 1.36."),
        ("1.40", "", {}, "featureGates: {KubeProxyIPVS: true}\n", False, "removes it with 1.43"),
        ("1.40", "", {}, "", True, "does not start in the mode ipvs. Kubernetes switches it off by default from 1.40"),
        ("1.36", "-eks-0123456", {}, "", True, "Amazon announced that EKS removes the mode ipvs with 1.36"),
        ("1.36", "-eks-0123456", {"kube_proxy_eks_force_ipvs": True}, "", False, "Amazon announced that EKS removes it with 1.36."),
    ],
)
def test_versions(play, kubeadm, version, build, settings, gate, failed, message):
    """All versions are in the tests of the filter kube_proxy_support."""
    api = kubeadm(text=CONVERGED + gate, version=version, build=build)
    run = play(api=api, kube_proxy_mode="ipvs", **settings)
    assert run.failed == failed, run.output
    assert message in run.text
    assert api.writes() == []


def test_nftables_needs_a_newer_kernel_and_the_servers_version_counts_where_the_image_has_none(play, kubeadm):
    api = kubeadm(version="1.32", image="registry.example/kube-proxy@sha256:0123", kernel="5.10.0-32-amd64", nodes=("node1",))
    run = play(api=api, kube_proxy_mode="nftables")
    assert run.failed
    assert "this kube-proxy is 1.32" in run.text
    assert "needs Linux 5.13 or newer, and nothing was changed. node1 runs 5.10.0-32-amd64." in run.text
    assert api.writes() == []


def test_nftables_beside_fargate_where_no_kube_proxy_runs(play, kubeadm):
    api = kubeadm(nodes=("node1",), fargate=True, build="-eks-0123456")
    run = play(api=api, kube_proxy_mode="nftables")
    assert not run.failed, run.output
    assert 'mode: "nftables"' in api.text("kube-proxy", "config.conf")


def test_the_shortest_sync_period_is_compared_with_that_of_the_cluster(play, kubeadm):
    api = kubeadm(text=CONVERGED.replace("syncPeriod: 0s", "syncPeriod: 5m"), nodes=("node1",))
    run = play(api=api, kube_proxy_mode="ipvs", kube_proxy_min_sync_period="6m")
    assert run.failed
    assert "minSyncPeriod would be 6m, above syncPeriod 5m" in run.text
    assert api.writes() == []
    run = play(api=api, kube_proxy_mode="ipvs", kube_proxy_min_sync_period="1m")
    assert not run.failed, run.output
    assert "minSyncPeriod: 1m\n" in api.text("kube-proxy", "config.conf")


def test_a_cluster_without_the_daemonset_hears_of_the_arguments(play, kubeadm):
    api = kubeadm(build="+k3s1")
    del api.objects["DaemonSet", "kube-proxy"]
    run = play(api=api, kube_proxy_mode="ipvs")
    assert run.failed
    assert "On k3s and RKE2 the settings are arguments: write kube-proxy-arg into /etc/rancher/k3s/config.yaml" in run.text


def test_a_node_without_the_kernel_modules_is_a_refusal(play, kubeadm):
    api = kubeadm(text=CONVERGED, nodes=("node1",))
    nodes = {"node7": ["ip_vs", "ip_vs_rr", "nf_conntrack"], "node8": ["ip_vs", "nf_conntrack_ipv4"]}
    run = play(api=api, nodes=nodes, kube_proxy_mode="ipvs")
    assert run.failed
    assert "kube_proxy_mode: ipvs is refused, 1 of 2 nodes cannot do it, and nothing was changed. node8:" in run.text
    assert "has no module ip_vs_rr" in run.text
    assert api.requests == []


def test_services_of_others_that_the_nodes_have_are_a_refusal(play, kubeadm):
    """The nodes really look; what they find is given, as this machine has no IPVS."""
    api = kubeadm(nodes=("node1",))
    nodes = {"node7": ["ip_vs", "ip_vs_rr", "nf_conntrack"]}
    run = play(api=api, nodes=nodes, kube_proxy_mode="nftables", kube_proxy_foreign=[WEB])
    assert run.failed, run.output
    assert "Nothing was changed. node7: tcp 203.0.113.80 port 80." in run.text
    assert api.writes() == []


def test_a_check_of_the_whole_move_includes_the_cleanup(play, kubeadm):
    """kube-proxy still answers the old mode, since a check has not changed it."""
    api = kubeadm(nodes=("node1",))
    with kube_proxy("ipvs") as port:
        settings = {"kube_proxy_mode": "nftables", "kube_proxy_cleanup": True, "kube_proxy_metrics_port": port, "kube_proxy_metrics_address": "127.0.0.1"}
        run = play("--check", api=api, nodes={"node7": []}, **settings)
    assert not run.failed, run.output
    assert "Remove the interface kube-ipvs0" in run.text


def test_a_bad_setting_is_refused_before_anything_is_read(play, kubeadm):
    api = kubeadm()
    run = play(api=api, kube_proxy_mode="ipvs", kube_proxy_tcp_timeout="900")
    assert run.failed
    assert "tcp_timeout: '900' is not valid: give a duration with its unit" in run.text
    assert api.requests == []
