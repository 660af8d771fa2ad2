# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data as ipvsadm rule text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_ipvsadm
short_description: Write ipvsadm rule text
version_added: 0.1.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes virtual services, and where wanted timeouts and sync daemons, and returns them as rule text that C(ipvsadm --restore)
    reads. Services and servers are sorted, so that the same table gives the same text.
  - The text holds what C(ipvsadm --save) leaves out. These are connection thresholds, timeouts and sync daemons.
  - An option that is left out means its default, as when M(lvs.ipvs.ipvs_table) makes a service.
  - C(ipvsadm) has no option for O(ignore:forward_method=local) and writes C(-g), and so does this filter.
  - What breaks a rule of the modules is an error that names the option.
positional: _input
options:
  _input:
    description:
      - A list of virtual services, each with its C(servers), in the form that M(lvs.ipvs.ipvs_table) takes.
      - Or a dictionary with one or more of C(services), C(timeouts) and C(sync_daemons), in the form that
        P(lvs.ipvs.from_ipvsadm#filter) returns. What M(lvs.ipvs.ipvs_info) returned can be given as it is.
    type: raw
    required: true
seealso:
  - plugin: lvs.ipvs.from_ipvsadm
    plugin_type: filter
  - module: lvs.ipvs.ipvs_info
  - module: lvs.ipvs.ipvs_table
"""

EXAMPLES = r"""
- name: Keep what the director does now as a rules file
  block:
    - name: Read the table
      lvs.ipvs.ipvs_info:
      register: table

    - name: Write the rules
      ansible.builtin.copy:
        content: "{{ table | lvs.ipvs.to_ipvsadm }}"
        dest: /etc/ipvsadm.rules
        mode: "0600"

- name: Show what a list of services means to ipvsadm
  ansible.builtin.debug:
    # -A -t 203.0.113.80:80 -s rr
    # -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1
    msg: "{{ services | lvs.ipvs.to_ipvsadm }}"
  vars:
    services:
      - address: 203.0.113.80
        port: 80
        scheduler: rr
        servers:
          - address: 198.51.100.11
            forward_method: nat
"""

RETURN = r"""
_value:
  description:
    - Rule text. The timeouts come first, then the services with their servers, then the sync daemons. Each line ends in a
      newline. The empty string where there is nothing to say.
  type: string
"""

from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.lvs.ipvs.plugins.module_utils import _argspec, _model, _rules
from ansible_collections.lvs.ipvs.plugins.module_utils._errors import OptionError

_PARTS = {
    "services": _argspec.services(),
    "timeouts": {"type": "dict", "options": {name: {"type": _argspec.INT} for name in _model.Timeouts._fields}},
    "sync_daemons": {
        "type": "list",
        "elements": "dict",
        "options": {
            "role": {"type": "str", "choices": list(_model.DAEMON_ROLES), "required": True},
            "interface": {"type": "str", "required": True},
            "sync_id": {"type": _argspec.INT},
            "max_length": {"type": _argspec.INT},
            "multicast_group": {"type": "str"},
            "multicast_port": {"type": _argspec.INT},
            "multicast_ttl": {"type": _argspec.INT},
        },
    },
}


def to_ipvsadm(value):
    """Rule text of a list of services, or of a dict with services, timeouts and sync_daemons. Raises AnsibleFilterError."""
    try:
        return _text(_options(value))
    except OptionError as error:
        raise AnsibleFilterError("to_ipvsadm: %s" % error) from error


def _options(value):
    """The parts of the value, each option of the type that modules have it in."""
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - set(_PARTS))
        # what a task returned holds more than the table
        if (unknown and "changed" not in value) or not set(value) & set(_PARTS):
            found = ", ".join(str(name) for name in unknown) or "nothing"
            raise AnsibleFilterError("to_ipvsadm: expected a dict with services, timeouts or sync_daemons, found %s" % found)
        given = {name: _copy(value[name]) for name in _PARTS if value.get(name) is not None}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        given = {"services": _copy(value)}
    else:
        raise AnsibleFilterError(
            "to_ipvsadm: expected a list of services or a dict with services, timeouts or sync_daemons, got %s" % type(value).__name__
        )
    result = ArgumentSpecValidator(_PARTS).validate(given)
    if result.error_messages:
        raise AnsibleFilterError("to_ipvsadm: %s" % "; ".join(result.error_messages))
    return result.validated_parameters


def _copy(value):
    """A copy in which nothing occurs twice: the validator writes into what it gets, and YAML anchors make shared lists."""
    if isinstance(value, Mapping):
        return {name: _copy(each) for name, each in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return [_copy(each) for each in value]
    return value


def _text(options):
    lines = []
    if options["timeouts"]:
        lines.append(_rules.render_timeouts(_within("timeouts.", _model.timeouts_wish, options["timeouts"])) + "\n")
    wishes = _model.table_wish(options["services"] or ())
    lines.append(_rules.render_table({ident: _whole(wish, index) for index, (ident, wish) in enumerate(wishes.items())}))
    roles = set()
    for index, daemon_options in enumerate(options["sync_daemons"] or ()):
        path = "sync_daemons[%d]." % index
        daemon = _model.overlay_daemon(_within(path, _model.daemon_wish, daemon_options))
        if daemon.role in roles:
            raise OptionError(path + "role", daemon.role, "there is one sync daemon of each role")
        roles.add(daemon.role)
        lines.append(_rules.render_daemon(daemon) + "\n")
    return "".join(lines)


def _within(path, function, options):
    try:
        return function(options)
    except OptionError as error:
        raise OptionError(path + error.option, error.value, error.remedy) from error


def _whole(wish, index):
    """The whole Entry that ``services[index]`` asks for, held to the rules."""
    service = _model.overlay_service(wish.service)
    _model.check_service(service, "services[%d]." % index)
    servers = {}
    for place, (ident, server_wish) in enumerate((wish.servers or {}).items()):
        servers[ident] = _model.overlay_server(server_wish)
        _model.check_server(servers[ident], service.id, server_wish, "services[%d].servers[%d]." % (index, place))
    return _model.Entry(service, servers)


class FilterModule:
    """Rule text out."""

    def filters(self):
        return {"to_ipvsadm": to_ipvsadm}
