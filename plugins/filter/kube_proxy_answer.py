# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the kube-proxy on a node does what it is configured to do."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_answer
short_description: Say what is wrong with the mode that kube-proxy runs in
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes what the kube-proxy on a node answers when it is asked for its mode, and returns what differs from its configuration.
  - A kube-proxy that cannot use the mode V(ipvs) does not always stop. Some versions fall back to V(iptables) and only log it.
  - With the mode V(ipvs), kube-proxy's virtual services on the node have to have the scheduler.
positional: _input
options:
  _input:
    description: The answers, one for each address that answered.
    type: list
    elements: string
    required: true
  mode:
    description: The mode that kube-proxy is configured for.
    type: string
    choices: [ipvs, nftables, iptables]
    required: true
  scheduler:
    description: The scheduler that it is configured for.
    type: string
    required: true
  services:
    description: The virtual services of kube-proxy on the node, C(owned) of P(lvs.ipvs.kube_proxy_node#filter).
    type: list
    elements: dictionary
    default: []
  modules:
    description:
      - What M(lvs.ipvs.ipvs_modules) returns in check mode for the modules that the mode V(ipvs) needs.
    type: dict
    default: {}
  kernel:
    description: The release of the node's kernel.
    type: string
    default: ""
"""

EXAMPLES = r"""
- name: Fail if kube-proxy has fallen back to another mode
  ansible.builtin.assert:
    that: problem == ''
    fail_msg: "{{ problem }}"
  vars:
    problem: "{{ [answer.content] | lvs.ipvs.kube_proxy_answer(mode='ipvs', scheduler='lc', services=node.owned) }}"
"""

RETURN = r"""
_value:
  description: What is wrong and what may be the cause. Empty if kube-proxy does what it is configured to do.
  type: string
"""

SHOWN = 3


def kube_proxy_answer(answers, mode, scheduler, services=(), modules=None, kernel=""):
    """A text, empty where all is right."""
    answers = sorted({str(answer).strip() for answer in answers})
    if not answers:
        return "kube-proxy does not say its mode."
    if answers != [mode]:
        given = " and ".join(answer[:40] for answer in answers)
        return "kube-proxy is configured for the mode {0} and runs in the mode {1}. {2}".format(mode, given, _cause(mode, modules or {}, kernel)).strip()
    if mode != "ipvs":
        return ""
    if not services:
        return "kube-proxy answers ipvs, but the IPVS table has none of its virtual services."
    others = [service for service in services if service["scheduler"] != scheduler]
    if others:
        named = ["{0} {1} port {2} has {3}".format(each["protocol"], each["address"], each["port"], each["scheduler"]) for each in others[:SHOWN]]
        return "kube-proxy is configured for the scheduler {0}, but {2} of its {1} virtual services have another: {3}.".format(
            scheduler, len(services), len(others), ", ".join(named)
        )
    return ""


def _cause(mode, modules, kernel):
    """What keeps a node from the mode ipvs, as far as its kernel modules tell."""
    if mode != "ipvs":
        return ""
    missing, loadable = modules.get("missing"), modules.get("loaded")
    if missing:
        return "The kernel {0} does not have {1}.".format(kernel, ", ".join(missing)).replace("  ", " ")
    if loadable:
        return "These kernel modules are not loaded: {0}. The kernel {1} has them.".format(", ".join(loadable), kernel).replace("  ", " ")
    if modules.get("msg"):
        return str(modules["msg"])
    return "The kernel modules are loaded. The log of kube-proxy on this node names the cause."


class FilterModule:
    """What is wrong with a kube-proxy's mode."""

    def filters(self):
        return {"kube_proxy_answer": kube_proxy_answer}
