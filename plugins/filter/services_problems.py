# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a list of services, found on the controller."""

from __future__ import annotations

DOCUMENTATION = r"""
name: services_problems
short_description: Check a list of services before any node is touched
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the list that the roles P(lvs.ipvs.director#role) and P(lvs.ipvs.real_server#role) share, holds it to every rule of
    M(lvs.ipvs.ipvs_table), and returns what is wrong with it.
  - The list has to be able to make its table from nothing, as it does on a new director.
  - A list that is not defined is wrong. So is an empty one, of services or of the servers of a service, unless O(allow_empty)
    is set, because what it does not list may be removed.
positional: _input
options:
  _input:
    description: The list of services, in the form that M(lvs.ipvs.ipvs_table) takes.
    type: raw
    required: true
  name:
    description: What the list is called in messages.
    type: string
    default: director_services
  allow_empty:
    description: Whether an empty list is right.
    type: boolean
    default: false
  timeouts:
    description: Connection timeouts, with the options of M(lvs.ipvs.ipvs_timeouts), to be checked with the list.
    type: dictionary
    default: {}
  sync_daemons:
    description: Sync daemons, with the options of M(lvs.ipvs.ipvs_sync_daemon), to be checked with the list.
    type: list
    elements: dictionary
    default: []
  sysctls:
    description:
      - Kernel settings, of which the names under C(net.ipv4.vs) are checked with the list. Which others there are, the node knows.
    type: dictionary
    default: {}
  health:
    description:
      - What checks the health of the real servers. With V(keepalived), what P(lvs.ipvs.to_keepalived#filter) cannot express is wrong, too.
        How servers are checked is held to its rules in any case.
    type: string
    choices: [none, keepalived]
    default: none
  failover:
    description:
      - The settings of failover, as P(lvs.ipvs.failover_settings#filter) returns them, to be checked with the list. They are named as the
        role P(lvs.ipvs.director#role) has them.
    type: dictionary
seealso:
  - module: lvs.ipvs.ipvs_table
  - plugin: lvs.ipvs.to_keepalived
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Check the services before they are deployed
  ansible.builtin.assert:
    that: problems | length == 0
    fail_msg: "{{ problems | join('\n') }}"
  vars:
    # ["services[1].servers[0].address: 'web1': give an IPv4 or IPv6 address as a literal, ..."]
    problems: "{{ services | lvs.ipvs.services_problems(name='services') }}"
"""

RETURN = r"""
_value:
  description: One message for each problem. Each names the option, its value and what would be right. Empty if all is well.
  type: list
  elements: string
"""

from collections.abc import Mapping, Sequence

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks, _configuration, _failover
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _options

_FOUND_THERE = "=found-on-node="
_HEALTH = {"type": "str", "choices": ["none", "keepalived"]}


def services_problems(
    services, name="director_services", allow_empty=False, timeouts=None, sync_daemons=None, sysctls=None, health="none", failover=None
):
    """What is wrong with the services, the timeouts, the sync daemons and the kernel settings, as a list of texts."""
    if isinstance(services, (str, Mapping)) or not isinstance(services, Sequence):
        return ["%s: give the list of virtual services with their real servers" % name]
    # the roles' own names for the other two
    spec = {name: _options.SERVICES, "director_timeouts": _options.TIMEOUTS, "director_sync_daemons": _options.SYNC_DAEMONS, "health": _HEALTH}
    spec["failover"] = _failover.spec()
    given = {name: services, "director_timeouts": timeouts or {}, "director_sync_daemons": sync_daemons or [], "health": health, "failover": failover}
    options, errors = _options.typed(spec, given)
    if errors:
        return list(errors)
    problems = [] if allow_empty else _empty_lists(options[name], name)
    for problem in (
        _service_problem(options[name], name, health),
        _problem(_settings.created_timeouts, options["director_timeouts"], "director_timeouts"),
        _problem(_settings.created_daemons, options["director_sync_daemons"], "director_sync_daemons"),
    ):
        problems += problem
    if not problems and failover is not None:
        problems = _failover_problems(options, name)
    return (problems or _daemons_beside_mixed_families(options, name)) + _mistyped(sysctls or {})


def _service_problem(services, name, health):
    """What is wrong with the services, for the table, for checks, and for what does the checks."""
    problem = _problem(_model.created_table, services, name) or _problem(_checks.pools, services, name)
    if problem or health == "none" or not services:
        return problem
    return _problem(_held_by_keepalived, services, name)


def _held_by_keepalived(services, name):
    _configuration.configuration(services, path=name)


def _failover_problems(options, name):
    """What is wrong with the settings of failover. The interface that they leave to the node is taken to be right."""
    given = dict(options["failover"], interface=options["failover"]["interface"] or _FOUND_THERE)
    if given["sync"] is not None and options["director_sync_daemons"]:
        return [
            "director_sync_daemons: VRRP runs the sync daemons; leave this out, or switch them off there with director_vrrp_sync: {enabled: false}"
        ]

    def check(value, path):
        _failover.failover(value, options[name], path)

    names = (("failover.addresses", "director_vips"), ("failover.", "director_vrrp_"))
    problems = []
    for text in _problem(check, given, "failover"):
        for option, variable in names:
            text = text.replace(option, variable)
        problems.append(text)
    return problems


def _mistyped(sysctls):
    found = [(key, str(key).replace("/", ".")) for key in sysctls]
    meant = [(key, _sysctls.meant(name, 3, [])) for key, name in found if name.startswith(_sysctls.IPVS)]
    return ["director_sysctls: %s: no kernel has this setting; did you mean %s?" % each for each in meant if each[1]]


def _empty_lists(services, name):
    remedy = "[]: an empty list removes %s; set director_allow_empty: true if that is meant%s"
    if not services:
        return ["%s: %s" % (name, remedy % ("every service", ""))]
    return [
        "%s[%d].servers: %s" % (name, index, remedy % ("every server of the service", ", or leave servers out to keep them"))
        for index, service in enumerate(services)
        if service["servers"] is not None and not service["servers"]
    ]


def _problem(function, value, path):
    try:
        function(value, path)
    except OptionError as error:
        return [str(error)]
    return []


def _daemons_beside_mixed_families(options, name):
    """The kernel runs no sync daemon while a service has a server of the other address family."""
    vrrp = (options.get("failover") or {}).get("sync") is not None
    if not options["director_sync_daemons"] and not vrrp:
        return []
    return [
        "%s: %s has the server %s, of the other address family; the kernel runs no sync daemon (%s) beside such a service"
        % (name, ident, server, "director_vrrp_sync" if vrrp else "director_sync_daemons")
        for ident, entry in _model.created_table(options[name], name).items()
        for server in entry.servers
        if _literals.family_of(server.address) != ident.family
    ]


class FilterModule:
    """What is wrong with a list."""

    def filters(self):
        return {"services_problems": services_problems}
