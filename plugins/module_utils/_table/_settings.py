# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The connection timeouts and the sync daemons: what they hold, defaults, validation. Pure."""

from __future__ import annotations

from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

DAEMON_ROLES = ("master", "backup")
MAX_TIMEOUT = 86400 * 31  # ipvsadm's limit; the kernel's depends on its HZ


class Timeouts(NamedTuple):
    """Connection timeouts in seconds. None, if desired: keep."""

    tcp: Optional[int] = None
    tcp_fin: Optional[int] = None
    udp: Optional[int] = None


def desired_timeouts(options):
    """The Timeouts that a user's options describe; 0 means keep, as in ipvsadm, and becomes None."""
    for name in Timeouts._fields:
        if options.get(name) is not None:
            _checks.in_range(options[name], 0, MAX_TIMEOUT, name, "a timeout in seconds (0: keep)")
    return Timeouts(*[options.get(name) or None for name in Timeouts._fields])


def overlay_timeouts(desired, current):
    """The Timeouts that result when ``desired`` is put over ``current``."""
    return Timeouts(*[old if new is None else new for new, old in zip(desired, current)])


def created_timeouts(options, path="timeouts"):
    """What desired_timeouts makes of the options, with ``path`` in errors."""
    return _checks.within(path, desired_timeouts, options)


class Daemon(NamedTuple):
    """A sync daemon. ``max_length`` is in bytes of UDP payload; ``multicast_ttl`` in hops."""

    role: str
    interface: Optional[str] = None
    sync_id: Optional[int] = None
    max_length: Optional[int] = None
    multicast_group: Optional[str] = None
    multicast_port: Optional[int] = None
    multicast_ttl: Optional[int] = None


DAEMON_DEFAULTS = Daemon("", None, 0, None, "224.0.0.81", 8848, 1)


def desired_daemon(options):
    """The Daemon that a user's options describe, with None where an option is left out."""
    interface = options.get("interface")
    if interface is not None and not (1 <= len(interface) <= 15 and interface.isascii() and "/" not in interface):
        raise OptionError("interface", interface, "give the name of a network interface, at most 15 characters")
    for name, low, high, what in (
        ("sync_id", 0, 255, "a sync ID"),
        ("max_length", 1, 65535 - 28, "a length in bytes"),
        ("multicast_port", 1, _literals.MAX_PORT, "a port"),
        ("multicast_ttl", 1, 255, "a number of hops"),
    ):
        if options.get(name) is not None:
            _checks.in_range(options[name], low, high, name, what)
    group = options.get("multicast_group")
    if group is not None:
        group = _literals.normal_address(group, "multicast_group")
        if not (group.startswith("ff") if ":" in group else 224 <= int(group.split(".", 1)[0]) <= 239):
            raise OptionError("multicast_group", group, "give a multicast address, such as 224.0.0.81 or ff02::81")
    fields = [options.get(name) for name in Daemon._fields[1:4]]
    return Daemon(options["role"], *(fields + [group, options.get("multicast_port"), options.get("multicast_ttl")]))


def overlay_daemon(desired, current=None):
    """The Daemon that results when ``desired`` is put over ``current``, or is started when there is none.

    ``max_length`` comes out as the kernel clamps it (start_sync_thread in ip_vs_sync.c); None: the kernel's choice by MTU.
    """
    base = current or DAEMON_DEFAULTS
    merged = Daemon(*[old if new is None else new for new, old in zip(desired, base)])
    if merged.interface is None:
        raise OptionError("interface", None, "no %s sync daemon runs: set interface to start one" % desired.role)
    if merged.max_length is not None:
        headers = 48 if ":" in merged.multicast_group else 28
        shortest = 1024 if merged.role == "backup" else 1
        merged = merged._replace(max_length=max(shortest, min(merged.max_length, 65535 - headers)))
    return merged


def created_daemons(daemons, path="sync_daemons"):
    """The whole Daemons that a list of options starts where none runs. Two of one role are an OptionError."""
    created = {}
    for index, options in enumerate(daemons):
        where = "%s[%d]" % (path, index)
        daemon = overlay_daemon(_checks.within(where, desired_daemon, options))
        if daemon.role in created:
            raise OptionError(where + ".role", daemon.role, "there is one sync daemon of each role")
        created[daemon.role] = daemon
    return list(created.values())
