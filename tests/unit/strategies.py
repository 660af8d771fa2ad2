# SPDX-License-Identifier: GPL-3.0-or-later
"""Random tables of few services, so that two of them have much in common, and desired ones that omit options."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from tests import rule_tables

few = settings(max_examples=25)
"""For tests that draw whole tables, which takes a while."""

service_ids = st.sampled_from(
    [
        _model.ServiceId(_literals.IPV4, _model.PROTOCOLS["tcp"], "203.0.113.80", 80, 0),
        _model.ServiceId(_literals.IPV4, _model.PROTOCOLS["udp"], "203.0.113.80", 80, 0),
        _model.ServiceId(_literals.IPV6, _model.PROTOCOLS["sctp"], "2001:db8::80", 443, 0),
        _model.ServiceId(_literals.IPV4, 0, "", 0, 7),
        _model.ServiceId(_literals.IPV6, 0, "", 0, 7),
    ]
)
services = service_ids.flatmap(rule_tables.services)
entries = service_ids.flatmap(rule_tables.entries)
tables = st.lists(entries, max_size=3).map(lambda found: {entry.service.id: entry for entry in found})


def all_desired(whole):
    """Objects like ``whole``, a Service or a Server, with some of the fields None: leave them alone."""
    return st.sets(st.sampled_from(whole._fields[1:])).map(lambda left_out: whole._replace(**{name: None for name in left_out}))


def as_desired(table):
    """The Table as a user would ask for it, who doesn't speak of a tunnel where there is none."""
    nothing = {"tunnel_type": None, "tunnel_port": None, "tunnel_checksum": None}
    return {
        ident: entry._replace(
            servers={each: server if server.forward_method == "tun" else server._replace(**nothing) for each, server in entry.servers.items()}
        )
        for ident, entry in table.items()
    }
