# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which other programs keep virtual services in a network namespace's table. In doubt, a program does.

Sources: ldirectord(8), the flags of kube-router and its interface.
"""

from __future__ import annotations

import os
from typing import List, NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _keepalived_files

_INTERFACES = {"kube-ipvs0": "kube-proxy", "kube-dummy-if": "kube-router"}


def find(netns, proc="/proc"):
    """The owners, as words for the user, such as ``keepalived (virtual servers in /etc/keepalived/keepalived.conf)``."""
    owners = set()
    with _netns.inside(netns):
        with open("/proc/thread-self/net/dev", encoding="utf-8") as devices:
            names = {line.partition(":")[0].strip() for line in devices}
    for interface, program in _INTERFACES.items():
        if interface in names:
            owners.add("%s (interface %s)" % (program, interface))
    here = _own_namespace(netns)
    for process in _processes(proc):
        owner = _owner(process)
        if owner is not None and _namespace(process) in (here, None):
            owners.add(owner)
    return sorted(owners)


def keepalived_services(netns, proc="/proc"):
    """({ServiceId: Service}, [text]): what each keepalived that runs here is configured to keep, and why of some that is not known.

    Cheap where none runs: a look at the name of each process.
    """
    here, found, problems, seen = None, {}, set(), set()
    for process in _processes(proc):
        if not _is_keepalived(process) or tuple(process.words) in seen:
            continue
        here = here or _own_namespace(netns)
        if _namespace(process) not in (here, None):
            continue
        seen.add(tuple(process.words))  # its children have the same
        try:
            found.update(_keepalived_files.services(process.path, process.words))
        except _keepalived_files.Unreadable as error:
            problems.add(str(error))
    return found, sorted(problems)


def _own_namespace(netns):
    with _netns.inside(netns):
        return os.stat("/proc/thread-self/ns/net").st_ino


class _Process(NamedTuple):
    """A process: its directory in /proc, what it calls itself and the name of its program, its command line."""

    path: str
    names: frozenset
    words: List[str]


def _processes(proc):
    for pid in os.listdir(proc):
        path = os.path.join(proc, pid)
        if not pid.isdigit():
            continue
        try:
            with open(path + "/comm", encoding="utf-8", errors="replace") as comm, open(path + "/cmdline", "rb") as cmdline:
                # ldirectord adds to its name what it looks after
                names, words = comm.read().split()[:1], os.fsdecode(cmdline.read()).split("\0")[:-1]
        except OSError:
            continue  # it ended meanwhile
        try:
            program = os.readlink(path + "/exe")
            names.append(os.path.basename(program[: -len(" (deleted)")] if program.endswith(" (deleted)") else program))
        except OSError:
            pass  # it has ended, or isn't ours to look into: then by its name alone
        if words:  # the kernel's own have none
            yield _Process(path, frozenset(names), words)


def _namespace(process):
    """The number of the process's network namespace; None where that can't be told."""
    try:
        return os.stat(process.path + "/ns/net").st_ino
    except OSError:
        return None


def _owner(process):
    """What to say of a process that keeps services, or None."""
    if "ldirectord" in process.names:
        return "ldirectord (running)"
    if "kube-router" in process.names:
        return None if _is_without_service_proxy(process.words) else "kube-router (running, with its service proxy)"
    if _is_keepalived(process):
        try:
            file = _keepalived_files.virtual_servers(process.path, process.words)
        except _keepalived_files.Unreadable as error:
            return "keepalived (running; its configuration can't be read: %s)" % error
        return "keepalived (running, with virtual servers in %s)" % file if file else None
    return None


def _is_keepalived(process):
    return any(name == "keepalived" or name.startswith("keepalived_") for name in process.names)


def _is_without_service_proxy(words):
    values = [word.partition("=")[2] for word in words if word.startswith("--run-service-proxy=")]
    return bool(values) and values[-1].lower() in ("false", "f", "0")
