# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/kube_proxy_mode.yml on clusters made with kubeadm, on EKS with a ConfigMap and on EKS with the add-on."""

from __future__ import annotations

import json

from tests.kube.eks_endpoint import CLUSTER, EksEndpoint, schema
from tests.kube.texts import CONVERGED, EKS, KUBEADM, WEB, note


def test_kubeadm_cluster(play, kubeadm):
    api = kubeadm(nodes=("node1", "node2"))
    settings = {"kube_proxy_mode": "ipvs", "kube_proxy_scheduler": "rr", "kube_proxy_strict_arp": True, "kube_proxy_exclude_cidrs": ["203.0.113.0/24"]}
    expected = KUBEADM.replace('mode: ""', 'mode: "ipvs"').replace('scheduler: ""', 'scheduler: "rr"').replace("strictARP: false", "strictARP: true")
    expected = expected.replace("excludeCIDRs: null", 'excludeCIDRs: ["203.0.113.0/24"]')

    check = play("--check", "--diff", api=api, **settings)
    assert not check.failed, check.output
    assert check.changed == 3, "the note, the ConfigMap, the restart"
    assert 'mode: \\"\\" -> ipvs' in check.output
    assert "ipvs.strictARP: false -> true" in check.output
    assert api.writes() == []
    assert api.text("kube-proxy", "config.conf") == KUBEADM

    first = play(api=api, **settings)
    assert not first.failed, first.output
    assert api.text("kube-proxy", "config.conf") == expected
    assert api.restarts() == 1
    assert api.rolled_out == 2, "the playbook waits for the last node"
    assert "lvs.ipvs/restart-pending" not in api.daemonset["metadata"]["annotations"]
    assert api.text("kube-proxy", "kubeconfig.conf").startswith("apiVersion: v1")

    written = api.writes()
    second = play(api=api, **settings)
    assert not second.failed, second.output
    assert second.changed == 0
    assert api.writes() == written
    assert "WARNING: the mode" not in first.output + second.output


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
        assert "cannot be told ipvs.strictARP, only mode, ipvs.scheduler" in unknown.text
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


def test_a_failing_rollout_names_the_node_and_the_next_run_waits_again(play, kubeadm):
    api = kubeadm(nodes=("node1", "node2"))
    api.stuck = {"node2"}
    failed = play(api=api, kube_proxy_mode="ipvs", kube_proxy_timeout=4)
    assert failed.failed
    assert "Not ready on node2: kube-proxy-1 (CrashLoopBackOff)." in failed.text
    assert "Not ready on node1" not in failed.text

    still = play(api=api, kube_proxy_mode="ipvs", kube_proxy_timeout=4)
    assert still.failed, still.output
    assert "Not ready on node2: kube-proxy-1 (CrashLoopBackOff)." in still.text
    assert (still.changed, api.restarts()) == (0, 1)

    api.nodes = ("node1", "node2", "node3")
    api.stuck = set()
    again = play(api=api, kube_proxy_mode="ipvs")
    assert not again.failed, again.output
    assert (again.changed, api.restarts(), api.rolled_out) == (0, 1, 3)


def test_an_aborted_run_is_made_up_for(play, kubeadm):
    """The configuration was written, the restart was not: the note on the DaemonSet says so."""
    api = kubeadm(text=CONVERGED, nodes=("node1",))
    api.daemonset["metadata"]["annotations"] = {"lvs.ipvs/restart-pending": "true"}
    refused = play(api=api, kube_proxy_mode="ipvs", kube_proxy_nodes=[{"name": "node1", "foreign": [WEB]}])
    assert refused.failed, refused.output
    assert "Nothing was changed. node1: tcp 203.0.113.80 port 80." in refused.text
    run = play(api=api, kube_proxy_mode="ipvs")
    assert not run.failed, run.output
    assert (run.changed, api.restarts()) == (1, 1)
    assert api.daemonset["metadata"]["annotations"] == {}


def test_a_change_by_others_in_between_is_kept(play, kubeadm):
    api = kubeadm(nodes=("node1",))
    api.conflicts = 1
    run = play(api=api, kube_proxy_mode="ipvs")
    assert not run.failed, run.output
    assert 'mode: "ipvs"' in api.text("kube-proxy", "config.conf")
    assert api.objects["ConfigMap", "kube-proxy"]["metadata"]["annotations"] == {"written-by": "somebody else 0"}


def test_a_configmap_that_changes_all_the_time_leaves_no_note(play, kubeadm):
    api = kubeadm(nodes=("node1",))
    api.conflicts = 3
    run = play(api=api, kube_proxy_mode="ipvs")
    assert run.failed
    assert "three times in a row. Nothing was written." in run.text
    assert (api.text("kube-proxy", "config.conf"), note(api)) == (KUBEADM, None)


def test_a_write_that_is_forbidden_leaves_no_note(play, kubeadm):
    api = kubeadm(nodes=("node1",))
    api.forbidden = {"ConfigMap"}
    run = play(api=api, kube_proxy_mode="ipvs")
    assert run.failed
    assert "is forbidden" in run.text
    assert (api.text("kube-proxy", "config.conf"), note(api)) == (KUBEADM, None)


def test_the_note_of_an_earlier_run_stays_through_a_run_that_fails(play, kubeadm):
    api = kubeadm(nodes=("node1",))
    api.daemonset["metadata"]["annotations"] = {"lvs.ipvs/restart-pending": "true"}
    api.conflicts = 3
    assert play(api=api, kube_proxy_mode="ipvs").failed
    assert note(api) == "true"


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
