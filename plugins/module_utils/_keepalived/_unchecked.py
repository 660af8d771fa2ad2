# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a director without health checks has of keepalived's servers: the weights that nobody else would give back. Pure."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _keepalived_text, _places


def weights(text):
    """{Place: weight} of the servers that a configuration of keepalived gives any."""
    lines = [_keepalived_text.without_comment(line) for line in text.splitlines()]
    return {
        _places.Place(ident, server): options.weight
        for ident, service in _keepalived_text.services(lines).items()
        for server, options in service.servers.items()
        if options.weight
    }


def split(places, drained):
    """({Place: weight}, {Place: weight}) of the servers that are drained, and of the others. ``drained``: addresses."""
    kept = {place: weight for place, weight in places.items() if place.server.address in drained}
    return kept, {place: weight for place, weight in places.items() if place not in kept}
