# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's IPVS table lacks of what kube-proxy puts there."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_missing
short_description: Name what a node lacks if kube-proxy forwards by IPVS there
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes what M(lvs.ipvs.ipvs_info) returns on a node, and says whether the services of the API server and of the cluster's DNS are
    in its table, with servers behind them.
  - The service of the API server has the first address of the cluster's service range, and DNS usually has the tenth.
positional: _input
options:
  _input:
    description: What M(lvs.ipvs.ipvs_info) has returned.
    type: dictionary
    required: true
  interface:
    description: Whether the node has the interface C(kube-ipvs0).
    type: bool
    default: true
  service_cidr:
    description: The cluster's service range. Of two ranges, separated by a comma, the first is that of the API server.
    type: string
  api_address:
    description: The address of the API server's service. If omitted, the first of O(service_cidr).
    type: string
  api_port:
    description: The port of the API server's service.
    type: int
    default: 443
  dns_addresses:
    description: The addresses of DNS. If omitted, the tenth of O(service_cidr).
    type: list
    elements: string
  dns_port:
    description: The port of DNS.
    type: int
    default: 53
seealso:
  - plugin: lvs.ipvs.kube_proxy_answer
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Read the table
  lvs.ipvs.ipvs_info:
  register: table

- name: Fail if kube-proxy does not forward by IPVS
  ansible.builtin.assert:
    that: missing == []
    fail_msg: "{{ missing }}"
  vars:
    missing: "{{ table | lvs.ipvs.kube_proxy_missing(service_cidr='198.51.100.0/24') }}"
"""

RETURN = r"""
_value:
  description: One text for each thing that is missing.
  type: list
  elements: string
"""

import ipaddress

from ansible.errors import AnsibleFilterError

SET = (
    "Set service_cidr to the cluster's service range, for example 10.100.0.0/16, or set api_address and dns_addresses. "
    "In the playbook kube_proxy_verify, these names begin with kube_proxy_verify_."
)


def kube_proxy_missing(table, interface=True, service_cidr=None, api_address=None, api_port=443, dns_addresses=None, dns_port=53):
    """A list of texts. Raises AnsibleFilterError."""
    api = _address("api_address", api_address) if api_address else _in_range(service_cidr, 1)
    dns = [_address("dns_addresses", each) for each in dns_addresses] if dns_addresses else [_in_range(service_cidr, 10)]
    expected = [("API", "tcp", api, _port("api_port", api_port))]
    expected += [("DNS", protocol, address, _port("dns_port", dns_port)) for address in dns for protocol in ("udp", "tcp")]
    if not table.get("loaded"):
        return ["This kernel has no IPVS loaded, so kube-proxy is not in IPVS mode here. See the role lvs.ipvs.kube_node for what the node needs."]
    found = {(each["protocol"], each["address"], each["port"]): each["servers"] for each in table["services"] if "address" in each}
    missing = [] if interface else ["There is no interface kube-ipvs0: kube-proxy has not started in IPVS mode here. Look at its log."]
    for name, *service in expected:
        if tuple(service) not in found:
            missing.append("%s: the table has no service %s %s port %d." % (name, *service))
        elif not any(server["weight"] for server in found[tuple(service)]):
            missing.append("%s: the service %s %s port %d has no server with a weight above 0 behind it." % (name, *service))
    return missing


def _address(option, value):
    try:
        return str(ipaddress.ip_address(value))
    except ValueError as error:
        raise AnsibleFilterError("kube_proxy_missing: %s: %r is not an IP address, for example 10.100.0.10." % (option, value)) from error


def _port(option, value):
    if str(value).isdigit() and 0 < int(value) < 65536:
        return int(value)
    raise AnsibleFilterError("kube_proxy_missing: %s: %r is not a port from 1 to 65535." % (option, value))


def _in_range(cidr, number):
    """The address with this number in the first of the ranges."""
    first = str(cidr or "").split(",", 1)[0].strip()
    if not first:
        raise AnsibleFilterError("kube_proxy_missing: the addresses of the API server and of DNS are not known. %s" % SET)
    try:
        return str(ipaddress.ip_network(first, strict=False)[number])
    except (ValueError, IndexError) as error:
        raise AnsibleFilterError("kube_proxy_missing: service_cidr: %r is not a range with %d addresses. %s" % (cidr, number + 1, SET)) from error


class FilterModule:
    """What a node lacks of kube-proxy's services."""

    def filters(self):
        return {"kube_proxy_missing": kube_proxy_missing}
