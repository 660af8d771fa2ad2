# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvsadm rule text as data."""

from __future__ import annotations

DOCUMENTATION = r"""
name: from_ipvsadm
short_description: Read ipvsadm rule text
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes rule text as C(ipvsadm --save --numeric) writes and C(ipvsadm --restore) reads it, and returns the virtual services,
    timeouts and sync daemons that it makes of an empty table, with the options of the collection's modules.
  - The whole language of C(ipvsadm) 1.31 is read. An option that a rule leaves out means its default, as with C(ipvsadm).
    Blank lines and comments, from a word that begins with C(#) to the end of the line, are passed over.
  - The names of ports are looked up in the services database of the controller. Host names are refused.
  - The C(-C) at the top of a rules file is read, and has nothing to clear.
  - Text that is not right is an error that names line, column and word.
positional: _input
options:
  _input:
    description: Rule text.
    type: string
    required: true
seealso:
  - plugin: lvs.ipvs.to_ipvsadm
    plugin_type: filter
  - module: lvs.ipvs.ipvs_table
"""

EXAMPLES = r"""
- name: Take over the services of a hand-made rules file
  lvs.ipvs.ipvs_table:
    services: "{{ (lookup('ansible.builtin.file', 'ipvsadm.rules') | lvs.ipvs.from_ipvsadm).services }}"

- name: Tell which real servers a rules file names
  ansible.builtin.debug:
    msg: "{{ rules.services | map(attribute='servers') | flatten | map(attribute='address') | unique }}"
  vars:
    # [{"address": "198.51.100.11", "port": 80, "forward_method": "nat", "weight": 3, ...}]
    rules: "{{ '-A -t 203.0.113.80:80 -s wrr\n-a -t 203.0.113.80:80 -r 198.51.100.11 -m -w 3' | lvs.ipvs.from_ipvsadm }}"
"""

RETURN = r"""
_value:
  description: What the rules say.
  type: dictionary
  contains:
    services:
      description:
        - The virtual services in the order of the text, each with its C(servers), in the form that M(lvs.ipvs.ipvs_table) takes
          and M(lvs.ipvs.ipvs_info) returns.
      type: list
      elements: dictionary
      returned: success
    timeouts:
      description:
        - The options of M(lvs.ipvs.ipvs_timeouts) that C(--set) sets. Omitted if the text has no C(--set).
      type: dictionary
      returned: when the text sets timeouts
    sync_daemons:
      description: The sync daemons that the text starts, with the options of M(lvs.ipvs.ipvs_sync_daemon).
      type: list
      elements: dictionary
      returned: success
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules_reader, _rules_words


def from_ipvsadm(text):
    """The services, timeouts and sync daemons of rule text, as a dict. Raises AnsibleFilterError."""
    if not isinstance(text, str):
        raise AnsibleFilterError("from_ipvsadm: expected rule text, got %s" % type(text).__name__)
    try:
        rules = _rules_reader.parse(str(text))
    except _rules_words.RuleError as error:
        raise AnsibleFilterError("from_ipvsadm: %s" % error) from error
    found = {
        "services": [_model.entry_options(entry) for entry in rules.table.values()],
        "sync_daemons": [_set_fields(daemon) for daemon in rules.daemons],
    }
    if rules.timeouts is not None:
        found["timeouts"] = _set_fields(rules.timeouts)
    return found


def _set_fields(fields):
    return {name: value for name, value in fields._asdict().items() if value is not None}


class FilterModule:
    """Rule text in."""

    def filters(self):
        return {"from_ipvsadm": from_ipvsadm}
