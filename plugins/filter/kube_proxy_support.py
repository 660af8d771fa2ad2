# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a version of kube-proxy has a mode: Kubernetes' and Amazon's announcements as data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_support
short_description: Say whether a kube-proxy supports a mode
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes a mode of kube-proxy and returns why it would not run, or a warning about its future.
  - It knows the announcements of Kubernetes (KEP-5495 for ipvs, KEP-3866 for nftables) and those of Amazon for EKS.
  - The role P(lvs.ipvs.kube_proxy#role) uses it. The documentation of that role lists the sources.
positional: _input
options:
  _input:
    description: The mode.
    type: string
    choices: [ipvs, nftables, iptables]
    required: true
  names:
    description:
      - What names the version of kube-proxy, the most reliable first, for example V(1.34), V(v1.33.5-eksbuild.2),
        V(registry.example/kube-proxy:v1.34.2) or V(v1.34.2-eks-0123456). The first one with a version counts.
      - A version with C(-eks) in any of them means EKS.
    type: list
    elements: string
    required: true
  eks:
    description: Whether the cluster is known to be an EKS cluster, whatever O(names) say.
    type: bool
    default: false
  force_eks:
    description: Only warn where Amazon has announced the end of ipvs on EKS and upstream still has it.
    type: bool
    default: false
  gates:
    description: The feature gates in the configuration of kube-proxy, C(featureGates).
    type: dict
    default: {}
  nodes:
    description:
      - The cluster's nodes, as the API returns them. nftables needs a kernel on each node that runs kube-proxy.
    type: list
    elements: dict
    default: []
  pod:
    description:
      - The specification of kube-proxy's pod, C(spec.template.spec) of its DaemonSet. Nodes that its node selector or its required node affinity
        leaves out are not looked at.
    type: dict
    default: {}
  settings:
    description:
      - The settings of P(lvs.ipvs.kube_proxy_config#filter) that are wanted, by their names there. One that this version does not know is a refusal,
        because kube-proxy does not start with it, or ignores it.
    type: list
    elements: string
    default: []
  scheduler:
    description:
      - The scheduler that kube-proxy is going to have in the mode V(ipvs). Before 1.27, kube-proxy does not start with one that it does not know.
    type: string
    default: ""
"""

EXAMPLES = r"""
- name: What speaks against IPVS on this cluster
  ansible.builtin.debug:
    msg: "{{ 'ipvs' | lvs.ipvs.kube_proxy_support(names=['v1.36.0-eksbuild.2']) }}"
"""

RETURN = r"""
_value:
  description: The answer.
  type: dict
  contains:
    version:
      description: The version that counts.
      type: string
      sample: "1.35"
    eks:
      description: Whether this is EKS.
      type: bool
    refusal:
      description: Why kube-proxy would not run in the mode. Empty if it would.
      type: string
    warning:
      description: What to know before the mode is set. Empty if there is nothing.
      type: string
"""

import re

from ansible.errors import AnsibleFilterError

MODES = ("ipvs", "nftables", "iptables")
# A version, or the tag of an image. The registry before it may have a port, the digest behind it is cut off.
VERSION = re.compile(r"(?:^|:)v?([0-9]+)\.([0-9]+)")
# When Kubernetes got the keys that not every version has; all others are as old as the mode ipvs.
# kubernetes#62083, #75295 (as it was brought to 1.14), #85517.
SETTINGS_SINCE = {
    "exclude_cidrs": ("ipvs.excludeCIDRs", (1, 11)),
    "strict_arp": ("ipvs.strictARP", (1, 14)),
    "tcp_timeout": ("ipvs.tcpTimeout", (1, 18)),
    "tcp_fin_timeout": ("ipvs.tcpFinTimeout", (1, 18)),
    "udp_timeout": ("ipvs.udpTimeout", (1, 18)),
}
# kubernetes#53973; lifted with #114878, since when the kernel alone decides.
SCHEDULERS = ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq")
ANY_SCHEDULER = (1, 27)
# KEP-5495: a warning, then a feature gate, which is off by default and at last locked off.
IPVS_GATE = "KubeProxyIPVS"
IPVS_DEPRECATED = (1, 35)
IPVS_GATED = (1, 37)
IPVS_OFF = (1, 40)
IPVS_GONE = (1, 43)
# Amazon's user guide, release notes of EKS 1.35.
IPVS_GONE_FROM_EKS = (1, 36)
# KEP-3866: alpha behind a feature gate, beta and on by default, stable with the gate locked on.
NFTABLES_GATE = "NFTablesProxyMode"
NFTABLES_ALPHA = (1, 29)
NFTABLES_BETA = (1, 31)
NFTABLES_STABLE = (1, 33)
NFTABLES_KERNEL = (5, 13)
# Set by EKS on its nodes. No DaemonSet runs on Fargate, whatever its pods select and tolerate.
COMPUTE_TYPE = "eks.amazonaws.com/compute-type"


def _dotted(version):
    return ".".join(map(str, version))


def _version(name):
    """The version in a name as (major, minor), None where it has none."""
    match = VERSION.search(str(name or "").rsplit("/", 1)[-1].split("@", 1)[0])
    return tuple(map(int, match.groups())) if match else None


def _ipvs(version, eks, force_eks, gates):
    """Refusal and warning for ipvs."""
    gate = gates.get(IPVS_GATE)
    this = "kube_proxy_mode: ipvs is refused: kube-proxy {0}".format(_dotted(version))
    if version >= IPVS_GONE:
        return "{0} has no mode ipvs. Kubernetes removed it with {1} (KEP-5495). Use kube_proxy_mode: nftables.".format(this, _dotted(IPVS_GONE)), ""
    if version >= IPVS_OFF and gate is not True:
        return (
            "{0} does not start in the mode ipvs. Kubernetes switches it off by default from {1} and removes it with {2} (KEP-5495). "
            "Use kube_proxy_mode: nftables. To keep ipvs until then, set the feature gate {3} to true in the KubeProxyConfiguration first.".format(
                this, _dotted(IPVS_OFF), _dotted(IPVS_GONE), IPVS_GATE
            )
        ), ""
    if version >= IPVS_GATED and gate is False:
        return "{0} does not start in the mode ipvs, because the feature gate {1} is false in the KubeProxyConfiguration. Set it to true or remove it.".format(
            this, IPVS_GATE
        ), ""
    if eks and version >= IPVS_GONE_FROM_EKS and not force_eks:
        return (
            "{0} runs on EKS. Amazon announced that EKS removes the mode ipvs with {1} (release notes of EKS 1.35). Use kube_proxy_mode: nftables. "
            "If your kube-proxy still has the mode, set kube_proxy_eks_force_ipvs: true.".format(this, _dotted(IPVS_GONE_FROM_EKS))
        ), ""
    if version >= IPVS_DEPRECATED:
        return "", (
            "The mode ipvs is deprecated since Kubernetes {0}, and this kube-proxy is {1}. {2}Kubernetes switches it off by default from {3} and removes it "
            "with {4} (KEP-5495). Plan the move to kube_proxy_mode: nftables.".format(
                _dotted(IPVS_DEPRECATED),
                _dotted(version),
                "Amazon announced that EKS removes it with {0}. ".format(_dotted(IPVS_GONE_FROM_EKS)) if eks else "",
                _dotted(IPVS_OFF),
                _dotted(IPVS_GONE),
            )
        )
    return "", ""


def _nftables(version, gates, nodes, pod):
    """Refusal and warning for nftables."""
    gate = gates.get(NFTABLES_GATE)
    missing = ""
    if version < NFTABLES_ALPHA:
        missing = "does not have it"
    elif version < NFTABLES_BETA and gate is not True:
        missing = "has it only behind the feature gate {0}, which is not true in the KubeProxyConfiguration".format(NFTABLES_GATE)
    elif version < NFTABLES_STABLE and gate is False:
        missing = "has it switched off by the feature gate {0}, which is false in the KubeProxyConfiguration".format(NFTABLES_GATE)
    if missing:
        return "kube_proxy_mode: nftables is refused: kube-proxy {0} {1}. Kubernetes has it from {2} (beta) and {3} (stable).".format(
            _dotted(version), missing, _dotted(NFTABLES_BETA), _dotted(NFTABLES_STABLE)
        ), ""
    warning = ""
    if version < NFTABLES_STABLE:
        warning = "The mode nftables is not stable before Kubernetes {0}, and this kube-proxy is {1}.".format(_dotted(NFTABLES_STABLE), _dotted(version))
    old = [
        "{0} runs {1}.".format(node["metadata"]["name"], node["status"]["nodeInfo"]["kernelVersion"])
        for node in nodes
        if _runs_on(pod, node) and not _new_enough(node["status"]["nodeInfo"])
    ]
    if old:
        return "kube_proxy_mode: nftables is refused, it needs Linux {0} or newer, and nothing was changed. {1}".format(
            _dotted(NFTABLES_KERNEL), " ".join(old)
        ), warning
    return "", warning


def _unknown(version, settings):
    """Refusal for keys that this version does not know."""
    keys = [(name, *SETTINGS_SINCE[name]) for name in SETTINGS_SINCE if name in settings]
    return " ".join(
        "kube_proxy_{0} is refused: kube-proxy {1} does not know {2}. Kubernetes has it from {3}.".format(name, _dotted(version), key, _dotted(since))
        for name, key, since in keys
        if version < since
    )


def _scheduler(version, scheduler):
    """Refusal for a scheduler with which this version does not start."""
    if not scheduler or scheduler in SCHEDULERS or version >= ANY_SCHEDULER:
        return ""
    return "kube_proxy_scheduler: {0} is refused: kube-proxy {1} does not start with it. Before Kubernetes {2}, it only has {3}.".format(
        scheduler, _dotted(version), _dotted(ANY_SCHEDULER), ", ".join(SCHEDULERS)
    )


def _new_enough(info):
    """Whether a node's kernel has what nftables needs. A kernel whose version cannot be read is not held against it."""
    match = re.match(r"([0-9]+)\.([0-9]+)", info.get("kernelVersion") or "")
    return info.get("operatingSystem", "linux") != "linux" or not match or tuple(map(int, match.groups())) >= NFTABLES_KERNEL


def _runs_on(pod, node):
    """Whether a DaemonSet puts this pod on the node: its node selector and its required node affinity."""
    labels = node["metadata"].get("labels") or {}
    if labels.get(COMPUTE_TYPE) == "fargate":
        return False
    if any(labels.get(key) != value for key, value in (pod.get("nodeSelector") or {}).items()):
        return False
    affinity = (pod.get("affinity") or {}).get("nodeAffinity") or {}
    required = affinity.get("requiredDuringSchedulingIgnoredDuringExecution")
    if not required:
        return True
    return any(_matches(term, labels, node["metadata"]["name"]) for term in required.get("nodeSelectorTerms") or [])


def _matches(term, labels, name):
    """Whether a node matches one term of a node selector. A term with nothing in it matches no node."""
    expressions = [(rule, labels) for rule in term.get("matchExpressions") or []]
    expressions += [(rule, {"metadata.name": name}) for rule in term.get("matchFields") or []]
    return bool(expressions) and all(_holds(rule, values) for rule, values in expressions)


def _holds(rule, values):
    value, given, operator = values.get(rule["key"]), rule.get("values") or [], rule["operator"]
    if operator == "In":
        return value in given
    if operator == "NotIn":
        return value not in given
    if operator in ("Exists", "DoesNotExist"):
        return (value is not None) == (operator == "Exists")
    try:
        return int(value) > int(given[0]) if operator == "Gt" else int(value) < int(given[0])
    except (TypeError, ValueError, IndexError):
        return False


def kube_proxy_support(mode, names, eks=False, force_eks=False, gates=None, nodes=(), pod=None, settings=(), scheduler=""):
    """Whether kube-proxy runs in a mode, as described in RETURN. Raises AnsibleFilterError where the version is not known."""
    if mode not in MODES:
        raise AnsibleFilterError("kube_proxy_support: {0!r} is not a mode: give one of {1}".format(mode, ", ".join(MODES)))
    names = [str(name) for name in names if name]
    versions = [version for version in map(_version, names) if version]
    if not versions:
        raise AnsibleFilterError(
            "kube_proxy_support: the version of kube-proxy is not known from {0}: set kube_proxy_version, for example to 1.34".format(
                ", ".join(names) or "its image or add-on"
            )
        )
    version, eks, gates = versions[0], eks or any("-eks" in name.rsplit("/", 1)[-1] for name in names), gates or {}
    refusal, warning = "", ""
    if mode == "ipvs":
        refusal, warning = _ipvs(version, eks, force_eks, gates)
        refusal = refusal or _scheduler(version, scheduler)
    elif mode == "nftables":
        refusal, warning = _nftables(version, gates, nodes, pod or {})
    refusal = refusal or _unknown(version, settings)
    return {"version": _dotted(version), "eks": bool(eks), "refusal": refusal, "warning": warning}


class FilterModule:
    """The collection's filter for the modes that a kube-proxy supports."""

    def filters(self):
        return {"kube_proxy_support": kube_proxy_support}
