# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is master: waiting until it is decided on this node, and leaving it to another."""

from __future__ import annotations

import re
import time

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _failover, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

MASTER, BACKUP = "master", "backup"
_PAUSE = 0.2  # seconds between two questions, each of which keepalived logs
_MARGIN = 2.0  # seconds, beside the adverts that a master has to miss before it counts as dead
_LEAVING = 3.0  # seconds that another director has to take over
_HANDOVER_FILE = re.compile(r"^track_file %s \{\n    file (\S+)$" % _failover.HANDOVER, re.MULTILINE)


def places(failover):
    """[Place] of all instances."""
    return [place for instance in failover.instances for place in instance.places + instance.other_places]


def decided(failover, processes, begins):
    """Whether this director is the master, once it is decided. ``begins``: whether VRRP has just been started. Raises IpvsError for a fault."""
    interval = max(instance.advert_interval for instance in failover.instances)
    start = time.monotonic()
    silence = start + (3 * interval + 1 + _MARGIN if begins else 0)
    end = start + 3 * interval + 1 + _MARGIN
    while True:
        instances = _state.instances(_daemon.vrrp_data(processes))
        states = {instance.state for instance in instances}
        if states == {MASTER}:
            return True
        now = time.monotonic()
        if states == {BACKUP} and now >= silence:
            return False
        if now >= end:
            said = ", ".join("%s on %s is in state %s" % (each.name, each.interface, each.state) for each in instances)
            raise IpvsError("VRRP does not work: %s; is the interface up, and has it an address of the peers' family?" % (said or "no instance"))
        time.sleep(_PAUSE)


def takes_part(processes):
    """Whether processes, which may be None, take part in any. A process for VRRP stays when its last instance has gone."""
    return bool(processes and processes.vrrp) and bool(_state.instances(_daemon.vrrp_data(processes)))


def begins_anew(failover, processes):
    """Whether an instance of processes, which take part, is not one of the Failover: it ends, and another has to become master first."""
    found = {(each.interface, each.router_id) for each in _state.instances(_daemon.vrrp_data(processes))}
    return found != {(each.interface, each.router_id) for each in failover.instances}


def is_faulty(processes):
    """Whether an instance of processes, which may be None, is in a fault."""
    return bool(processes and processes.vrrp) and any(each.state == "fault" for each in _state.instances(_daemon.vrrp_data(processes)))


def handover_file(text):
    """The path of the file by which a director is handed over, in the text of a configuration; None where there is none."""
    found = _HANDOVER_FILE.search(text or "")
    return found and found.group(1)


def hand_over(path, processes):
    """Have another director take over if there is one. ``path``: of the file by which that is done."""
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(_failover.LOWERED)
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error
    end = time.monotonic() + _LEAVING
    while time.monotonic() < end and any(each.state == MASTER for each in _state.instances(_daemon.vrrp_data(processes))):
        time.sleep(_PAUSE)
