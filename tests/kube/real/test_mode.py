# SPDX-License-Identifier: GPL-3.0-or-later
"""playbooks/kube_proxy_mode.yml on a real control plane: the modes, the schedulers, what is written and what is not."""

from __future__ import annotations

import threading

from tests.kube.real.cluster import CONFIGMAP, Cluster
from tests.kube.real.control_plane import DAEMONSET, IPV6, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.kube.texts import WEB


def test_to_ipvs_to_iptables_and_back(cluster, play):
    cluster.install("node1", "node2")
    original, before = cluster.text(), cluster.versions()
    settings = {"kube_proxy_scheduler": "rr", "kube_proxy_strict_arp": True, "kube_proxy_exclude_cidrs": ["203.0.113.0/24"]}

    check = play("--check", "--diff", **settings)
    assert not check.failed, check.output
    assert check.changed == 3, "the note, the ConfigMap, the restart"
    assert 'mode: \\"\\" -> ipvs' in check.output
    assert "ipvs.strictARP: false -> true" in check.output
    assert (cluster.text(), cluster.versions()) == (original, before)

    first = play(**settings)
    assert not first.failed, first.output
    expected = original.replace('mode: ""', 'mode: "ipvs"').replace('scheduler: ""', 'scheduler: "rr"').replace("strictARP: false", "strictARP: true")
    assert cluster.text() == expected.replace("excludeCIDRs: null", 'excludeCIDRs: ["203.0.113.0/24"]')
    assert (cluster.restarts(), cluster.note()) == (1, None)
    assert [pod["status"]["containerStatuses"][0]["ready"] for pod in cluster.pods()] == [True, True]

    written = cluster.versions()
    second = play(**settings)
    assert not second.failed, second.output
    assert (second.changed, cluster.versions()) == (0, written)

    back = play(mode="iptables")
    assert not back.failed, back.output
    assert (cluster.configuration()["mode"], cluster.configuration()["ipvs"]["scheduler"], cluster.restarts()) == ("iptables", "rr", 2)
    again = play(mode="ipvs")
    assert not again.failed, again.output
    assert (cluster.text(), cluster.restarts()) == (expected.replace("excludeCIDRs: null", 'excludeCIDRs: ["203.0.113.0/24"]'), 3)


def test_a_mode_that_this_version_does_not_have_is_refused(cluster, play):
    cluster.install("node1")
    before = cluster.versions()
    run = play(mode="nftables")
    assert run.failed
    assert "kube-proxy 1.20 does not have it. Kubernetes has it from 1.31 (beta) and 1.33 (stable)." in run.text
    # It would not start with that scheduler, on any node.
    scheduler = play(kube_proxy_scheduler="mh")
    assert scheduler.failed
    assert "kube_proxy_scheduler: mh is refused: kube-proxy 1.20 does not start with it." in scheduler.text
    assert cluster.versions() == before


class Others(threading.Thread):
    """Write to the ConfigMap as soon as the playbook has announced its own change: once, or again and again."""

    def __init__(self, cluster, *, always: bool):
        super().__init__(daemon=True)
        self.cluster, self.always, self.writes, self.over = cluster, always, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_exc):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.02):
            if (self.always or not self.writes) and self.cluster.note():
                self.writes += 1
                self.cluster.patch(CONFIGMAP, metadata={"annotations": {"written-by": f"somebody else {self.writes}"}})


def test_a_change_by_others_in_between_is_kept(cluster, play):
    cluster.install("node1")
    with Others(cluster, always=False) as others:
        run = play()
    assert not run.failed, run.output
    assert others.writes == 1
    assert cluster.configuration()["mode"] == "ipvs"
    assert cluster.get(CONFIGMAP)["metadata"]["annotations"]["written-by"] == "somebody else 1"


def test_a_configmap_that_changes_all_the_time_is_not_written(cluster, play):
    cluster.install("node1")
    original = cluster.text()
    with Others(cluster, always=True):
        run = play()
    assert run.failed
    assert "three times in a row. Nothing was written." in run.text
    assert (cluster.text(), cluster.note(), cluster.restarts()) == (original, None, 0)


def test_the_note_of_an_earlier_run_is_made_up_for(cluster, play):
    cluster.install("node1")
    cluster.patch(CONFIGMAP, data={"config.conf": cluster.text().replace('mode: ""', 'mode: "ipvs"')})
    cluster.patch(DAEMONSET, metadata={"annotations": {"lvs.ipvs/restart-pending": "true"}})
    refused = play(kube_proxy_nodes=[{"name": "node1", "foreign": [WEB]}])
    assert refused.failed, "what the earlier run has written comes to life only now"
    assert "Nothing was changed. node1: tcp 203.0.113.80 port 80." in refused.text
    assert cluster.note() == "true"
    run = play()
    assert not run.failed, run.output
    assert (run.changed, cluster.restarts(), cluster.note()) == (1, 1, None)


def test_a_cluster_without_kube_proxy_is_named(cluster, play):
    run = play()
    assert run.failed
    assert "There is no DaemonSet kube-system/kube-proxy in this cluster" in run.text


def test_wrong_contexts(cluster, play, tmp_path):
    cluster.install("node1")
    before = cluster.versions()
    missing = play(kube_proxy_context="staging")
    assert missing.failed
    assert "staging" in missing.text
    text = cluster.control_plane.kubeconfig.read_text()
    (tmp_path / "other").write_text(text.replace(cluster.control_plane.url, "127.0.0.1:9"))
    elsewhere = play(kube_proxy_kubeconfig=str(tmp_path / "other"))
    assert elsewhere.failed
    assert "127.0.0.1" in elsewhere.text
    (tmp_path / "stranger").write_text(text.replace("client-certificate-data: ", "client-certificate-data: TGFi"))
    stranger = play(kube_proxy_kubeconfig=str(tmp_path / "stranger"))
    assert stranger.failed
    absent = play(kube_proxy_kubeconfig=str(tmp_path / "absent"))
    assert absent.failed
    assert str(tmp_path / "absent") in absent.text
    assert cluster.versions() == before


def test_a_cluster_over_ipv6(play, tmp_path):
    with ControlPlane("::1", IPV6) as started, Kubelets(started) as kubelets:
        cluster = Cluster(started, kubelets)
        cluster.install(node1=Node("2001:db8::21"))
        run = play(kube_proxy_kubeconfig=str(started.kubeconfig), kube_proxy_scheduler="rr", kube_proxy_exclude_cidrs=["2001:db8:1::/64"])
        assert not run.failed, run.output
        assert cluster.configuration()["clusterCIDR"] == IPV6["pods"]
        assert cluster.configuration()["ipvs"]["excludeCIDRs"] == ["2001:db8:1::/64"]
        again = play(kube_proxy_kubeconfig=str(started.kubeconfig), kube_proxy_scheduler="rr", kube_proxy_exclude_cidrs=["2001:db8:1::/64"])
        assert (again.failed, again.changed) == (False, 0), again.output
