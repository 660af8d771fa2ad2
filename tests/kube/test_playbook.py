# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/kube_proxy_mode.yml on EKS with a ConfigMap and on EKS with the add-on; clusters made with kubeadm are in tests/kube/real."""

from __future__ import annotations

import json

from tests.kube.eks_endpoint import CLUSTER, EksEndpoint, schema
from tests.kube.texts import EKS, note


def test_eks_configmap(play, eks_cluster):
    settings = {"kube_proxy_mode": "ipvs", "kube_proxy_scheduler": "lc"}
    first = play(api=eks_cluster, **settings)
    assert not first.failed, first.output
    assert eks_cluster.text("kube-proxy-config", "config") == EKS.replace('"iptables"', '"ipvs"').replace('scheduler: ""', 'scheduler: "lc"')
    assert eks_cluster.restarts() == 1

    second = play(api=eks_cluster, **settings)
    assert not second.failed, second.output
    assert (second.changed, eks_cluster.restarts()) == (0, 1)


def test_eks_addon(play, eks_cluster):
    with EksEndpoint('{"resources": {"limits": {"memory": "64Mi"}}}') as eks:
        settings = {"kube_proxy_mode": "ipvs", "kube_proxy_scheduler": "rr", "kube_proxy_eks_cluster": CLUSTER}
        check = play("--check", api=eks_cluster, eks=eks, **settings)
        assert not check.failed, check.output
        assert check.changed == 3, "the note, the add-on, the restart"
        assert eks.updates() == eks_cluster.writes() == []

        first = play(api=eks_cluster, eks=eks, **settings)
        assert not first.failed, first.output
        assert json.loads(eks.values) == {"resources": {"limits": {"memory": "64Mi"}}, "mode": "ipvs", "ipvs": {"scheduler": "rr"}}
        assert eks.updates()[0]["resolveConflicts"] == "NONE"
        assert eks_cluster.restarts() == 1
        assert eks_cluster.text("kube-proxy-config", "config") == EKS, "the ConfigMap is EKS's"

        second = play(api=eks_cluster, eks=eks, **settings)
        assert not second.failed, second.output
        assert (second.changed, len(eks.updates()), eks_cluster.restarts()) == (0, 1, 1)


def test_eks_addon_alone_with_values_in_yaml(play):
    """Without access to the API server; equal values in another form are no change."""
    with EksEndpoint("# ours\nipvs: {scheduler: rr}\nmode: ipvs\n") as eks:
        settings = {"kube_proxy_mode": "ipvs", "kube_proxy_eks_cluster": CLUSTER, "kube_proxy_restart": False}
        same = play(eks=eks, kube_proxy_scheduler="rr", **settings)
        assert not same.failed, same.output
        assert (same.changed, eks.updates()) == (0, [])
        other = play(eks=eks, kube_proxy_scheduler="sh", **settings)
        assert not other.failed, other.output
        assert eks.values == "# ours\nipvs: {scheduler: sh}\nmode: ipvs\n"


def test_eks_addon_refusals(play):
    with EksEndpoint("") as eks:
        eks.has_addon = True
        settings = {"kube_proxy_mode": "ipvs", "kube_proxy_eks_cluster": CLUSTER, "kube_proxy_restart": False}
        unknown = play(eks=eks, kube_proxy_strict_arp=True, **settings)
        assert unknown.failed
        assert "does not have ipvs.strictARP, only mode, ipvs.scheduler" in unknown.text
        assert "kube_proxy_strict_arp" in unknown.text

        eks.schema = schema(modes=("iptables", "nftables"))
        mode = play(eks=eks, **settings)
        assert mode.failed
        assert "the EKS add-on kube-proxy v1.33.5-eksbuild.2 only has iptables, nftables" in mode.text
        assert eks.updates() == []

        eks.schema = schema()
        eks.error = ("ConfigurationConflict", "Conflicts found when trying to apply: .data.config")
        conflict = play(eks=eks, **settings)
        assert conflict.failed
        assert "ConfigurationConflict: Conflicts found when trying to apply" in conflict.text
        assert "set kube_proxy_eks_resolve_conflicts to OVERWRITE" in conflict.text

        eks.error, eks.values = None, '{"mode": "ipvs"}'
        again = play(eks=eks, **settings)
        assert not again.failed, again.output
        assert len(eks.updates()) == 2, "the values are there, the update had failed"

        eks.version = "v1.36.0-eksbuild.2"
        gone = play(eks=eks, **settings)
        assert gone.failed
        assert "kube-proxy 1.36 runs on EKS. Amazon announced that EKS removes the mode ipvs with 1.36" in gone.text
        assert len(eks.updates()) == 2

        cluster = play(eks=eks, **{**settings, "kube_proxy_eks_cluster": "typo"})
        assert cluster.failed
        assert "No cluster found for name: typo." in cluster.text


def test_the_configmap_of_an_addon_is_not_written_by_accident(play, eks_cluster):
    eks_cluster.daemonset["metadata"]["managedFields"] = [{"manager": "eks", "operation": "Apply", "apiVersion": "apps/v1"}]
    refused = play(api=eks_cluster, kube_proxy_mode="ipvs")
    assert refused.failed
    assert "belongs to an EKS add-on" in refused.text
    assert eks_cluster.writes() == []


def test_the_configmap_is_taken_where_eks_has_no_addon(play, eks_cluster):
    with EksEndpoint(None) as eks:
        run = play("--check", api=eks_cluster, eks=eks, kube_proxy_mode="ipvs", kube_proxy_eks_cluster=CLUSTER)
    assert not run.failed, run.output
    assert "iptables -> ipvs" in run.output


def test_an_update_that_eks_does_not_start_leaves_no_note(play, eks_cluster):
    with EksEndpoint("") as eks:
        eks.has_addon, eks.refusal = True, ("InvalidParameterException", "ConfigurationValue provided in request is not supported")
        run = play(api=eks_cluster, eks=eks, kube_proxy_mode="ipvs", kube_proxy_eks_cluster=CLUSTER)
    assert run.failed
    assert "ConfigurationValue provided in request is not supported" in run.text
    assert (note(eks_cluster), eks_cluster.restarts()) == (None, 0)


def test_what_the_schema_does_not_have_is_refused_by_eks_where_it_cannot_be_read(play, eks_cluster):
    with EksEndpoint('{"mode": "iptables"}') as eks:
        eks.readable = False
        run = play(api=eks_cluster, eks=eks, kube_proxy_mode="ipvs", kube_proxy_strict_arp=True, kube_proxy_eks_cluster=CLUSTER)
    assert run.failed
    assert "Json schema validation failed with error: [$.ipvs: Additional properties are not allowed ('strictARP' was unexpected)]" in run.text
    assert (eks.values, note(eks_cluster), eks_cluster.restarts()) == ('{"mode": "iptables"}', None, 0)


def test_the_kubeconfig_of_another_cluster_is_refused(play, eks_cluster):
    settings = {"kube_proxy_mode": "ipvs", "kube_proxy_eks_cluster": CLUSTER}
    with EksEndpoint("{}") as eks:
        eks.endpoint = "https://0123456789abcdef.gr7.eu-central-1.eks.example"
        for source in ("auto", "configmap"):
            run = play(api=eks_cluster, eks=eks, kube_proxy_source=source, **settings)
            assert run.failed, run.output
            assert f"The kubeconfig is for {eks_cluster.url}, but the API server of the EKS cluster lab is {eks.endpoint}. Nothing was changed." in run.text
        assert eks.updates() == eks_cluster.writes() == []

        tunnel = play("--check", api=eks_cluster, eks=eks, kube_proxy_eks_endpoint=eks_cluster.url + "/", **settings)
        assert not tunnel.failed, tunnel.output
