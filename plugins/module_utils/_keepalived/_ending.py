# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What becomes of the table when keepalived has ended: the rules that its unit has ipvsadm carry out then. Pure.

A keepalived that removes its services itself, as it does by default, does so while the node still has their addresses: clients are refused,
and with net.ipv4.vs.expire_nodest_conn every connection is forgotten. So it leaves the table alone, and after the addresses have gone the unit
does the rest.
"""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _rules

STOPPED = "/var/lib/ipvs-director/keepalived-stopped.rules"
"""After somebody has stopped it: the services go."""
FAILED = "/var/lib/ipvs-director/keepalived-failed.rules"
"""After it has failed: no server gets a new connection before the next keepalived has checked it, and open connections stay."""


def files(table, pools):
    """[File] for a Table of whole Entries and their {ServiceId: Pool}; without text where nothing is checked."""
    if not table:
        return [_own_files.File(path, None) for path in (STOPPED, FAILED)]
    idents = sorted(table, key=_model.service_order)
    stopped = ["-D %s" % _rules.service_words(ident) for ident in idents]
    failed = []
    for ident in idents:
        servers = table[ident].servers
        failed += ["-e %s" % _rules.render_server(ident, servers[each]._replace(weight=0)) for each in sorted(servers, key=_model.server_order)]
        if pools[ident].sorry_server:  # it is there only while it is needed, and the next keepalived adds it when it is
            failed.append("-d %s -r %s" % (_rules.service_words(ident), _literals.join_port(*pools[ident].sorry_server.id)))
    return [_own_files.File(path, "".join(rule + "\n" for rule in rules)) for path, rules in ((STOPPED, stopped), (FAILED, failed))]
