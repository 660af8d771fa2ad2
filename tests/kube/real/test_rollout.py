# SPDX-License-Identifier: GPL-3.0-or-later
"""Restarts that crash, hang, take long or are left to people, by the real DaemonSet controller."""

from __future__ import annotations

import pytest

from tests.kube.real.control_plane import DAEMONSET
from tests.kube.real.kubelets import CRASHING, PENDING, READY


@pytest.mark.parametrize(
    ("nodes", "unavailable", "fate", "reason"),
    [(1, 1, CRASHING, "CrashLoopBackOff"), (3, 2, CRASHING, "CrashLoopBackOff"), (2, 1, PENDING, "Pending")],
)
def test_a_node_that_does_not_come_back_is_named_until_it_does(cluster, play, nodes, unavailable, fate, reason):
    names = [f"node{number + 1}" for number in range(nodes)]
    cluster.install(*names)
    cluster.patch(DAEMONSET, spec={"updateStrategy": {"rollingUpdate": {"maxUnavailable": unavailable}}})
    cluster.settle(nodes)
    last = cluster.kubelets.nodes[names[-1]]
    last.fate = fate
    run = play(kube_proxy_timeout=6)
    assert run.failed, run.output
    assert f"Not ready on {names[-1]}: kube-proxy-" in run.text
    assert f"({reason})" in run.text
    assert "None" not in run.text
    restarts = cluster.restarts()

    still = play(kube_proxy_timeout=3)
    assert still.failed, still.output
    assert f"Not ready on {names[-1]}: kube-proxy-" in still.text
    assert (still.changed, cluster.restarts()) == (0, restarts)

    last.fate = READY
    mended = play()
    assert not mended.failed, mended.output
    assert (mended.changed, cluster.restarts()) == (0, restarts)


def test_a_slow_rollout_is_waited_for(cluster, play):
    cluster.install("node1", "node2")
    for node in cluster.kubelets.nodes.values():
        node.slow = 3
    run = play()
    assert not run.failed, run.output
    status = cluster.daemonset()["status"]
    assert (status["updatedNumberScheduled"], status["numberReady"]) == (2, 2)


def test_on_delete_says_what_is_left_to_do(cluster, play):
    cluster.install("node1")
    cluster.patch(DAEMONSET, spec={"updateStrategy": {"$retainKeys": ["type"], "type": "OnDelete", "rollingUpdate": None}})
    cluster.settle(1)
    pods = [pod["metadata"]["uid"] for pod in cluster.pods()]
    run = play()
    assert not run.failed, run.output
    assert "has the update strategy OnDelete" in run.text
    assert cluster.configuration()["mode"] == "ipvs"
    assert [pod["metadata"]["uid"] for pod in cluster.pods()] == pods


def test_a_node_that_joins_in_the_middle_is_waited_for(cluster, play):
    cluster.install("node1")
    cluster.kubelets.nodes["node1"].slow = 4
    cluster.kubelets.register("node2", type(cluster.kubelets.nodes["node1"])("198.51.100.22", slow=4))
    run = play()
    assert not run.failed, run.output
    assert cluster.daemonset()["status"]["numberReady"] == 2
