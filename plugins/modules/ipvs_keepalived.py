#!/usr/bin/python
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: ipvs_keepalived
short_description: Check the health of real servers, and move addresses between directors, with keepalived
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Writes the configuration of keepalived from a list of services and the settings of failover, and applies it. The text
    is the one that P(lvs.ipvs.to_keepalived#filter) returns, with a name by which the running processes are asked for it.
  - Everything is checked before anything is changed, by this module and by keepalived itself. A warning of keepalived counts as an
    error, for example about an interface or a script that does not exist. A running keepalived that is known to crash over the
    change is left as it is.
  - A keepalived that runs reads its configuration again and is never restarted, so no connection ends and the health of the servers
    is kept. One that does not run is started, now and at every boot.
  - What is no longer listed, keepalived removes from the table. What other programs have in the table stays.
  - The task succeeds once the same processes use the new configuration. Otherwise the former configuration is restored, keepalived
    uses that again, and the error says what was wrong.
  - Then the table is compared with what keepalived knows of the servers, and put right. This concerns thresholds, which keepalived does
    not change, and entries that were there before keepalived started.
  - With O(failover), the task waits until this director is master or backup. A fault that comes with the new configuration counts as
    its failure. One that was there before is an error, too, and the new configuration stays.
  - Addresses that this node has when VRRP begins to move them stay up until it is decided who is master, so that no request fails. If
    that is another director, they are removed. Tell M(lvs.ipvs.ipvs_addresses) afterwards, with O(lvs.ipvs.ipvs_addresses#module:state=released).
  - Use M(lvs.ipvs.ipvs_table) first where keepalived does not run yet. keepalived takes over what is in the table without a gap.
options:
  checks:
    description:
      - Whether keepalived checks the servers of O(services). With V(false), it only moves addresses, O(failover) is required, and
        keepalived leaves the table alone.
      - A keepalived that has checked services until now would remove them from the table, so that is an error. O(state=absent) comes
        first.
    type: bool
    default: true
  drain_timeout:
    description:
      - Drain the servers that O(services) no longer lists for a service that stays, for at most this many seconds. What is new comes
        first. Then they get weight 0, and go when their connections have ended, or with a warning when the time is over.
      - If omitted, they are deleted at once, and their connections break.
    type: float
  keep_addresses:
    description:
      - Addresses that VRRP has put up here, and that stay up when it ends, with O(state=absent) or without O(failover). Each is a literal
        or a dictionary with C(address). M(lvs.ipvs.ipvs_addresses) keeps them from then on.
      - The others are removed.
    type: list
    elements: raw
    default: []
  path:
    description:
      - The configuration file of keepalived. The unit must read this one.
    type: path
    default: /etc/keepalived/keepalived.conf
  replace:
    description:
      - Whether a configuration that this module did not write is replaced. Nothing of it is kept, so look at it with C(--diff) first.
      - With V(false), such a file is an error.
    type: bool
    default: false
  service:
    description:
      - The systemd unit that runs keepalived.
      - It gets a drop-in that restarts keepalived after a failure, and that removes the addresses of O(failover) whenever
        keepalived has ended in any way.
      - Where systemd does not run, for example in the build of an image, the unit is only enabled.
    type: str
    default: keepalived
  state:
    description:
      - V(present) applies O(services) and O(failover).
      - V(absent) ends keepalived and disables its unit if this module wrote the configuration file, and removes the file, the addition
        to the unit, and the files by which servers could be drained. Files of servers that are drained stay. The table stays as it is, and
        its servers are no longer checked.
      - With V(absent), addresses that VRRP has put up here are removed, apart from O(keep_addresses). If all of them go and the
        configuration has a O(failover.handover_file), the module first lowers the priority and waits up to three seconds for another
        director to take over. One whose O(failover.preempt_delay) is longer takes over when keepalived ends here.
      - With V(absent) and O(services), the services that keepalived had and O(services) does not list are deleted. If O(services) is
        omitted, all of them stay.
    type: str
    choices: [present, absent]
    default: present
notes:
  - Each real server's address has a file in C(/var/lib/ipvs-director/drain), by which the server is drained. Missing files are created.
    A server that M(lvs.ipvs.ipvs_drain) has drained before stays drained.
    Files of addresses that are no longer listed are removed unless they drain their server.
  - For O(services[].max_unhealthy), the module installs the program C(/usr/local/libexec/ipvs-director-pool-guard) and its settings
    C(/var/lib/ipvs-director/pool_guard.json), and removes them when no service needs them. keepalived starts the program, ends it with
    itself, and starts it anew when it reloads. The program needs C(ipvsadm).
  - keepalived gives a server that fails its check weight 0 first, and the program then gives it its weight back. New
    connections go to the other servers meanwhile, which takes a fraction of a second. If all servers fail at the same moment, new
    connections are refused for that time.
  - If somebody kills the program, keepalived does not start it again before it reloads, and until then nothing holds the limit.
  - The addition to the unit restarts keepalived when it fails. It also runs keepalived with C(--dont-release-ipvs), so that the services do not leave
    the table before the addresses leave the node. When keepalived has ended, the unit removes the addresses that VRRP moves and ends the sync
    daemons. Then, if keepalived was stopped, it removes the services from the table. If keepalived failed, it sets the weight of their servers to
    0. Open connections continue, and the next keepalived restores the weight of each server that passes its check. A keepalived that is already
    running uses the option from its next start. The option is added to the command line of the unit and of an administrator's own drop-ins, as
    they are when the task runs. After you have changed them, run it again. The unit needs C(ipvsadm), and the rules in
    C(/var/lib/ipvs-director/keepalived-stopped.rules) and C(/var/lib/ipvs-director/keepalived-failed.rules).
  - keepalived 2.2.7 and 2.3.3 are tested. Versions before 2.2.7 are refused.
extends_documentation_fragment:
  - lvs.ipvs.attributes
  - lvs.ipvs.services
  - lvs.ipvs.failover
requirements:
  - keepalived >= 2.2.7
  - systemd, which runs keepalived
  - ipvsadm
  - pyroute2 >= 0.6 (Debian, Ubuntu and Fedora package C(python3-pyroute2)), if O(checks=true)
  - root, usually by C(become)
seealso:
  - module: lvs.ipvs.ipvs_keepalived_info
  - module: lvs.ipvs.ipvs_table
  - plugin: lvs.ipvs.to_keepalived
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check two web servers by HTTP
  lvs.ipvs.ipvs_keepalived:
    services:
      - address: 203.0.113.80
        port: 80
        check:
          type: http
          path: /health
          status: [200]
        servers:
          - address: 198.51.100.11
            forward_method: nat
          - address: 198.51.100.12
            forward_method: nat

- name: Check them, and move the address between two directors
  lvs.ipvs.ipvs_keepalived:
    services: "{{ director_services }}"
    failover:
      interface: eth0
      priority: "{{ vrrp_priority }}"
      peers: ["{{ other_director }}"]

- name: Only move the addresses of the services
  lvs.ipvs.ipvs_keepalived:
    services: "{{ director_services }}"
    checks: false
    failover:
      interface: eth0
      priority: 100

- name: Go back to the table without checks
  lvs.ipvs.ipvs_keepalived:
    state: absent
"""

RETURN = r"""
file:
  description: The configuration file of keepalived.
  returned: success
  type: str
  sample: /etc/keepalived/keepalived.conf
unit:
  description: The systemd unit that runs keepalived.
  returned: success
  type: str
  sample: keepalived.service
version:
  description:
    - The version of the keepalived that runs, otherwise of the one that is installed. V(null) if there is none, in check mode, and with
      O(state=absent).
  returned: success
  type: str
  sample: 2.2.7
differences:
  description:
    - What was out of sync before the task, one text each. In check mode, what is. Differences in the table are C(ipvsadm) commands. They
      are not known in check mode if keepalived does not work by this configuration yet.
  returned: success
  type: list
  elements: str
  sample: ["/etc/keepalived/keepalived.conf is not as it should be", keepalived works by another configuration]
problems:
  description: The errors and warnings of keepalived about the configuration, one line each.
  returned: if keepalived does not accept the configuration
  type: list
  elements: str
  sample: ["(front) Unknown interface 'eth7'"]
not_undone:
  description: What could not be restored after a failure, one text each.
  returned: if restoring the former configuration failed
  type: list
  elements: str
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _failover
from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._use_task import manage_keepalived
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _argspec
from ansible_collections.lvs.ipvs.plugins.module_utils._task._runner import run


def main():
    module = AnsibleModule(
        argument_spec=dict(
            services=_service_specs.services(),
            checks={"type": "bool", "default": True},
            drain_timeout={"type": _argspec.FLOAT},
            failover=_failover.spec(),
            keep_addresses={"type": "list", "elements": "raw", "default": []},
            path={"type": "path", "default": "/etc/keepalived/keepalived.conf"},
            replace={"type": "bool", "default": False},
            service={"type": "str", "default": "keepalived"},
            **_argspec.state("present", "absent"),
        ),
        required_if=[("checks", False, ("failover",))],
        supports_check_mode=True,
    )
    run(module, manage_keepalived)


if __name__ == "__main__":
    main()
