# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_handover does: options in, Answer out.

keepalived watches the handover file, and adds its content, times ``HANDOVER_WEIGHT``, to the priority of every instance. The file stays as it
is through reloads and reboots.
"""

from __future__ import annotations

import time

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _failover, _info_task, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_PAUSE = 0.25  # seconds between two questions, each of which keepalived logs
_GRACE = 30.0  # seconds beside the preempt delay
_CONTENT = {"lowered": _failover.LOWERED, "restored": _failover.RESTORED}


def manage_handover(options, context):
    """The priority of this director lowered or restored, and VRRP in the state that is waited for."""
    if options["timeout"] is not None:
        _checks.in_range(options["timeout"], 0, 86400, "timeout", "a number of seconds")
    vrrp = _vrrp(context)
    file = _info_task.handover_file(vrrp)
    if file is None:
        raise IpvsError(
            "keepalived has no handover file, so its priority cannot be lowered: give failover.handover_file to ipvs_keepalived, and leave "
            "failover.preempt true"
        )
    lowered = options["state"] == "lowered"
    changed = (file.content > 0) != lowered
    started = time.monotonic()
    if not context.check_mode:
        vrrp = _carry_out(options, file, changed, vrrp, context)
    values = _info_task.vrrp_values(_state.instances(vrrp), _info_task.handover_file(vrrp))
    values["seconds"] = round(time.monotonic() - started, 1)
    before, after = (_shown(file.path, each) for each in (file.content > 0, lowered))
    return Answer(changed, values, before, after)


def _vrrp(context):
    """What the VRRP process tells. Raises IpvsError where there is none."""
    processes = _daemon.find(None, context)
    if not processes or not processes.vrrp:
        state = "has no VRRP instance" if processes else "does not run"
        raise IpvsError("keepalived %s on this director, so there is nothing to hand over" % state)
    return _daemon.vrrp_data(processes)


def _carry_out(options, file, changed, vrrp, context):
    """Write the file and wait. Returns what the VRRP process tells then. Raises IpvsError after the file is as it was."""
    former = _own_files.read(file.path)
    try:
        if changed:
            context.write_file(file.path, _CONTENT[options["state"]])
        if changed or options["wait_for"]:
            return _settled(options, _patience(options, vrrp), context)
        return vrrp
    except Exception as error:  # pylint: disable=broad-except
        if not changed:
            raise
        text = str(error) if isinstance(error, IpvsError) else "%s: %s" % (type(error).__name__, error)
        try:
            context.write_file(file.path, former.text or _CONTENT["restored"])
        except Exception as trouble:  # pylint: disable=broad-except
            raise IpvsError("%s. Putting %s back failed: %s" % (text, file.path, trouble), changed=True) from error
        raise IpvsError("%s. %s is as it was before." % (text, file.path)) from error


def _patience(options, vrrp):
    """The seconds to wait: whoever takes over waits for its preempt delay first, and that is the same on all directors."""
    if options["timeout"] is not None:
        return options["timeout"]
    return _GRACE + max([each.preempt_delay or 0 for each in _state.instances(vrrp)] or [0])


def _settled(options, patience, context):
    """What the VRRP process tells once it works by the file and is in the wanted state. Raises IpvsError where that takes too long."""
    end = time.monotonic() + patience
    while True:
        vrrp = _vrrp(context)
        file, instances = _info_task.handover_file(vrrp), _state.instances(vrrp)
        if file and (file.content > 0) == (options["state"] == "lowered") and _is_in(options["wait_for"], instances):
            return vrrp
        if time.monotonic() > end:
            states = ", ".join("%s is %s" % (each.name, each.state) for each in instances)
            raise IpvsError("this director has not become %s within %g seconds: %s" % (options["wait_for"] or options["state"], patience, states))
        time.sleep(_PAUSE)


def _is_in(state, instances):
    """Whether every instance is in this state, with its addresses present as master and gone as backup. ``state``: None for any."""
    if state is None:
        return True
    there = [each.state == state for each in instances]
    return all(there + [place.present == (state == "master") for each in instances for place in each.places])


def _shown(path, lowered):
    return "%s: %s" % (path, _CONTENT["lowered" if lowered else "restored"])
