# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as a configuration of keepalived."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_keepalived
short_description: Write a configuration of keepalived
version_added: 0.1.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes virtual services and returns the text of a C(keepalived.conf) that checks the health of their real servers, or moves
    their addresses between directors with VRRP, or both.
  - The services are those that M(lvs.ipvs.ipvs_table) takes. Let that module make the table first. keepalived takes over the services
    and servers that are there already, unchanged and without a gap.
  - Services and servers are sorted, so that the same services give the same text.
  - Whatever keepalived has no way to express is an error that names the option.
notes:
  - A server that fails its check stays in the table with weight 0, and gets its weight back when the check succeeds again. When
    keepalived starts, servers get connections once their first check has succeeded.
  - A service whose O(_input[].check.type) is V(none) is not checked. Its servers always get connections. This is the default for UDP,
    SCTP and services named by a firewall mark. Set V(dns), V(udp), V(ping) or V(script) to check them.
  - Each real server's address has a file in C(/var/lib/ipvs-director/drain), of the same name. To drain the server in all its
    services, write V(-100000) into the file. To bring it back, write V(0). The folder must exist before keepalived starts or reloads,
    and so must the file of each server that a reload adds.
  - With O(_input[].max_unhealthy), keepalived runs C(/usr/local/libexec/ipvs-director-quorum) as root, which must exist. The first
    argument is C(down) when more than this share of the weight is out, C(up) when it no longer is. The others name the service, for
    example C(tcp 203.0.113.80 80) or C(fwmark 7 ipv4). On C(down) that program is expected to give the servers that are out by their
    check, and not drained, their weight again, because wrong servers are better than none.
  - keepalived counts a drained server as missing weight. Drain few servers of a service with O(_input[].max_unhealthy) at a time.
  - A check of type V(script) runs as the user C(keepalived_script), which must exist.
  - keepalived does not change C(upper_threshold) and C(lower_threshold) of servers that are there already. Let M(lvs.ipvs.ipvs_table)
    do that.
positional: _input
options:
  _input:
    description: The list of services, in the form that M(lvs.ipvs.ipvs_table) takes.
    type: list
    elements: dictionary
    required: true
  checks:
    description: Whether the servers are checked. Without checks, O(failover) is required, and keepalived leaves the table alone.
    type: boolean
    default: true
  failover:
    description:
      - The settings of VRRP. If omitted, no address moves.
    type: dictionary
    suboptions:
      interface:
        description: The interface that the director receives requests on.
        type: string
        required: true
      priority:
        description:
          - The priority of this director, from V(1) to V(254). The one with the highest becomes the master.
          - For O(failover.handover_file), let the priorities of the directors differ by less than 100.
        type: integer
        required: true
      router_id:
        description: The virtual router ID, from V(1) to V(255), the same on all directors, and no one else's on the network.
        type: integer
        default: 51
      peers:
        description: The addresses of the other directors. If omitted, adverts are sent by multicast.
        type: list
        elements: string
      source_address:
        description: The address that adverts are sent from. If omitted, the first one of the interface.
        type: string
      advert_interval:
        description: The seconds between adverts, from 0.05 to 40, the same on all directors.
        type: float
        default: 1
      preempt:
        description:
          - Whether a director takes over from one of lower priority. V(false) excludes O(failover.handover_file).
        type: boolean
        default: true
      preempt_delay:
        description:
          - The seconds that a director waits after its start before it takes over from one of lower priority. The default leaves the
            connection synchronisation time to catch up.
        type: integer
        default: 15
      addresses:
        description:
          - The addresses that move, each as a literal or as a dictionary with C(address), C(prefix_length) and C(interface). If
            C(prefix_length) is omitted, it is 32 or 128. If C(interface) is omitted, it is O(failover.interface).
          - The first address of the family of the peers is announced in the adverts, so it has to be the same on all directors.
          - If omitted, the addresses of all services.
        type: list
        elements: raw
      gateways:
        description:
          - The addresses, in the same form, that real servers behind NAT have as their gateway. If C(interface) is omitted, it is
            O(failover.back_interface).
        type: list
        elements: raw
      back_interface:
        description:
          - The interface towards the real servers, if it is not O(failover.interface). It has a VRRP instance of its own, and both are
            master together.
        type: string
      back_peers:
        description: The addresses of the other directors on O(failover.back_interface). If omitted, adverts are sent by multicast.
        type: list
        elements: string
      sync:
        description: Connection synchronisation, where the master sends and the others receive. If omitted, there is none.
        type: dictionary
        suboptions:
          interface:
            description: The interface for the multicast.
            type: string
            required: true
          sync_id:
            description: The sync ID, from V(0) to V(255). If omitted, O(failover.router_id).
            type: integer
      handover_file:
        description:
          - The path of a file by which a director is handed over. With V(1) in it, the director has 100 less priority, and with V(0)
            its own. keepalived makes the file at its start. The folder must exist.
        type: string
  version:
    description: The version of keepalived that reads the text, V(2.2.7) or newer. The default suits every one of them.
    type: string
    default: 2.2.7
seealso:
  - module: lvs.ipvs.ipvs_table
  - plugin: lvs.ipvs.services_problems
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check two web servers, and move the address between two directors
  hosts: directors
  become: true
  vars:
    services:
      - address: 203.0.113.80
        port: 80
        check:
          type: http
          path: /health
          host: www.example.com
          status: [200]
        sorry_server:
          address: 198.51.100.99
          forward_method: nat
        servers:
          - address: 198.51.100.11
            forward_method: nat
          - address: 198.51.100.12
            forward_method: nat
    failover:
      interface: eth0
      priority: "{{ vrrp_priority }}"
      back_interface: eth1
      gateways:
        - address: 198.51.100.1
          prefix_length: 24
      sync:
        interface: eth1
  tasks:
    - name: Make the table
      lvs.ipvs.ipvs_table:
        services: "{{ services }}"

    - name: Make the folder of the files by which servers are drained
      ansible.builtin.file:
        path: /var/lib/ipvs-director/drain
        state: directory
        mode: "0755"

    - name: Write the configuration
      ansible.builtin.copy:
        content: "{{ services | lvs.ipvs.to_keepalived(failover=failover) }}"
        dest: /etc/keepalived/keepalived.conf
        mode: "0600"
        validate: keepalived --config-test --use-file %s

- name: Only move the addresses of the services
  ansible.builtin.debug:
    msg: "{{ services | lvs.ipvs.to_keepalived(checks=false, failover={'interface': 'eth0', 'priority': 100}) }}"
"""

RETURN = r"""
_value:
  description: The text. Each line ends in a newline, and holds one statement.
  type: string
"""

import re
from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration, _failover, _version
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _options

_SPEC = {"services": _options.SERVICES, "failover": _failover.spec(), "checks": {"type": "bool"}}


def to_keepalived(services, failover=None, checks=True, version="2.2.7"):
    """The configuration of keepalived for a list of services. Raises AnsibleFilterError."""
    if isinstance(services, (str, Mapping)) or not isinstance(services, Sequence):
        raise AnsibleFilterError("to_keepalived: expected a list of services, got %s" % type(services).__name__)
    options, errors = _options.typed(_SPEC, {"services": services, "failover": failover, "checks": checks})
    if errors:
        raise AnsibleFilterError("to_keepalived: %s" % "; ".join(errors))
    try:
        return _text(options, _parsed(version))
    except IpvsError as error:
        raise AnsibleFilterError("to_keepalived: %s" % error) from error


def _text(options, version):
    failover = _failover.failover(options["failover"], options["services"])
    if not options["checks"] and not failover:
        raise OptionError("checks", False, "without checks and failover keepalived would have nothing to do")
    return _configuration.configuration(options["services"] if options["checks"] else None, failover, version)


def _parsed(version):
    if not re.match(r"[0-9]+\.[0-9]+\.[0-9]+\Z", str(version)):
        raise OptionError("version", version, "give a version of keepalived, such as 2.3.3")
    return _version.parse("Keepalived v%s" % version)


class FilterModule:
    """A configuration out."""

    def filters(self):
        return {"to_keepalived": to_keepalived}
