# SPDX-License-Identifier: GPL-3.0-or-later
"""Configurations of the clusters in these tests, and what is read out of them."""

from __future__ import annotations

KUBEADM = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
clusterCIDR: 198.51.100.0/24   # pods
ipvs:
  excludeCIDRs: null
  minSyncPeriod: 0s
  scheduler: ""
  strictARP: false
  syncPeriod: 0s
kind: KubeProxyConfiguration
mode: ""
nodePortAddresses: null
"""
CONVERGED = KUBEADM.replace('mode: ""', "mode: ipvs")
EKS = """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
bindAddress: 0.0.0.0
ipvs:
  excludeCIDRs: null
  scheduler: ""
kind: KubeProxyConfiguration
mode: "iptables"
oomScoreAdj: -998"""
WEB = {"address": "203.0.113.80", "port": 80, "protocol": "tcp", "scheduler": "wlc", "servers": []}


def note(api):
    return api.daemonset["metadata"].get("annotations", {}).get("lvs.ipvs/restart-pending")
