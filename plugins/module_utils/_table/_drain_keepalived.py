# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a drain leaves to keepalived: the real servers whose weights it takes from files. Any other weight it would put back."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _owners

PATIENCE = 30.0
"""Seconds that it has to take all of a weight away. It takes some hundredths of one; a reload of thousands of services takes some."""
RETURN_PATIENCE = 2.0
"""Seconds that it has to give a weight back. Afterwards it is the server's check that keeps it out."""


class Keepalived:
    """``was``, ``drained``: {address: whether its file drains it}, of the files there are, at first and now; in check mode, as if."""

    def __init__(self, netns, context):
        self.netns, self.context = netns, context
        self.was = self.drained = {}
        self._services = None

    def read(self, first=False):
        """Look at the files, while other drains are kept away. ``first``: before anything has changed."""
        self.drained = {address: each.since is not None for address, each in _drain_files.read().items()}
        if first:
            self.was = dict(self.drained)

    def weights(self, places):
        """{Place: the weight that keepalived is configured to give it} of those places that it takes out by a file."""
        found = {}
        for place in places:
            service = self._known().get(place.service) if place.server.address in self.drained else None
            server = service.servers.get(place.server) if service else None
            if server and server.has_file:
                found[place] = server.weight
        return found

    def _known(self):
        if self._services is None:
            self._services, problems = _owners.keepalived_services(self.netns)
            for problem in problems:
                self.context.warn("keepalived runs, and its configuration can't be read, so its services are drained as if keepalived did not run: " + problem)
        return self._services

    def set(self, addresses, drained):
        """Write the files of these addresses that there are, as far as they say something else."""
        for address in sorted(addresses.intersection(self.drained)):
            if self.drained[address] != drained:
                if not self.context.check_mode:
                    _drain_files.write(address, drained)
                self.drained[address] = drained

    @property
    def commands(self):
        """What was written, as command lines."""
        return [
            "echo %s > %s" % (_drain_files.text(drained).strip(), _drain_files.path(address))
            for address, drained in sorted(self.drained.items())
            if self.was.get(address) != drained
        ]

    @staticmethod
    def text(drained):
        """The lines of a before or after."""
        return "".join("# %s: %s" % (_drain_files.path(address), _drain_files.text(True)) for address in sorted(drained) if drained[address])
