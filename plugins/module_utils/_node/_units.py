# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Units of systemd: whether they are enabled and active, and having them so.

In an image build systemd does not run: units are enabled there, and started by the boot.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

FOLDER = "/etc/systemd/system/"
_JOURNAL_LINES = 10


class Unit(NamedTuple):
    """``there``: whether systemd knows it; ``enabled``: whether the boot starts it; ``active``: whether it is up, or has been run."""

    name: str
    there: bool
    enabled: bool
    active: bool


def addition(unit):
    """The path of what this collection adds to a unit of somebody else."""
    return FOLDER + "%s.d/ipvs-director.conf" % unit


def running():
    """Whether this machine was booted by systemd."""
    return os.path.isdir("/run/systemd/system")


def state(name, context):
    """The Unit of this name."""
    enabled = context.run_command(["systemctl", "is-enabled", name])[1].strip()
    active = running() and is_active(name, context)
    there = bool(enabled) and enabled != "not-found"
    if enabled.startswith("masked"):
        raise IpvsError("%s is masked, but it is needed at boot: run systemctl unmask %s" % (name, name))
    return Unit(name, there, enabled in ("enabled", "enabled-runtime", "static", "generated", "alias", "indirect"), active)


def is_active(name, context):
    """Whether the unit is up; one that is not there, or masked, is not."""
    return context.run_command(["systemctl", "is-active", name])[0] == 0


def restart(name, context):
    """Stop it and start it again. Raises IpvsError with the end of its journal."""
    _systemctl(["restart", name], context, journal=name)


def enable(name, context):
    """Have the boot start it. A file of it that has changed is read again."""
    reload_manager(context)
    _systemctl(["enable", name], context)


def disable(name, context):
    """Have no boot start it. It is not stopped."""
    _systemctl(["disable", name], context)


def start(name, context):
    """Start it, or where it is active have it take up what has changed. Raises IpvsError with the end of its journal."""
    if running():
        _systemctl(["reload-or-restart", name], context, journal=name)


def halt(name, context):
    """Stop it. The boot starts it as before."""
    if running():
        _systemctl(["stop", name], context, journal=name)


def announce_halt(name, context):
    """Tell systemd that its process is about to end, as if somebody had stopped it: no Restart= starts it again then."""
    if running():
        _systemctl(["stop", "--no-block", name], context)


def stop(name, context):
    """Stop it, and have no boot start it."""
    halt(name, context)
    disable(name, context)


def reload_manager(context):
    """Have systemd read the files of its units again."""
    if running():
        _systemctl(["daemon-reload"], context)


def _systemctl(words, context, journal=None):
    status, _output, errors = context.run_command(["systemctl"] + words)
    if status == 0:
        return
    reason = " / ".join(_journal(journal, context)) if journal else " ".join(errors.split())
    raise IpvsError("systemctl %s failed: %s" % (" ".join(words), reason or "exit status %d" % status))


def _journal(name, context):
    """The last different lines of the unit's journal."""
    command = ["journalctl", "--boot", "--output=cat", "--lines=%d" % _JOURNAL_LINES, "--unit=" + name]
    return list(dict.fromkeys(line.strip() for line in context.run_command(command)[1].splitlines() if line.strip()))
