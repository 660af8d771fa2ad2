# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until a real server that gets no new connections has finished those it has."""

from __future__ import annotations

import time

DRAINED, GONE, TIMED_OUT, RESTORED = "drained", "gone", "timed out", "restored"


def wait_for_connections(look, reset, limit, timeout, interval, clock=time):
    """Wait until the server has weight 0 and at most ``limit`` active connections, for at most ``timeout`` seconds.

    ``look()``: the server as it now is, (Server, Connections), or None where it has gone; called every ``interval`` seconds.
    ``reset()``: set its weight to 0 again; called once, where somebody else has given it a weight meanwhile. Returns
    (outcome, what was seen last): DRAINED; GONE; TIMED_OUT; RESTORED, where somebody has given it a weight a second time.
    ``clock``: anything with ``monotonic`` and ``sleep``.
    """
    end = clock.monotonic() + timeout
    resets = 0
    while True:
        seen = look()
        if seen is None:
            return GONE, None
        server, connections = seen
        if server.weight:
            if resets:
                return RESTORED, seen
            resets += 1
            reset()
            continue
        if connections.active <= limit:
            return DRAINED, seen
        left = end - clock.monotonic()
        if left <= 0:
            return TIMED_OUT, seen
        clock.sleep(min(interval, left))
