# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The places that a real server has in a table, and what takes it out of all of them and back. Pure: no I/O."""

from __future__ import annotations

from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan


class Place(NamedTuple):
    """A real server in one of its services."""

    service: _model.ServiceId
    server: _model.ServerId

    def __str__(self):
        return "%s of %s" % (self.server, self.service)


def find(table, addresses):
    """[Place] of every server in the Table that has one of these addresses (a set)."""
    return [Place(service, server) for service, entry in table.items() for server in entry.servers if server.address in addresses]


def order(place):
    """Sorting key of places: by service, then by server."""
    return _model.service_order(place.service), _model.server_order(place.server)


def weights(table, places, recorded):
    """{Place: the weight to put back}. A weight of 0 may be a former drain's doing: then the weight that was recorded counts."""
    found = {}
    for place in places:
        weight = table[place.service].servers[place.server].weight
        found[place] = weight or recorded.get(place, 0)
    return found


def bereft(table, addresses):
    """[ServiceId] of the services that would have no server left to send a connection to, were these addresses taken out.

    A server whose weight is 0 already takes nothing away when it goes.
    """
    found = []
    for service, entry in table.items():
        working = {server.id.address for server in entry.servers.values() if server.weight}
        if working and working <= addresses:
            found.append(service)
    return sorted(found, key=_model.service_order)


def plan(table, wanted):
    """The Plan that gives these places their weights. ``wanted``: {Place: weight}, of places that are there.

    ``before`` and ``after`` hold these servers alone. Nothing but the weight changes, so nothing else is held to any rule: a server
    that another program has made in a way that we would not make can be drained like any other.
    """
    operations, before, after = [], {}, {}
    for place in sorted(wanted, key=order):
        service, old = table[place.service].service, table[place.service].servers[place.server]
        new = old._replace(weight=wanted[place])
        before.setdefault(place.service, _model.Entry(service, {})).servers[place.server] = old
        after.setdefault(place.service, _model.Entry(service, {})).servers[place.server] = new
        if new != old:
            operations.append(_plan.Operation(_plan.EDIT_SERVER, place.service, old, new))
    return _plan.Plan(tuple(operations), before, after)


def returning(table, recorded):
    """{Place: weight to have} of the recorded places that are there: the recorded weight where it is still 0. Who took a place away
    meanwhile, or gave it a weight, meant it."""
    found = {}
    for place, weight in recorded.items():
        if place.service in table and place.server in table[place.service].servers:
            found[place] = table[place.service].servers[place.server].weight or weight
    return found


def options(place):
    """A Place as options: those of ipvs_server that name it."""
    named = {"service_" + name: value for name, value in _model.id_options(place.service).items()}
    return dict(named, address=place.server.address, port=place.server.port)


def from_options(named):
    """The Place that such options name. Raises OptionError."""
    service = _model.service_id({name[len("service_") :]: value for name, value in named.items() if name.startswith("service_")}, "service_")
    return Place(service, _model.server_id(named, service))
