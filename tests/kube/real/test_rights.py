# SPDX-License-Identifier: GPL-3.0-or-later
"""The rights that docs/kube_proxy.md names, and each one less, on the API server's real RBAC."""

from __future__ import annotations

import pytest

from tests.kube.real.kubelets import CRASHING, Node

RBAC = "/apis/rbac.authorization.k8s.io/v1"
USER = "deployer"
IN_KUBE_SYSTEM = {("", "configmaps"): ("get", "patch"), ("apps", "daemonsets"): ("get", "patch"), ("", "pods"): ("list",)}
EVERYWHERE = {("", "nodes"): ("list",)}


def rules(rights, without):
    """``without``: a resource and a verb. Only the objects that are kube-proxy's, where an object has a name."""
    return [
        {"apiGroups": [group], "resources": [resource], "verbs": [verb], **({} if verb == "list" else {"resourceNames": ["kube-proxy"]})}
        for (group, resource), verbs in rights.items()
        for verb in verbs
        if (resource, verb) != without
    ]


@pytest.fixture
def deployer(cluster):
    """Give the user the documented rights, without one; returns the user's kubeconfig."""
    made = []

    def grant(without=None):
        for folder, kind, rights in (
            (f"{RBAC}/namespaces/kube-system/", "Role", IN_KUBE_SYSTEM),
            (f"{RBAC}/", "ClusterRole", EVERYWHERE),
        ):
            reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": USER}
            subjects = [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}]
            for plural, body in (
                (f"{kind.lower()}s", {"kind": kind, "rules": rules(rights, without)}),
                (f"{kind.lower()}bindings", {"kind": f"{kind}Binding", "roleRef": reference, "subjects": subjects}),
            ):
                cluster.call("POST", folder + plural, {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": USER}, **body})
                made.append(f"{folder}{plural}/{USER}")
        return str(cluster.control_plane.user(USER))

    yield grant
    for path in made:
        cluster.call("DELETE", path)


def test_the_documented_rights_are_enough(cluster, play, deployer):
    cluster.install("node1")
    user = {"kube_proxy_kubeconfig": deployer()}
    run = play(**user)
    assert not run.failed, run.output
    assert (cluster.configuration()["mode"], cluster.restarts()) == ("ipvs", 1)
    again = play(**user)
    assert (again.failed, again.changed) == (False, 0), again.output
    # This API server's version is taken for another one's, for its nodes to be read.
    nftables = play(mode="nftables", kube_proxy_version="1.33", **user)
    assert not nftables.failed, nftables.output
    cluster.kubelets.nodes["node1"].fate = CRASHING
    crash = play(mode="iptables", kube_proxy_timeout=3, **user)
    assert crash.failed
    assert "Not ready on node1: kube-proxy-" in crash.text


@pytest.mark.parametrize("without", [("configmaps", "get"), ("configmaps", "patch"), ("daemonsets", "get"), ("daemonsets", "patch")], ids="-".join)
def test_without_one_of_them_nothing_is_changed(cluster, play, deployer, without):
    cluster.install("node1")
    before, text = cluster.versions(), cluster.text()
    run = play(kube_proxy_kubeconfig=deployer(without))
    assert run.failed, run.output
    assert f'{without[0]} "kube-proxy" is forbidden' in run.text.replace('\\"', '"').replace(f"{without[0]}.apps", without[0]), run.output
    assert f'cannot {without[1]} resource "{without[0]}"' in run.text.replace('\\"', '"')
    assert cluster.text() == text
    assert (cluster.restarts(), cluster.note(), cluster.versions()) == (0, None, before)


def test_without_the_right_to_read_nodes_nftables_is_refused(cluster, play, deployer):
    cluster.install("node1")
    before = cluster.versions()
    user = {"kube_proxy_kubeconfig": deployer(("nodes", "list"))}
    run = play(mode="nftables", kube_proxy_version="1.33", **user)
    assert run.failed
    assert 'cannot list resource "nodes"' in run.text.replace('\\"', '"')
    assert cluster.versions() == before
    assert not play(**user).failed


def test_without_the_right_to_read_pods_a_failed_rollout_still_fails(cluster, play, deployer):
    cluster.install(node1=Node("198.51.100.21"))
    cluster.kubelets.nodes["node1"].fate = CRASHING
    run = play(kube_proxy_kubeconfig=deployer(("pods", "list")), kube_proxy_timeout=3)
    assert run.failed
    assert "kube-proxy does not run everywhere after 3 s: 1 of 1 nodes have the new pod. Its pods could not be read:" in run.text
    assert 'cannot list resource "pods"' in run.text.replace('\\"', '"')
