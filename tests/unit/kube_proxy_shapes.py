# SPDX-License-Identifier: GPL-3.0-or-later
"""KubeProxyConfigurations in the shapes that public tools give them, by tool and version: their keys, order, quoting and documents around.

The shapes are those of the tools' own sources (tag or branch of that version) or, where the tool runs here, of what it prints. The values are not.
"""

from __future__ import annotations

import json

from tests.unit.kube_proxy_texts import HEAD, KUBEADM


def edited(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert text.count(old) == 1, (old, text)
        text = text.replace(old, new)
    return text


# Programs in Go write every key of the version of Kubernetes that they are made with, in the order of the alphabet.
GO_1_36 = edited(KUBEADM, ('networkName: ""\n', 'forwardHealthCheckVip: false\n  networkName: ""\n  rootHnsEndpointName: ""\n  sourceVip: ""\n'))
GO_1_20 = edited(
    KUBEADM,
    ("  tcpBeLiberal: false\n", ""),
    ("  udpStreamTimeout: 0s\n  udpTimeout: 0s\ndetectLocal:\n  bridgeInterface: \"\"\n  interfaceNamePrefix: \"\"\n", ""),
    ("  localhostNodePorts: null\n", ""),
    (KUBEADM[KUBEADM.index("logging:") : KUBEADM.index("metricsBindAddress")], ""),
    (KUBEADM[KUBEADM.index("nftables:") : KUBEADM.index("nodePortAddresses")], ""),
    ("winkernel:", "udpIdleTimeout: 0s\nwinkernel:"),
    ('networkName: ""\n', 'networkName: ""\n  sourceVip: ""\n'),
)

SHAPES = {
    # Written by a template for kubeadm's own file: one document of several, mostly without quotes, an empty string as nothing. 2.31 quotes addresses.
    "kubespray 2.25 and 2.31 (kubeadm-config.yaml)": "---\napiVersion: kubeadm.k8s.io/v1beta3\nkind: ClusterConfiguration\nclusterName: cluster.local\n---\n"
    + HEAD
    + """\
bindAddress: "0.0.0.0"
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
healthzBindAddress: "0.0.0.0:10256"
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
    # A document that has a name, which only kubeadm and kind look at, comments in the middle and empty lines where the template has conditions.
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
    "kind 0.32, rootless, with a feature gate (kubeadm.conf)": "# made by kind\nkind: ClusterConfiguration\n---\n"
    + HEAD
    + """\
metadata:
  name: config
mode: "ipvs"
featureGates:

  "KubeProxyIPVS": true

iptables:
  minSyncPeriod: 1s
conntrack:
# the host's, not this container's
  maxPerCore: 0
# another one
# of two lines


  tcpEstablishedTimeout: 0s
# left alone
  tcpCloseWaitTimeout: 0s

""",
    # The last of four documents; what the user gives by --extra-config=kube-proxy.mode=... comes last.
    "minikube 1.38 (kubeadm.yaml)": "kind: ClusterConfiguration\nnetworking:\n  serviceSubnet: 203.0.113.0/24\n---\nkind: KubeletConfiguration\n---\n"
    + HEAD
    + """\
clusterCIDR: "198.51.100.0/24"
metricsBindAddress: 0.0.0.0:10249
conntrack:
  maxPerCore: 0
# not the host's
  tcpEstablishedTimeout: 0s
# nor this one
  tcpCloseWaitTimeout: 0s
mode: "iptables"
""",
    "kubeadm 1.20 (ConfigMap kube-proxy)": GO_1_20,
    "k0s 1.36 (ConfigMap kube-proxy)": edited(
        GO_1_36, ("maxPerCore: null", "maxPerCore: 0"), ('metricsBindAddress: ""', "metricsBindAddress: 0.0.0.0:10249"), ('mode: ""', "mode: iptables"),
        ('healthzBindAddress: ""', "healthzBindAddress: 0.0.0.0:10256"),
    ),
    "Gardener 1.149 (ConfigMap kube-proxy-config)": edited(
        GO_1_36, ("bindAddress: 0.0.0.0", 'bindAddress: ""'), ("clusterCIDR: 198.51.100.0/24", "clusterCIDR: 198.51.100.0/24,2001:db8:1::/48"),
        ("maxPerCore: null", "maxPerCore: 524288"), ("enableProfiling: false\n", "enableProfiling: false\nfeatureGates:\n  IPv6DualStack: true\n"),
        ('metricsBindAddress: ""', "metricsBindAddress: 0.0.0.0:10249"), ('mode: ""', "mode: iptables"),
    ),
    # For networks other than OVN-Kubernetes. An address of IPv6 stands in single quotes.
    "OpenShift 4.20 (cluster-network-operator, ConfigMap kube-proxy-config)": edited(
        GO_1_36, ("bindAddress: 0.0.0.0", 'bindAddress: "::"'), ("kubeconfig: /var/lib/kube-proxy/kubeconfig.conf", 'kubeconfig: ""'),
        ("clusterCIDR: 198.51.100.0/24", "clusterCIDR: 2001:db8:1::/48"), ('metricsBindAddress: ""', "metricsBindAddress: '[::]:29102'"),
        ('healthzBindAddress: ""', "healthzBindAddress: '[::]:10255'"), ('mode: ""', "mode: iptables"),
    ),
    # PyYAML's own order, and no mode.
    "Charmed Kubernetes 1.35, by Juju (kubeproxy/config.yaml)": """\
# made by the charm
apiVersion: kubeproxy.config.k8s.io/v1alpha1
clientConnection:
  kubeconfig: /root/cdk/kubeproxyconfig
clusterCIDR: 198.51.100.0/24
conntrack:
  maxPerCore: 0
hostnameOverride: node1
kind: KubeProxyConfiguration
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
    # jq's, of the other program of that name, which Debian has: lists are indented, empty strings in single quotes.
    "yq 3.1 of Python (-y)": """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
ipvs:
  excludeCIDRs:
    - 198.51.100.0/25
  scheduler: ''
  strictARP: false
kind: KubeProxyConfiguration
mode: ''
""",
    # Lists are not indented.
    "helm 3 (toYaml)": """\
apiVersion: kubeproxy.config.k8s.io/v1alpha1
ipvs:
  excludeCIDRs:
  - 198.51.100.0/25
  - 2001:db8:7::/64
  scheduler: ""
  strictARP: false
kind: KubeProxyConfiguration
mode: ""
nodePortAddresses:
- 198.51.100.0/24
""",
}

# The configuration values of the EKS add-on, as these tools hand them on: texts without a kind.
PARTS = {
    "eksctl 0.230 (addons.configurationValues, a block)": "mode: iptables\nipvs:\n  scheduler: rr\nresources:\n  requests:\n    cpu: 50m",
    "eksctl 0.230 (addons.configurationValues, a quoted text)": '{"mode":"iptables"}',
    "AWS CDK 2 (CfnAddon.configurationValues, JSON.stringify)": json.dumps({"ipvs": {"scheduler": "rr"}, "mode": "ipvs"}, separators=(",", ":")),
}

# What these tools keep kube-proxy's settings in is something else: arguments, or an object of their own.
OTHERS = {
    "kOps 1.36 (cluster.spec)": "apiVersion: kops.k8s.io/v1alpha2\nkind: Cluster\nspec:\n  kubeProxy:\n    proxyMode: ipvs\n    ipvsScheduler: lc\n",
    "kOps 1.36 (manifest of the static pod)": """\
apiVersion: v1
kind: Pod
metadata: {name: kube-proxy, namespace: kube-system}
spec:
  containers:
  - name: kube-proxy
    command: [/go-runner]
    args: [/usr/local/bin/kube-proxy, --conntrack-max-per-core=131072, --kubeconfig=/var/lib/kube-proxy/kubeconfig, --proxy-mode=ipvs]
""",
    "eksctl 0.230 (the whole ClusterConfig)": """\
apiVersion: eksctl.io/v1alpha5
kind: ClusterConfig
addons:
- name: kube-proxy
  configurationValues: |-
    mode: ipvs
""",
}
