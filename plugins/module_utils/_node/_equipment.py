# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a node has of the programs and libraries that this collection needs there. Reads, and changes nothing."""

from __future__ import annotations

import importlib.util
import os
import sys

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _firewalld, _kmod, _nftables, _own_files, _programs, _units

RUNNING = "running"
"""In a list of interpreters: the one that runs the module."""
_KEEPALIVED = "/etc/keepalived/keepalived.conf"


def look(interpreters, context):
    """What ipvs_info returns of a node beside its table, as a dict. ``interpreters``: where to look for pyroute2, the first choice first."""
    found = {
        "kernel_module": _kmod.state("ip_vs"),
        "ipvsadm": _programs.find("ipvsadm"),
        "pyroute2_interpreter": next((found for found in (_with_pyroute2(each, context) for each in interpreters) if found), None),
    }
    lacks = [name for name, value in found.items() if value in (None, "missing")]
    keepalived = _keepalived()
    return dict(
        found,
        interpreter=sys.executable,
        nft=_programs.find("nft"),
        firewall=_has_firewall(context),
        keepalived=_programs.find("keepalived"),
        keepalived_managed=keepalived is not None,
        keepalived_checks="\nvirtual_server " in (keepalived or ""),
        keepalived_vrrp="\nvrrp_instance " in (keepalived or ""),
        lacks=lacks,
    )


def _keepalived():
    """The configuration of keepalived, None unless ipvs_keepalived has set it up."""
    if not os.path.exists(_units.addition("keepalived.service")):
        return None
    return _own_files.read(_KEEPALIVED).text or ""


def _has_firewall(context):
    """Whether ipvs_firewall may have something to do or to take away although nothing is asked for."""
    ours = (_nftables.FILE, _units.FOLDER + _nftables.UNIT, _firewalld.RECORD)
    return any(os.path.exists(path) for path in ours) or _firewalld.running(context)


def _with_pyroute2(interpreter, context):
    """The path of the interpreter if it has pyroute2, else None."""
    if interpreter == RUNNING:
        return sys.executable if importlib.util.find_spec("pyroute2") else None
    if not os.access(interpreter, os.X_OK):
        return None
    return interpreter if context.run_command([interpreter, "-c", "import pyroute2"])[0] == 0 else None
