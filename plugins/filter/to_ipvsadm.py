# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data as ipvsadm rule text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: to_ipvsadm
short_description: Write ipvsadm rule text
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes virtual services, and where wanted timeouts and sync daemons, and returns them as rule text that C(ipvsadm --restore)
    reads. Services and servers are sorted, so that the same table gives the same text.
  - The text holds what C(ipvsadm --save) leaves out. These are connection thresholds, timeouts and sync daemons.
  - An option that you omit means its default, as when M(lvs.ipvs.ipvs_table) creates a service.
  - C(ipvsadm) has no option for O(ignore:forward_method=local) and writes C(-g), and so does this filter.
  - Input that violates a rule of the modules is an error that names the option.
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
      newline. An empty string if there is nothing to write.
  type: string
"""

from collections.abc import Mapping, Sequence

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _options

_PARTS = {"services": _options.SERVICES, "timeouts": _options.TIMEOUTS, "sync_daemons": _options.SYNC_DAEMONS}


def to_ipvsadm(value):
    """Rule text of a list of services, or of a dict with services, timeouts and sync_daemons. Raises AnsibleFilterError."""
    try:
        return _text(_parts(value))
    except OptionError as error:
        raise AnsibleFilterError("to_ipvsadm: %s" % error) from error


def _parts(value):
    """The parts of the value, each option of the type that modules have it in."""
    if isinstance(value, Mapping):
        unknown = sorted(set(value) - set(_PARTS))
        # what a task returned holds more than the table
        if (unknown and "changed" not in value) or not set(value) & set(_PARTS):
            found = ", ".join(str(name) for name in unknown) or "nothing"
            raise AnsibleFilterError("to_ipvsadm: expected a dict with services, timeouts or sync_daemons, found %s" % found)
        given = {name: value[name] for name in _PARTS if value.get(name) is not None}
    elif isinstance(value, Sequence) and not isinstance(value, str):
        given = {"services": value}
    else:
        raise AnsibleFilterError(
            "to_ipvsadm: expected a list of services or a dict with services, timeouts or sync_daemons, got %s" % type(value).__name__
        )
    options, errors = _options.typed(_PARTS, given)
    if errors:
        raise AnsibleFilterError("to_ipvsadm: %s" % "; ".join(errors))
    return options


def _text(options):
    text = ""
    if options["timeouts"]:
        text += _rules.render_timeouts(_settings.created_timeouts(options["timeouts"])) + "\n"
    text += _rules.render_table(_model.created_table(options["services"] or ()))
    return text + "".join(_rules.render_daemon(daemon) + "\n" for daemon in _settings.created_daemons(options["sync_daemons"] or ()))


class FilterModule:
    """Rule text out."""

    def filters(self):
        return {"to_ipvsadm": to_ipvsadm}
