# SPDX-License-Identifier: GPL-3.0-or-later
"""KubeProxyConfigurations in the shapes that public tools give them, by tool and version: their keys, order, quoting and documents around."""

from __future__ import annotations

HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"

SHAPES = {
    # Written by a template for kubeadm's own file: one document of several, mostly without quotes, an empty string as two of them.
    "kubespray 2.25 (kubeadm-config.yaml)": "---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: cluster.local\n---\n"
    + HEAD
    + """\
bindAddress: 0.0.0.0
clientConnection:
  acceptContentTypes:
  burst: 10
  contentType: application/vnd.kubernetes.protobuf
  kubeconfig:
  qps: 5
clusterCIDR: "198.51.100.0/24"
configSyncPeriod: 15m0s
conntrack:
  maxPerCore: 32768
  min: 131072
  tcpCloseWaitTimeout: 1h0m0s
  tcpEstablishedTimeout: 24h0m0s
enableProfiling: False
healthzBindAddress: 0.0.0.0:10256
hostnameOverride: "node1"
iptables:
  masqueradeAll: False
  masqueradeBit: 14
  minSyncPeriod: 0s
  syncPeriod: 30s
ipvs:
  excludeCIDRs: []
  minSyncPeriod: 0s
  scheduler: rr
  syncPeriod: 30s
  strictARP: False
  tcpTimeout: 0s
  tcpFinTimeout: 0s
  udpTimeout: 0s
metricsBindAddress: 127.0.0.1:10249
mode: iptables
nodePortAddresses: []
oomScoreAdj: -999
portRange:
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
clusterDNS:
- 203.0.113.10
""",
    # A document that has a name, which only kubeadm and kind look at, and comments in the middle.
    "kind 0.20 (kubeadm.conf)": "apiVersion: kubelet.config.k8s.io/v1beta1\nkind: KubeletConfiguration\nmetadata:\n  name: config\n---\n"
    + HEAD
    + """\
metadata:
  name: config
mode: "iptables"
iptables:
  minSyncPeriod: 1s
conntrack:
# the host's, not this container's
  maxPerCore: 0
""",
    # A short file, kind first.
    "a unit of systemd (files of tutorials for 1.18 to 1.32)": """\
kind: KubeProxyConfiguration
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection:
  kubeconfig: "/var/lib/kube-proxy/kubeconfig"
mode: "iptables"
clusterCIDR: "198.51.100.0/24"
""",
    # kubectl's and yq's JSON of the same.
    "yq 4 (-o json)": """\
{
  "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
  "bindAddress": "0.0.0.0",
  "ipvs": {
    "excludeCIDRs": null,
    "scheduler": "",
    "strictARP": false
  },
  "kind": "KubeProxyConfiguration",
  "mode": ""
}
""",
}
