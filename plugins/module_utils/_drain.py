# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until a real server that gets no new connections has finished those it has."""

from __future__ import annotations

import time


def wait_for_connections(kernel, service, server, limit, timeout, interval, clock=time):
    """Wait until the server has at most ``limit`` active connections, for at most ``timeout`` seconds.

    Looks every ``interval`` seconds. Returns (Connections, whether it came down). A server that has gone meanwhile has none:
    (None, True). ``clock``: anything with ``monotonic`` and ``sleep``.
    """
    end = clock.monotonic() + timeout
    while True:
        connections = connections_of(kernel, service, server)
        if connections is None or connections.active <= limit:
            return connections, True
        left = end - clock.monotonic()
        if left <= 0:
            return connections, False
        clock.sleep(min(interval, left))


def connections_of(kernel, service, server):
    """The Connections that a server (ServerId) of a service (ServiceId) has, or None where it isn't there."""
    _counters, servers = kernel.statistics([service]).get(service, (None, {}))
    return servers[server][0] if server in servers else None
