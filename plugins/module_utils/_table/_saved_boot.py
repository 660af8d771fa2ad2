# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has a node restore the saved table at boot, and only then: files for a Place of ``_saved``. Pure.

The distribution's services flush the table before they restore it, and when they stop. Guarded, they leave a table in use alone, so that
neither a restart by hand nor the upgrade of a package ends connections.
"""

from __future__ import annotations

import re

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _saved

_MARK = _saved.MARK + "; changes are overwritten.\n"
_AFTER_NETWORK = """\
# The interface of a sync daemon has to be there.
Wants=network-online.target
After=network-online.target"""
_UNLESS_IN_USE = """ExecCondition=/bin/sh -c "! grep -q '^[TUSF]' /proc/net/ip_vs"\n"""
_RESTORE = """\
# ipvsadm fails at comments.
ExecStart=/bin/sh -c "grep -v '^#' %s | ipvsadm -R"
"""
_AUTO = re.compile(r"^AUTO=.*$", re.MULTILINE)
_AUTO_ON = re.compile(r"AUTO=([\"']?)true\1\s*(#.*)?\Z")


def unit_file(place, wanted=True):
    """The File of systemd for a Place: the unit of ours, or what guards the distribution's. Without text where it is not ``wanted``."""
    if place.own:
        return _own_files.File(_units.FOLDER + place.unit, _own_unit(place.path) if wanted else None)
    return _own_files.File(_units.addition(place.unit), _guard(place) if wanted else None)


def _own_unit(path):
    return (
        _MARK
        + "[Unit]\nDescription=Table of this IPVS director\n"
        + _AFTER_NETWORK
        + " systemd-modules-load.service systemd-sysctl.service\n\n[Service]\nType=oneshot\nRemainAfterExit=yes\n"
        + "# Never on a table in use.\n"
        + _UNLESS_IN_USE
        + _RESTORE % path
        + "\n[Install]\nWantedBy=multi-user.target\n"
    )


def _guard(place):
    text = _MARK + "[Unit]\n" + _AFTER_NETWORK + "\n\n[Service]\n"
    text += "# This service flushes the table when it stops and before it restores. That is for the boot: a table in use is left alone.\n"
    text += _UNLESS_IN_USE + "ExecStop=\nExecStopPost=\n"
    if not place.settings:  # what reads these leaves comments out by itself
        text += "ExecStart=\n" + _RESTORE % place.path
    return text


def is_on(text):
    """Whether the settings of the distribution's service (None where there are none) have it restore the table."""
    lines = _AUTO.findall(text or "")
    return bool(lines) and _AUTO_ON.match(lines[-1]) is not None


def switched(found, on):
    """The File with the settings of the distribution's service, switched on or off; the rest of it stays."""
    text = found.text or ""
    if is_on(found.text) == on:
        return found
    line = 'AUTO="%s"' % ("true" if on else "false")
    lines = text.splitlines(True)
    places = [index for index, each in enumerate(lines) if _AUTO.match(each)]
    if places:
        lines[places[-1]] = line + "\n"
    else:
        lines.append(("\n" if text and not text.endswith("\n") else "") + line + "\n")
    if found.text is None:
        return _own_files.File(found.path, "".join(lines))
    return found._replace(text="".join(lines))


def emptied(place):
    """The File of rules of a Place, as it is where nothing is to be restored."""
    if place.own:
        return _own_files.File(place.path, None)
    return _own_files.File(place.path, "# ipvsadm.rules\n" if place.settings else "", _saved.MODE)
