# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual services of others kube-proxy deletes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_losses
short_description: Name the virtual services of others that kube-proxy deletes
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the virtual services that others keep on nodes, and returns those that kube-proxy deletes once it runs there with the given
    configuration.
  - With the mode V(ipvs), kube-proxy deletes all virtual services that are not its own, except those in C(ipvs.excludeCIDRs) and
    those by firewall mark.
  - With the mode V(nftables), kube-proxy flushes the whole table when it starts.
  - With the mode V(iptables), kube-proxy leaves the table alone.
positional: _input
options:
  _input:
    description:
      - Nodes with their C(name), and in C(foreign) the virtual services of others, as P(lvs.ipvs.kube_proxy_node#filter) returns them.
    type: list
    elements: dictionary
    required: true
  mode:
    description: The mode that kube-proxy is going to have.
    type: string
    choices: [ipvs, nftables, iptables]
    required: true
  configuration:
    description: The text of kube-proxy's configuration, or the configuration values of the EKS add-on.
    type: string
    required: true
"""

EXAMPLES = r"""
- name: Show what kube-proxy deletes
  ansible.builtin.debug:
    # ["node1: tcp 203.0.113.80 port 80"]
    msg: "{{ [{'name': 'node1', 'foreign': table.services}] | lvs.ipvs.kube_proxy_losses(mode='ipvs', configuration=text) }}"
"""

RETURN = r"""
_value:
  description: One text for each node that loses services. It names the node and the services.
  type: list
  elements: string
"""

import ipaddress

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_text import ipvs_sections

SHOWN = 10


def kube_proxy_losses(nodes, mode, configuration):
    """A list of texts, one a node. Raises AnsibleFilterError."""
    if mode == "iptables":
        return []
    excluded = _excluded(configuration) if mode == "ipvs" else []
    losses = []
    for node in nodes:
        lost = [service for service in node.get("foreign") or [] if mode == "nftables" or _is_deleted(service, excluded)]
        if lost:
            more = ["and %d more" % (len(lost) - SHOWN)] if len(lost) > SHOWN else []
            losses.append("%s: %s" % (node["name"], ", ".join([_name(service) for service in lost[:SHOWN]] + more)))
    return losses


def _excluded(text):
    """The networks of ipvs.excludeCIDRs. As in Go, host bits do not matter."""
    networks = []
    for section in ipvs_sections("kube_proxy_losses", text):
        for network in section.get("excludeCIDRs") or []:
            try:
                networks.append(ipaddress.ip_network(network, strict=False))
            except ValueError as error:
                raise AnsibleFilterError("kube_proxy_losses: ipvs.excludeCIDRs: %r is not a network" % (network,)) from error
    return networks


def _is_deleted(service, excluded):
    if "address" not in service:
        return False  # kube-proxy fails to delete a service by firewall mark
    address = ipaddress.ip_address(service["address"])
    return not any(address in network for network in excluded)


def _name(service):
    if "address" not in service:
        return "firewall mark %s (%s)" % (service["fwmark"], service["family"])
    return "%s %s port %s" % (service["protocol"], service["address"], service["port"])


class FilterModule:
    """What others lose to kube-proxy."""

    def filters(self):
        return {"kube_proxy_losses": kube_proxy_losses}
