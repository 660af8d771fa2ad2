# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules do that keep a node in line with a list of services: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model


def manage_addresses(options, context):
    """The virtual addresses of a director."""
    served = {}
    for number, ident in enumerate(_model.created_table(options["services"] or [])):
        if ident.address:
            served.setdefault(ident.address, _addresses.host(ident.address, "services[%d].address" % number))
    given = options["addresses"]
    all_desired = list(served.values()) if given is None else _addresses.parsed(given)
    if options["state"] == "absent":
        all_desired = []
    awaited = ["table", *served] if options["wait_for_service"] and options["services"] != [] else []
    return _addresses.manage(all_desired, awaited, options, context)
