# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Virtual addresses that stay on a node while VRRP begins to move them, and when it ends.

keepalived takes its addresses off their interfaces when it starts and when it ends, and puts them up once it is master: seconds later, in
which connections would be refused. Meanwhile the node has each on lo as well, so that it goes on taking packets for it, and on its
interface again as soon as it is gone, so that neighbors find it. The kernel removes what is on lo soon after a task that was killed.
"""

from __future__ import annotations

import threading
import time

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _network, _network_lines
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_PAUSE = 0.03  # seconds that an address may be gone from its interface
_LOAN, _RENEWAL = 60, 10  # seconds: for how long an address is on lo, and after how many it is there for as long again


class Held:
    """Those of ``addresses``, a set, that this node has. A context manager; without addresses it does nothing."""

    def __init__(self, addresses):
        self._addresses = addresses
        self._lines, self._copies = [], []
        self._over, self._keeper = threading.Event(), None

    def __enter__(self):
        if self._addresses:
            with _Node() as node:
                local = [each for each in node.addresses() if each.address in self._addresses]
                on_loopback = {each.address for each in local if each.interface == "lo"}
                self._lines = _lines(each for each in local if each.interface != "lo")
                alone = {each.address: each for each in local if each.address not in on_loopback}
                self._copies = _lines(each._replace(prefix_length=128 if ":" in each.address else 32, interface="lo") for each in alone.values())
                _check(node.lend(self._copies, _LOAN))
        if self._lines:
            self._keeper = threading.Thread(target=self._keep, daemon=True)
            self._keeper.start()
        return self

    def __exit__(self, *exc_info):
        """The addresses are where they were."""
        self._end()
        with _Node() as node:
            _check(node.change(_missing(self._lines, node), True) + node.change(self._copies, False))

    def __bool__(self):
        return bool(self._lines)

    def hand_over(self, places):
        """From now on they are VRRP's. ``places``: those that it has put up here; others leave the node."""
        self._end()
        kept = {"address %s" % str(place) for place in places}
        with _Node() as node:
            _check(node.change([line for line in self._lines if _network_lines.identity(line) not in kept], False))
        self._lines = []

    def _end(self):
        self._over.set()
        if self._keeper:
            self._keeper.join()

    def _keep(self):
        renewal = time.monotonic() + _RENEWAL
        with _Node() as node:
            while not self._over.wait(_PAUSE):
                node.change(_missing(self._lines, node), True)  # what goes wrong here goes wrong at the end, too
                if time.monotonic() >= renewal:
                    node.lend(self._copies, _LOAN, again=True)
                    renewal = time.monotonic() + _RENEWAL


class _Node:
    """A _network.Node that is closed at the end."""

    def __enter__(self):
        self._node = _boot.new_node()
        return self._node

    def __exit__(self, *exc_info):
        self._node.close()


def _missing(lines, node):
    return _network.missing(lines, node.there(lines))


def _lines(addresses):
    return _network_lines.parse("".join("address %s/%d dev %s\n" % each[:3] for each in addresses))


def _check(failures):
    if failures:
        raise IpvsError("; ".join("%s: %s" % (failure.line.text, failure.reason) for failure in failures))
