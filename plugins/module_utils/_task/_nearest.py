# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user who names something that is not in the table may have meant. Pure: no I/O."""

from __future__ import annotations

import difflib

_SHOWN = 3


def servers(table, service, server):
    """The real servers in the Table that are nearest to ``server`` (ServerId) of ``service`` (ServiceId), nearest first.

    The same server on another port; other servers of the service on the same port; the same server in other services, first in
    those of the same virtual address. Returns a list of at most three texts.
    """
    found = []
    for each, entry in table.items():
        for ident in entry.servers:
            rank = _rank(service, server, each, ident)
            if rank is not None:
                found.append((rank, -_likeness(server, ident), -_likeness(service, each), "%s of %s" % (ident, each)))
    return [text for *_key, text in sorted(found)[:_SHOWN]]


def _rank(service, server, other_service, other_server):
    same_address = server.address == other_server.address
    if service == other_service:
        return 0 if same_address else 1 if server.port == other_server.port else 4
    if not same_address:
        return None
    return 2 if (service.address, service.fwmark) == (other_service.address, other_service.fwmark) else 3


def services(table, service):
    """The virtual services in the Table that are nearest to ``service`` (ServiceId), as a list of at most three texts.

    Those of the same address or firewall mark, then those of the same port and protocol on another address.
    """
    found = []
    for each in table:
        if (each.address, each.fwmark) == (service.address, service.fwmark):
            found.append((0, -_likeness(service, each), str(each)))
        elif service.port and (each.port, each.protocol) == (service.port, service.protocol):
            found.append((1, -_likeness(service, each), str(each)))
    return [text for *_key, text in sorted(found)[:_SHOWN]]


def addresses(table, address):
    """The real servers' addresses in the Table that are most like ``address``, as a list of at most three texts."""
    found = {ident.address for entry in table.values() for ident in entry.servers}
    return sorted(found, key=lambda each: (-_likeness(address, each), each))[:_SHOWN]


def _likeness(one, other):
    return difflib.SequenceMatcher(None, str(one), str(other)).ratio()
