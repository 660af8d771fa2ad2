# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What on a node belongs to kube-proxy's IPVS mode, and what belongs to others."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_node
short_description: Separate what kube-proxy's IPVS mode made on a node from what belongs to others
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes what was read on a node, and returns which virtual services and sets kube-proxy made there, which services belong to others,
    and the input for C(iptables-restore) that removes the rules which use kube-proxy's sets.
  - A virtual service is kube-proxy's if its address is on the interface C(kube-ipvs0), or if it is a node port. A node port is on
    an address of the node, and its port is in kube-proxy's set of node ports.
  - kube-proxy fills that set last, so that a refresh that was broken off leaves node ports that are not in it. A port from 30000 to 32767 on an
    address of the node is therefore a node port, too, if a service on C(kube-ipvs0) has the same protocol, scheduler and servers.
  - kube-proxy uses sets only in its IPVS mode, so a rule with one of its sets is a remnant of that mode. The C(KUBE-) chains are not,
    because other modes use them too.
  - An empty text means that the node has nothing of that kind.
positional: _input
options:
  _input:
    description: The virtual services, as M(lvs.ipvs.ipvs_info) returns them.
    type: list
    elements: dictionary
    required: true
  addresses:
    description: The output of C(ip -json address show).
    type: string
    required: true
  sets:
    description: The output of C(ipset save).
    type: string
    default: ""
  listed:
    description: The output of C(ipset list -terse).
    type: string
    default: ""
  rules:
    description: The outputs of C(iptables-save) and C(ip6tables-save), in a dictionary by the name of the restoring command.
    type: dictionary
    default: {}
"""

EXAMPLES = r"""
- name: Show the virtual services that kube-proxy did not make
  ansible.builtin.debug:
    msg: "{{ (table.services | lvs.ipvs.kube_proxy_node(addresses=addresses.stdout, sets=sets.stdout)).foreign }}"
"""

RETURN = r"""
_value:
  description: What the node has.
  type: dictionary
  contains:
    owned:
      description: The virtual services that kube-proxy made.
      type: list
      elements: dictionary
      returned: success
    foreign:
      description: The other virtual services.
      type: list
      elements: dictionary
      returned: success
    sets:
      description: The names of kube-proxy's sets.
      type: list
      elements: string
      returned: success
    unseen:
      description: Those of these sets that something uses that is not in O(rules), so that they cannot be removed.
      type: list
      elements: string
      returned: success
    deletions:
      description: The input of each command that removes the rules with kube-proxy's sets. A command with nothing to remove is missing.
      type: dictionary
      returned: success
"""

import ipaddress
import json
import re

from ansible.errors import AnsibleFilterError

INTERFACE = "kube-ipvs0"
SET = re.compile(r"^create (KUBE-\S+)", re.MULTILINE)
NODE_PORT = re.compile(r"^add KUBE-(?:6-)?NODE-PORT-(TCP|UDP) ([0-9]+)", re.MULTILINE)
NODE_PORT_SCTP = re.compile(r"^add KUBE-(?:6-)?NODE-PORT-SCTP-HASH \S*sctp:([0-9]+)", re.MULTILINE)
OWN_RULE = "--match-set KUBE-"
REFERENCES = re.compile(r"^Name: (KUBE-\S+)$(?:\n(?!Name:).*)*?\nReferences: ([0-9]+)$", re.MULTILINE)
USE = re.compile(r"--match-set (KUBE-\S+) ")
# kube-apiserver's default, --service-node-port-range.
NODE_PORT_RANGE = range(30000, 32768)


def kube_proxy_node(services, addresses, sets="", rules=None, listed=""):
    """A dict of owned and foreign services, sets, unseen and deletions. Raises AnsibleFilterError."""
    virtual, local = _addresses(addresses)
    sets = sets or ""
    ports = {(protocol.lower(), int(port)) for protocol, port in NODE_PORT.findall(sets)}
    ports |= {("sctp", int(port)) for port in NODE_PORT_SCTP.findall(sets)}
    on_interface = [service for service in services if service.get("address") in virtual]
    on_node = [service for service in services if service.get("address") in local]
    ports |= _unfinished(on_interface, on_node)
    owned, foreign = [], []
    for service in services:
        is_node_port = service in on_node and (service["protocol"], service["port"]) in ports
        (owned if service in on_interface or is_node_port else foreign).append(service)
    deletions = {command: _deletions(text or "") for command, text in (rules or {}).items()}
    return {
        "owned": owned,
        "foreign": foreign,
        "sets": SET.findall(sets),
        "unseen": _unseen(listed or "", rules or {}),
        "deletions": {command: text for command, text in deletions.items() if text},
    }


def _unfinished(on_interface, on_node):
    """The node ports that lead where a service on kube-proxy's interface leads. Servers that are not there prove nothing."""
    leads = [_lead(service) for service in on_interface if service["servers"]]
    return {(each["protocol"], each["port"]) for each in on_node if each["port"] in NODE_PORT_RANGE and _lead(each) in leads}


def _unseen(listed, rules):
    """The sets with more references than uses in the rules that were read: another kind of iptables has rules with them, too."""
    used = [name for text in rules.values() for line in (text or "").splitlines() if line.startswith("-A ") for name in USE.findall(line)]
    return [name for name, references in REFERENCES.findall(listed) if int(references) > used.count(name)]


def _lead(service):
    servers = sorted((server["address"], server["port"]) for server in service["servers"])
    return service["protocol"], service["scheduler"], servers


def _addresses(text):
    """The addresses on kube-proxy's interface, and all of the node's."""
    try:
        interfaces = json.loads(text)
        on = {interface["ifname"]: {str(ipaddress.ip_address(each["local"])) for each in _with_local(interface)} for interface in interfaces if interface}
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise AnsibleFilterError("kube_proxy_node: addresses is not the output of ip -json address show (%s)" % error) from error
    return on.get(INTERFACE, set()), set().union(*on.values())


def _with_local(interface):
    return [each for each in interface.get("addr_info", []) if "local" in each]


def _deletions(saved):
    """What iptables-restore --noflush reads to delete the rules of ``saved`` that use kube-proxy's sets."""
    lines, table = [], []
    for line in saved.splitlines():
        if line.startswith("*"):
            table = [line]
        elif line.startswith("-A ") and OWN_RULE in line:
            table.append("-D " + line[len("-A ") :])
        elif line == "COMMIT" and len(table) > 1:
            lines += table + [line]
    return "".join(line + "\n" for line in lines)


class FilterModule:
    """What a node has of kube-proxy."""

    def filters(self):
        return {"kube_proxy_node": kube_proxy_node}
