# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a rules file holds and a list of services does not."""

from __future__ import annotations

DOCUMENTATION = r"""
name: no_longer_listed
short_description: Find the services and servers of a rules file that a list does not hold
version_added: 0.1.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes C(ipvsadm) rule text, such as the rules file that the role P(lvs.ipvs.director#role) keeps for the next boot, and a list
    of services. Returns what the text holds and the list does not.
  - With the text that the role wrote last, that is what the role made and what has been taken out of the list since.
positional: _input, services
options:
  _input:
    description: Rule text. The empty string holds nothing.
    type: string
    required: true
  services:
    description: The list of services, in the form that M(lvs.ipvs.ipvs_table) takes.
    type: list
    elements: dictionary
    required: true
seealso:
  - plugin: lvs.ipvs.from_ipvsadm
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Remove the services that were in the rules file and are not listed
  lvs.ipvs.ipvs_table:
    services: "{{ (rules | lvs.ipvs.no_longer_listed(services)).services }}"
    state: absent
"""

RETURN = r"""
_value:
  description: What is no longer listed.
  type: dictionary
  contains:
    services:
      description: What names each service that the list does not hold.
      type: list
      elements: dictionary
      returned: success
    servers:
      description:
        - Real servers that listed services no longer list, with the options of M(lvs.ipvs.ipvs_server) that name them. A service
          whose C(servers) are left out lists whatever it has.
      type: list
      elements: dictionary
      returned: success
"""

from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules_reader
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from ansible_collections.lvs.ipvs.plugins.plugin_utils import _options


def no_longer_listed(text, services):
    """The services, and the servers of listed services, that are in the text and not in the list. Raises AnsibleFilterError."""
    options, errors = _options.typed({"services": _options.SERVICES}, {"services": services})
    if errors:
        raise AnsibleFilterError("no_longer_listed: %s" % "; ".join(errors))
    try:
        listed = _model.table_wish(options["services"])
        kept = _rules_reader.parse(str(text)).table
    except IpvsError as error:
        raise AnsibleFilterError("no_longer_listed: %s" % error) from error
    gone = {"services": [], "servers": []}
    for ident, entry in kept.items():
        if ident not in listed:
            gone["services"].append(_model.id_options(ident))
        elif listed[ident].servers is not None:
            gone["servers"] += [_place(ident, server) for server in entry.servers if server not in listed[ident].servers]
    return gone


def _place(ident, server):
    place = {"service_" + name: value for name, value in _model.id_options(ident).items()}
    return dict(place, address=server.address, port=server.port)


class FilterModule:
    """The difference between a rules file and a list."""

    def filters(self):
        return {"no_longer_listed": no_longer_listed}
