# SPDX-License-Identifier: GPL-3.0-or-later
"""The filter lvs.ipvs.kube_proxy_support: which kube-proxy has which mode, upstream and on EKS."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_support import FilterModule

support = FilterModule().filters()["kube_proxy_support"]

ON, OFF = {"KubeProxyIPVS": True}, {"KubeProxyIPVS": False}
ALPHA, DISABLED = {"NFTablesProxyMode": True}, {"NFTablesProxyMode": False}


def answer(mode, version, **options):
    """refused, warned or fine, and the text."""
    result = support(mode, [version], **options)
    assert result["version"] in version
    verdict = "refused" if result["refusal"] else "warned" if result["warning"] else "fine"
    return verdict, result["refusal"] + result["warning"]


@pytest.mark.parametrize(
    ("version", "gates", "verdict", "text"),
    [
        ("1.20", {}, "fine", ""),
        ("1.34", {}, "fine", ""),
        ("1.35", {}, "warned", "deprecated since Kubernetes 1.35, and this kube-proxy is 1.35. Kubernetes switches it off by default from 1.40"),
        ("1.36", OFF, "warned", "removes it with 1.43"),
        ("1.37", {}, "warned", "this kube-proxy is 1.37"),
        ("1.37", OFF, "refused", "because the feature gate KubeProxyIPVS is false"),
        ("1.39", ON, "warned", "nftables"),
        ("1.40", {}, "refused", "does not start in the mode ipvs. Kubernetes switches it off by default from 1.40 and removes it with 1.43"),
        ("1.40", OFF, "refused", "set the feature gate KubeProxyIPVS to true"),
        ("1.42", ON, "warned", "removes it with 1.43"),
        ("1.43", ON, "refused", "kube-proxy 1.43 has no mode ipvs. Kubernetes removed it with 1.43 (KEP-5495). Use kube_proxy_mode: nftables."),
        ("2.0", ON, "refused", "has no mode ipvs"),
    ],
)
def test_ipvs_upstream(version, gates, verdict, text):
    result = answer("ipvs", version, gates=gates)
    assert result[0] == verdict
    assert text in result[1]
    assert "EKS" not in result[1]


@pytest.mark.parametrize(
    ("version", "options", "verdict", "text"),
    [
        ("v1.34.1-eksbuild.2", {}, "fine", ""),
        ("v1.35.0-eksbuild.2", {}, "warned", "Amazon announced that EKS removes it with 1.36."),
        ("v1.36.0-eksbuild.2", {}, "refused", "kube-proxy 1.36 runs on EKS. Amazon announced that EKS removes the mode ipvs with 1.36"),
        ("v1.36.0-minimal-eksbuild.3", {}, "refused", "If your kube-proxy still has the mode, set kube_proxy_eks_force_ipvs: true."),
        ("1.36", {"eks": True}, "refused", "EKS"),
        ("v1.36.0-eksbuild.2", {"force_eks": True}, "warned", "Amazon announced that EKS removes it with 1.36."),
        ("v1.37.0-eksbuild.2", {"force_eks": True, "gates": OFF}, "refused", "KubeProxyIPVS is false"),
        ("v1.40.0-eksbuild.2", {"force_eks": True}, "refused", "does not start in the mode ipvs"),
        ("v1.43.0-eksbuild.2", {"force_eks": True, "gates": ON}, "refused", "has no mode ipvs"),
    ],
)
def test_ipvs_on_eks(version, options, verdict, text):
    result = answer("ipvs", version, **options)
    assert result[0] == verdict
    assert text in result[1]


@pytest.mark.parametrize(
    ("version", "gates", "verdict", "text"),
    [
        ("1.20", ALPHA, "refused", "kube-proxy 1.20 does not have it. Kubernetes has it from 1.31 (beta) and 1.33 (stable)."),
        ("1.28", {}, "refused", "does not have it"),
        ("1.30", {}, "refused", "only behind the feature gate NFTablesProxyMode"),
        ("1.30", ALPHA, "warned", "not stable before Kubernetes 1.33, and this kube-proxy is 1.30"),
        ("1.31", {}, "warned", "not stable"),
        ("1.32", DISABLED, "refused", "switched off by the feature gate NFTablesProxyMode"),
        ("1.33", DISABLED, "fine", ""),
        ("1.43", {}, "fine", ""),
        ("v1.36.0-eksbuild.2", {}, "fine", ""),
    ],
)
def test_nftables(version, gates, verdict, text):
    result = answer("nftables", version, gates=gates)
    assert result[0] == verdict
    assert text in result[1]


@pytest.mark.parametrize("version", ["1.20", "1.36", "v1.36.0-eksbuild.2", "2.0"])
def test_iptables_is_always_there(version):
    assert answer("iptables", version) == ("fine", "")


@pytest.mark.parametrize(
    ("names", "version", "eks"),
    [
        (["registry.k8s.io/kube-proxy:v1.34.2"], "1.34", False),
        (["registry.example:5000/kube-proxy:1.9.11@sha256:0123"], "1.9", False),
        (["registry.example:5000/kube-proxy@sha256:01.23", "v1.32.2"], "1.32", False),
        (["", None, "registry.example/v1.2/kube-proxy", "v1.32.2+k3s1"], "1.32", False),
        (["1.35", "registry.example/eks/kube-proxy:v1.36.0-minimal-eksbuild.3"], "1.35", True),
        (["registry.example/my-eks/kube-proxy:v1.36.0"], "1.36", False),
        (["registry.example/kube-proxy:latest", "v1.36.1-eks-0123456"], "1.36", True),
    ],
)
def test_names(names, version, eks):
    result = support("iptables", names)
    assert (result["version"], result["eks"]) == (version, eks)


@pytest.mark.parametrize("names", [[], [""], ["latest"], ["registry.example/kube-proxy@sha256:1.2"]])
def test_an_unknown_version_is_an_error(names):
    with pytest.raises(AnsibleFilterError, match="the version of kube-proxy is not known.*set kube_proxy_version"):
        support("ipvs", names)


def test_an_unknown_mode_is_an_error():
    with pytest.raises(AnsibleFilterError, match="'userspace' is not a mode: give one of ipvs, nftables, iptables"):
        support("userspace", ["1.34"])


def node(name, kernel, system="linux", **labels):
    labels = {key.replace("__", "/").replace("_", "-"): value for key, value in labels.items()}
    return {"metadata": {"name": name, "labels": labels}, "status": {"nodeInfo": {"kernelVersion": kernel, "operatingSystem": system}}}


def affinity(*terms):
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}}}


def rule(key, operator, *values):
    return {"matchExpressions": [{"key": key, "operator": operator, "values": list(values)}]}


FARGATE = {"metadata": {"name": "fargate-1", "labels": {"eks.amazonaws.com/compute-type": "fargate"}}, "status": node("", "5.10.245")["status"]}


@pytest.mark.parametrize(
    ("kernel", "refused"),
    [("5.13.0", False), ("5.13+", False), ("6.1.0-18-amd64", False), ("10.0", False), ("5.9.16", True), ("5.12.99-generic", True), ("4.19", True), ("", False)],
)
def test_nftables_needs_a_newer_kernel(kernel, refused):
    refusal = support("nftables", ["1.33"], nodes=[node("new", "6.12.1"), node("old", kernel)])["refusal"]
    assert bool(refusal) == refused
    if refused:
        assert f"needs Linux 5.13 or newer, and nothing was changed. old runs {kernel}." in refusal


def test_an_old_kernel_does_not_hide_the_warning_and_other_modes_do_not_mind_it():
    nodes = [node("old", "5.10.0")]
    result = support("nftables", ["1.32"], nodes=nodes)
    assert result["refusal"] and "not stable" in result["warning"]
    assert support("ipvs", ["1.32"], nodes=nodes)["refusal"] == ""


def test_nodes_on_which_kube_proxy_does_not_run_do_not_count():
    fargate, windows = FARGATE, node("windows-1", "10.0.20348.1", system="windows")
    assert support("nftables", ["1.33"], nodes=[fargate, windows])["refusal"] == ""
    refusal = support("nftables", ["1.33"], nodes=[fargate, node("old-1", "5.10.1"), windows, node("old-2", "5.4.1")])["refusal"]
    assert refusal.endswith("changed. old-1 runs 5.10.1. old-2 runs 5.4.1.")


@pytest.mark.parametrize(
    ("pod", "runs"),
    [
        ({}, True),
        ({"nodeSelector": None, "affinity": None}, True),
        ({"nodeSelector": {"role": "worker"}}, True),
        ({"nodeSelector": {"role": "edge"}}, False),
        ({"nodeSelector": {"other": "worker"}}, False),
        ({"affinity": {"podAntiAffinity": {}}}, True),
        (affinity(rule("role", "In", "edge", "worker")), True),
        (affinity(rule("role", "In", "edge")), False),
        (affinity(rule("role", "NotIn", "edge")), True),
        (affinity(rule("role", "NotIn", "worker")), False),
        (affinity(rule("other", "NotIn", "worker")), True),
        (affinity(rule("role", "Exists")), True),
        (affinity(rule("other", "Exists")), False),
        (affinity(rule("role", "DoesNotExist")), False),
        (affinity(rule("other", "DoesNotExist")), True),
        (affinity(rule("size", "Gt", "3")), True),
        (affinity(rule("size", "Gt", "4")), False),
        (affinity(rule("size", "Lt", "5")), True),
        (affinity(rule("role", "Lt", "5")), False),
        (affinity(rule("role", "In", "edge"), rule("size", "Exists")), True),
        (affinity({"matchExpressions": rule("role", "Exists")["matchExpressions"] + rule("size", "DoesNotExist")["matchExpressions"]}), False),
        (affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["old"]}]}), True),
        (affinity({"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["new"]}]}), False),
        (affinity({}), False),
        (affinity({"matchExpressions": [{"key": "role", "operator": "In"}]}), False),
    ],
)
def test_where_the_daemonset_runs(pod, runs):
    nodes = [node("old", "5.10.1", role="worker", size="4")]
    assert bool(support("nftables", ["1.33"], nodes=nodes, pod=pod)["refusal"]) == runs


@pytest.mark.parametrize(
    ("version", "settings", "refused"),
    [
        ("1.17", ["mode", "tcp_timeout"], ["kube_proxy_tcp_timeout is refused: kube-proxy 1.17 does not know ipvs.tcpTimeout. Kubernetes has it from 1.18."]),
        ("1.17", ["udp_timeout", "tcp_fin_timeout"], ["ipvs.tcpFinTimeout. Kubernetes has it from 1.18.", "ipvs.udpTimeout. Kubernetes has it from 1.18."]),
        ("1.13", ["strict_arp", "scheduler"], ["kube-proxy 1.13 does not know ipvs.strictARP. Kubernetes has it from 1.14."]),
        ("1.10", ["exclude_cidrs"], ["kube-proxy 1.10 does not know ipvs.excludeCIDRs. Kubernetes has it from 1.11."]),
        ("1.18", ["mode", "scheduler", "strict_arp", "exclude_cidrs", "sync_period", "min_sync_period", "tcp_timeout", "tcp_fin_timeout", "udp_timeout"], []),
        ("1.9", ["mode", "scheduler", "sync_period", "min_sync_period"], []),
    ],
)
def test_settings_that_a_version_does_not_know(version, settings, refused):
    refusal = support("ipvs", [version], settings=settings)["refusal"]
    assert bool(refusal) == bool(refused)
    for text in refused:
        assert text in refusal


def test_schedulers_that_a_version_does_not_start_with():
    refusal = support("ipvs", ["1.26"], scheduler="mh")["refusal"]
    assert refusal.startswith("kube_proxy_scheduler: mh is refused: kube-proxy 1.26 does not start with it. Before Kubernetes 1.27, it only has rr, wrr, lc,")
    for mode, version, scheduler in (("ipvs", "1.27", "mh"), ("ipvs", "1.26", "nq"), ("ipvs", "1.20", ""), ("iptables", "1.20", "mh")):
        assert support(mode, [version], scheduler=scheduler)["refusal"] == ""
