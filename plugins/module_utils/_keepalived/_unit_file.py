# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is added to the distribution's unit of keepalived."""

from __future__ import annotations

import os
import re

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration, _ending
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _units

_FOLDERS = ("/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
"""Where systemd looks for units, in its order."""
_START = re.compile(r"^ExecStart=(.+)$", re.MULTILINE)
_KEEP_TABLE = "--dont-release-ipvs"

_RESTART = """\
[Unit]
# The table is restored first: no address answers before it, and a restoring flushes what is there.
After=ipvsadm.service ipvs-table.service

[Service]
Restart=on-failure
RestartSec=1
"""
_KEEP = """\
# keepalived would remove its services before its addresses have gone.
ExecStart=
ExecStart=%s
"""
_RELEASE = """\
# However it ended, the other director may have taken over: two nodes must not hold an address.
"""
_END_SYNC = """\
# A keepalived that was killed leaves its daemon behind, with which the next one, a backup, learns no connections.
ExecStopPost=-ipvsadm --stop-daemon master
ExecStopPost=-ipvsadm --stop-daemon backup
"""
_END_TABLE = """\
# No table that nobody checks gets a new connection.
ExecStopPost=-/bin/sh -c 'if [ "$$SERVICE_RESULT" = success ]; then exec ipvsadm --restore <%s; else exec ipvsadm --restore <%s; fi'
"""


def files(unit, failover, table, pools):
    """[File] for a unit, a Failover, which is None where no addresses move, a Table of whole Entries and their {ServiceId: Pool}.

    The processes of keepalived remove their addresses when they end. Those that are killed cannot.
    """
    text = _configuration.HEADER + _RESTART
    start = _start(unit)
    if table and start:
        text += _KEEP % (start if _KEEP_TABLE in start.split() else "%s %s" % (start, _KEEP_TABLE))
    places = [place for instance in failover.instances for place in instance.places + instance.other_places] if failover else []
    if places:
        text += _RELEASE
    for place in places:
        text += "ExecStopPost=-ip address delete %s/%d dev %s\n" % (place.address, place.prefix_length, place.interface)
    if failover and failover.sync:
        text += _END_SYNC
    if table:
        text += _END_TABLE % (_ending.STOPPED, _ending.FAILED)
    return [_own_files.File(_units.addition(unit), text)] + _ending.files(table, pools)


def no_files(unit):
    """The same Files for a unit that is left to the distribution."""
    return [_own_files.File(_units.addition(unit), None)] + _ending.files({}, {})


def _start(unit):
    """The command line by which the distribution starts keepalived; None where there is no such unit."""
    for folder in _FOLDERS:
        text = _own_files.read(os.path.join(folder, unit)).text
        if text is not None:
            found = _START.findall(text.replace("\\\n", " "))
            return found[-1].strip() if found else None
    return None
