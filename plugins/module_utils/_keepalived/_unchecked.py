# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a director without health checks has of keepalived's servers: the weights that nobody else would give back. Pure."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _keepalived_text, _places


def remains(text, listed=None):
    """([ServiceId], {Place: weight}): the services of a configuration of keepalived that are not listed, and the weights of the others' servers.

    ``listed``: a Table, or None where all of them stay. A server without a weight is left out.
    """
    services = _keepalived_text.services([_keepalived_text.without_comment(line) for line in text.splitlines()])
    gone = [ident for ident in services if listed is not None and ident not in listed]
    weights = {
        _places.Place(ident, server): options.weight
        for ident, service in services.items()
        if ident not in gone
        for server, options in service.servers.items()
        if options.weight
    }
    return gone, weights


def split(places, drained):
    """({Place: weight}, {Place: weight}) of the servers that are drained, and of the others. ``drained``: addresses."""
    kept = {place: weight for place, weight in places.items() if place.server.address in drained}
    return kept, {place: weight for place, weight in places.items() if place not in kept}
