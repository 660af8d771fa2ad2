# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services as a configuration of keepalived."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_keepalived
short_description: Write a configuration of keepalived
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes virtual services and returns the text of a C(keepalived.conf) that checks the health of their real servers, or moves
    their addresses between directors with VRRP, or both.
  - The services are those that M(lvs.ipvs.ipvs_table) takes. Let that module make the table first. keepalived takes over the services
    and servers that are there already, unchanged and without a gap.
  - A server that is in the table with a weight, and down when keepalived starts, keeps that weight. M(lvs.ipvs.ipvs_keepalived) sets it
    to 0. Without that module, give what is in the table weight 0 first.
  - Services and servers are sorted, so that the same services give the same text.
  - Whatever keepalived has no way to express is an error that names the option.
notes:
  - A server that fails its check stays in the table with weight 0, and gets its weight back when the check succeeds again. When
    keepalived starts, servers get connections once their first check has succeeded. It begins within a second.
  - A service whose C(check.type) is V(none) is not checked. Its servers always get connections. This is the default for UDP,
    SCTP and services identified by a firewall mark. Set V(dns), V(udp), V(ping) or V(script) to check them.
  - Each real server's address has a file in C(/var/lib/ipvs-director/drain), of the same name. To drain the server in all its
    services, write V(-100000) into the file. To bring it back, write V(0). The folder must exist before keepalived starts or reloads,
    and so must the file of each server that a reload adds.
  - keepalived has no limit such as C(max_unhealthy). The text has it start the program C(/usr/local/libexec/ipvs-director-pool-guard) as
    root, which holds the limit. M(lvs.ipvs.ipvs_keepalived) installs this program and its settings. Without that module,
    C(keepalived --config-test) reports that the program is missing, and nothing holds the limit.
  - A check of type V(script) runs as the user C(keepalived_script), which must exist.
  - keepalived does not change C(upper_threshold) and C(lower_threshold) of servers that are there already. Let M(lvs.ipvs.ipvs_table)
    do that.
extends_documentation_fragment:
  - lvs.ipvs.failover
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
- name: Check two web servers, and move their address between two directors
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
  block:
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
        raise OptionError("checks", False, "set checks to true or give failover: keepalived would have nothing to do")
    return _configuration.configuration(options["services"] if options["checks"] else None, failover, version)


def _parsed(version):
    if not re.match(r"[0-9]+\.[0-9]+\.[0-9]+\Z", str(version)):
        raise OptionError("version", version, "give a version of keepalived, such as 2.3.3")
    return _version.parse("Keepalived v%s" % version)


class FilterModule:
    """A configuration out."""

    def filters(self):
        return {"to_keepalived": to_keepalived}
