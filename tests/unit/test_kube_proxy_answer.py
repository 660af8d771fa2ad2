# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters kube_proxy_scheduler and kube_proxy_answer: kube-proxy's configuration, and what it does instead."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_answer import FilterModule
from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_scheduler import kube_proxy_scheduler

kube_proxy_answer = FilterModule().filters()["kube_proxy_answer"]
KERNEL = "6.1.0-18-amd64"


@pytest.mark.parametrize(
    ("text", "scheduler"),
    [
        ("kind: KubeProxyConfiguration\nipvs: {scheduler: lc}\n", "lc"),
        ('kind: KubeProxyConfiguration\nipvs: {scheduler: ""}\n', "rr"),
        ("kind: KubeProxyConfiguration\nipvs: null\n", "rr"),
        ("kind: KubeProxyConfiguration\n", "rr"),
        ("kind: Other\nipvs: {scheduler: sh}\n---\nkind: KubeProxyConfiguration\nipvs: {scheduler: nq}\n", "nq"),
        ('{"mode": "ipvs", "ipvs": {"scheduler": "sed"}}', "sed"),
        ("- a list\n---\nipvs: {scheduler: lc}\n", "lc"),
        ("", "rr"),
    ],
)
def test_the_scheduler_of_a_configuration(text, scheduler):
    assert kube_proxy_scheduler(text) == scheduler


def test_a_configuration_that_cannot_be_read_is_an_error():
    with pytest.raises(AnsibleFilterError, match="kube_proxy_scheduler: the configuration is not YAML"):
        kube_proxy_scheduler("{")


def own(scheduler, port=80):
    return {"protocol": "tcp", "address": "10.96.0.1", "port": port, "scheduler": scheduler, "servers": []}


def test_nothing_is_wrong():
    assert kube_proxy_answer(["ipvs", "ipvs\n"], "ipvs", "rr", [own("rr")]) == ""
    assert kube_proxy_answer(["iptables"], "iptables", "rr") == ""


@pytest.mark.parametrize(
    ("modules", "cause"),
    [
        ({"missing": ["ip_vs_lc"], "msg": "..."}, f"The kernel {KERNEL} does not have ip_vs_lc."),
        ({"loaded": ["ip_vs_lc", "ip_vs_sh"]}, f"These kernel modules are not loaded: ip_vs_lc, ip_vs_sh. The kernel {KERNEL} has them."),
        ({"msg": "modprobe is not there"}, "modprobe is not there"),
        ({"loaded": []}, "The kernel modules are loaded. The log of kube-proxy on this node names the cause."),
    ],
)
def test_a_fall_back_has_a_cause(modules, cause):
    problem = kube_proxy_answer(["iptables"], "ipvs", "lc", [], modules, KERNEL)
    assert problem == f"kube-proxy is configured for the mode ipvs and runs in the mode iptables. {cause}"


def test_other_answers():
    assert kube_proxy_answer([], "ipvs", "rr") == "kube-proxy does not say its mode."
    assert kube_proxy_answer(["ipvs"], "iptables", "rr") == "kube-proxy is configured for the mode iptables and runs in the mode ipvs."
    assert "the mode iptables and ipvs." in kube_proxy_answer(["ipvs", "iptables"], "iptables", "rr")
    assert kube_proxy_answer(["<html>" * 20], "iptables", "rr").count("<html>") == 6
    assert "the mode " + "x" * 40 + "." in kube_proxy_answer(["x" * 41], "iptables", "rr")


def test_the_table_has_another_scheduler():
    assert kube_proxy_answer(["ipvs"], "ipvs", "lc", []) == "kube-proxy answers ipvs, but the IPVS table has none of its virtual services."
    problem = kube_proxy_answer(["ipvs"], "ipvs", "lc", [own("lc"), *(own("rr", port) for port in range(1, 6))])
    assert problem.startswith("kube-proxy is configured for the scheduler lc, but 5 of its 6 virtual services have another: tcp 10.96.0.1 port 1 has rr,")
    assert "port 4" not in problem
