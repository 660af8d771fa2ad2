# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is added to the distribution's unit of keepalived."""

from __future__ import annotations

import glob
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
[Service]
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
    places = [place for instance in failover.instances for place in instance.places + instance.other_places] if failover else []
    if places:
        text += _RELEASE
    for place in places:
        text += "ExecStopPost=-ip address delete %s/%d dev %s\n" % (place.address, place.prefix_length, place.interface)
    if failover and failover.sync:
        text += _END_SYNC
    if table:
        text += _END_TABLE % (_ending.STOPPED, _ending.FAILED)
    start = _start(unit) if table else None
    if start:
        start = _configuration.HEADER + _KEEP % (start if _KEEP_TABLE in start.split() else "%s %s" % (start, _KEEP_TABLE))
    return [_own_files.File(_units.addition(unit), text), _own_files.File(_last_addition(unit), start)] + _ending.files(table, pools)


def no_files(unit):
    """The same Files for a unit that is left to the distribution."""
    return [_own_files.File(path, None) for path in (_units.addition(unit), _last_addition(unit))] + _ending.files({}, {})


def _last_addition(unit):
    """The path of what comes after an administrator's own additions: the command line, which completes theirs. In all else they have the last word."""
    return os.path.join(os.path.dirname(_units.addition(unit)), "zz-" + os.path.basename(_units.addition(unit)))


def _start(unit):
    """The command line by which the distribution, or the administrator, starts keepalived; None where there is no such unit."""
    paths = [path for path in (os.path.join(folder, unit) for folder in _FOLDERS) if os.path.exists(path)][:1]
    additions = {}
    for folder in reversed(_FOLDERS):  # of those with one name the first folder's counts
        for path in glob.glob(os.path.join(glob.escape(folder), unit + ".d", "*.conf")):
            additions[os.path.basename(path)] = path
    additions.pop(os.path.basename(_last_addition(unit)), None)
    paths += [additions[name] for name in sorted(additions)]
    found = [start for path in paths for start in _START.findall((_own_files.read(path).text or "").replace("\\\n", " "))]
    return found[-1].strip() if found else None
