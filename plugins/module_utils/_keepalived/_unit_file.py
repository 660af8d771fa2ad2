# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is added to the distribution's unit of keepalived. Pure."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _units

_RESTART = """\
[Unit]
# The table is restored first: no address answers before it, and a restoring flushes what is there.
After=ipvsadm.service ipvs-table.service

[Service]
Restart=on-failure
RestartSec=1
"""
_RELEASE = """\
# However it ended, the other director may have taken over: two nodes must not hold an address.
"""


def addition(unit, failover):
    """The File for a unit and a Failover, which is None where no addresses move.

    The processes of keepalived remove their addresses when they end. Those that are killed cannot.
    """
    text = _configuration.HEADER + _RESTART
    places = [place for instance in failover.instances for place in instance.places + instance.other_places] if failover else []
    if places:
        text += _RELEASE
    for place in places:
        text += "ExecStopPost=-ip address delete %s/%d dev %s\n" % (place.address, place.prefix_length, place.interface)
    return _own_files.File(_units.addition(unit), text)


def no_addition(unit):
    """The File of a unit that is left to the distribution."""
    return _own_files.File(_units.addition(unit), None)
