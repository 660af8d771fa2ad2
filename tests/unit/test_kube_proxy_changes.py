# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings an edit of kube-proxy's configuration changes."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_changes import kube_proxy_changes
from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import kube_proxy_config

BEFORE = """\
kind: Something
mode: other
---
kind: KubeProxyConfiguration
mode: "iptables"
clusterCIDR: ""
ipvs:
  scheduler: ""
  strictARP: false
  excludeCIDRs: null
  syncPeriod: 30s
"""


def test_each_setting_that_changes():
    after = kube_proxy_config(BEFORE, mode="ipvs", scheduler="lc", strict_arp=True, exclude_cidrs=["198.51.100.0/24"], sync_period="30s", tcp_timeout="5s")
    assert kube_proxy_changes(BEFORE, after) == [
        "mode: iptables -> ipvs",
        'ipvs.scheduler: "" -> lc',
        "ipvs.strictARP: false -> true",
        'ipvs.excludeCIDRs: null -> ["198.51.100.0/24"]',
        "ipvs.tcpTimeout: null -> 5s",
    ]


def test_nothing_changes_and_nothing_else_counts():
    assert kube_proxy_changes(BEFORE, BEFORE) == []
    assert kube_proxy_changes(BEFORE, BEFORE.replace('clusterCIDR: ""', "clusterCIDR: 10.0.0.0/8").replace("mode: other", "mode: ipvs")) == []


def test_configuration_values_of_the_add_on():
    assert kube_proxy_changes("", '{"mode": "ipvs"}') == ["mode: null -> ipvs"]
    assert kube_proxy_changes("ipvs:\nmode: ipvs\n", "ipvs: {scheduler: sh}\nmode: ipvs\n") == ["ipvs.scheduler: null -> sh"]


def test_what_is_not_yaml():
    with pytest.raises(AnsibleFilterError, match="kube_proxy_changes: the configuration is not YAML"):
        kube_proxy_changes("a: [", "a: []")
