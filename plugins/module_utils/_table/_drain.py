# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waiting until real servers that get no new connections have finished those they have."""

from __future__ import annotations

import time

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _schema
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

DRAINED, GONE, TIMED_OUT, RESTORED = "drained", "gone", "timed out", "restored"
MAX_WAIT = 86400 * 31  # seconds
_INTERVAL = 1.0  # seconds, as default
_PAUSE = 0.05  # seconds between two looks at weights that another program is about to change
_RANGES = {"drain_timeout": (0, MAX_WAIT), "drain_connections": (0, _model.MAX_THRESHOLD), "drain_interval": (0.05, MAX_WAIT)}


def check_numbers(options):
    """Raise OptionError where an option of a drain, among these options, is out of range. None: it was left out."""
    for name, (low, high) in _RANGES.items():
        if options.get(name) is not None and not low <= options[name] <= high:  # nan is not within any range
            raise OptionError(name, options[name], "give a number from %s to %s" % (low, high))


def wait_for_connections(look, reset, limit, timeout, interval, clock=time):
    """Wait until the server has weight 0 and at most ``limit`` active connections, for at most ``timeout`` seconds.

    ``look()``: the server as it now is, (Server, Connections), or None where it has gone; called every ``interval`` seconds.
    ``reset()``: set its weight to 0 again; called once, where somebody else has given it a weight meanwhile. Returns
    (outcome, what was seen last): DRAINED; GONE; TIMED_OUT; RESTORED, where somebody has given it a weight a second time.
    ``clock``: anything with ``monotonic`` and ``sleep``.
    """

    def look_at_all():
        uses = look()
        return {} if uses is None else {None: uses}

    outcome, uses, _places = wait_for_all(look_at_all, lambda places: reset(), limit, timeout, interval, clock)
    return (outcome, uses[None]) if uses else (GONE, None)


def wait_for_all(look, reset, limit, timeout, interval, clock=time):
    """Wait until all of several servers have weight 0 and at most ``limit`` active connections each, at the same look.

    ``look()``: a dict, place -> (Server, Connections), without those that have gone; ``reset(places)``: set the weights of these to
    0 again, called once at most for each place. The rest as in ``wait_for_connections``. Returns (outcome, what was seen last, the
    places that the outcome is about): DRAINED, none; TIMED_OUT, those with connections; RESTORED, those that have been given a
    weight a second time.
    """
    end = clock.monotonic() + timeout
    resets = set()
    while True:
        uses = look()
        weighed = [place for place, (server, _connections) in uses.items() if server.weight]
        if resets.intersection(weighed):
            return RESTORED, uses, [place for place in weighed if place in resets]
        if weighed:
            resets.update(weighed)
            reset(weighed)
            continue
        busy = [place for place, (_server, connections) in uses.items() if connections.active > limit]
        if not busy:
            return DRAINED, uses, []
        left = end - clock.monotonic()
        if left <= 0:
            return TIMED_OUT, uses, busy
        clock.sleep(min(interval, left))


def wait_for_leaving(kernel, servers, timeout, context):
    """Wait for the connections of servers, [(ServiceId, Server)], that are about to be removed. A warning tells of those that are left."""
    idents = list(dict.fromkeys(ident for ident, _server in servers))

    def look():
        uses = kernel.statistics(idents)
        found = [uses[ident][1].get(server.id) for ident, server in servers if ident in uses]
        active = sum(use[0].active for use in found if use)
        return _model.Server(None, weight=0), _schema.Connections(active, 0, 0)

    outcome, uses = wait_for_connections(look, None, 0, timeout, _INTERVAL)
    if outcome == TIMED_OUT:
        context.warn(
            "drain_timeout: %s seconds have passed and the servers that are no longer listed still had %d active connections; "
            "they were removed anyway" % (timeout, uses[1].active)
        )


def wait_for_weights(look, done, timeout, clock=time):
    """Wait until another program has given several servers their weights, for at most ``timeout`` seconds.

    ``look()``: as of ``wait_for_all``; ``done(weight)``: whether it is what is waited for. Returns the places of which it is not.
    """
    end = clock.monotonic() + timeout
    while True:
        left = [place for place, (server, _connections) in look().items() if not done(server.weight)]
        if not left or clock.monotonic() >= end:
            return left
        clock.sleep(_PAUSE)
