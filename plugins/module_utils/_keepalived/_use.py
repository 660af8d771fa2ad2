# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Having keepalived work by a configuration, all or nothing, and having it give up without the table."""

from __future__ import annotations

import contextlib
import os
from typing import Any, Dict, FrozenSet, List, NamedTuple, Optional, Set

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _alignment, _daemon, _election, _failover, _held, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _plan, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_PAUSE = 0.5  # seconds between two questions, each of which keepalived logs
_TRIES = 20


class Desired(NamedTuple):
    """``name``: by which the running processes tell their configuration; ``table``: of whole Entries, those that are checked; ``failover``:
    of VRRP, or None; ``unit``: of systemd; ``kept``: addresses that stay on this node when VRRP ends; ``guarded``: ServiceIds of which not
    all that fails is out."""

    name: str
    table: Dict[Any, Any]
    failover: Optional[_failover.Failover]
    unit: str
    kept: FrozenSet[str] = frozenset()
    guarded: FrozenSet[Any] = frozenset()

    @property
    def vrrp(self):
        return self.failover is not None


class Work(NamedTuple):
    """What was found, as far as something is to be done about it.

    ``files``: [Change]; ``drain_files``, ``folders``: those to make; ``unused_drain_files``: those to remove; ``enable``: whether the unit is
    to be enabled; ``processes``: of the keepalived that runs, or None; ``names``: those of the configurations that they work by.
    """

    files: List[_own_files.Change]
    drain_files: List[str]
    unused_drain_files: List[str]
    folders: List[str]
    enable: bool
    processes: Optional[_daemon.Processes]
    names: Set[str]


def differences(desired, work):
    """What is not as it should be, one text each; without the table."""
    texts = _own_files.differences(work.files)
    texts += ["%s is missing" % path for path in work.drain_files + work.folders]
    texts += ["%s is of no use any more" % path for path in work.unused_drain_files]
    if work.enable:
        texts.append("%s is not enabled" % desired.unit)
    if work.processes is None:
        if _units.running():
            texts.append("keepalived does not run")
    elif work.names != {desired.name}:
        texts.append("keepalived works by another configuration")
    return texts


def carry_out(desired, work, context):
    """Do it, unless it is a check. Returns what else was not right, in the table, as ipvsadm command lines.

    Raises IpvsError where keepalived does not work by the new configuration, after the former one is back.
    """
    if context.check_mode:
        return _align(desired, work.processes, context) if work.names == {desired.name} else []
    with _held.Held(_held_addresses(desired, work.processes)) as held:
        commands = _work(desired, work, held, context)
    _drain_files.remove(work.unused_drain_files)
    return commands


def _held_addresses(desired, processes):
    """Those that stay while VRRP begins or ends, a set. With another virtual router ID or interface it begins anew."""
    runs = _election.takes_part(processes)
    if not desired.vrrp:
        return set(desired.kept) if runs else set()
    begins = _election.begins_anew(desired.failover, processes) if runs else processes or _units.running()
    return {place.address for place in _election.places(desired.failover)} if begins else set()


def _work(desired, work, held, context):
    started = False
    # A configuration is not to blame for a fault that was there before.
    was_faulty = desired.vrrp and not held and _election.is_faulty(work.processes)
    try:
        for folder in work.folders:
            os.makedirs(folder, mode=0o755, exist_ok=True)
        _drain_files.make(work.drain_files, _drain_files.recorded() if work.drain_files else ())
        _own_files.write(work.files, context)
        _read_units(work.files, desired, context)
        if work.enable:
            _units.enable(desired.unit, context)
        processes = work.processes
        if processes and work.names != {desired.name}:
            processes = _reload(desired, processes, context)
        elif not processes and _units.running():
            started = True
            processes = _start(desired, context)
        commands = _align(desired, processes, context) if processes else []
        if processes and desired.vrrp and not was_faulty:
            is_master = _election.decided(desired.failover, processes, begins=bool(held) or started)
            held.hand_over(_election.places(desired.failover) if is_master else ())
    except Exception as error:  # pylint: disable=broad-except
        raise _undone(error, desired, work, started, context) from error
    if was_faulty:
        _election.decided(desired.failover, processes, begins=False)
    return commands


def _read_units(changes, desired, context):
    if any(change.wanted.path.startswith(_units.FOLDER) for change in changes):
        _units.reload_manager(context)


def _reload(desired, before, context):
    processes = _daemon.reload(None, context, desired.name, bool(desired.table), desired.vrrp)
    for name, old, new in zip(before._fields, before, processes):
        if old and new and old != new:
            raise IpvsError("the %s process of keepalived (%d) ended when it took up its configuration: journalctl -u %s" % (name, old, desired.unit))
    return processes


def _start(desired, context):
    """Start the unit, and wait until every check has had a result."""
    _units.start(desired.unit, context)
    if not _comes_to(lambda processes: _is_whole(desired, processes), context):
        raise IpvsError("keepalived was started and does not use its configuration: journalctl -u %s" % desired.unit)
    unchecked = _wait_for_checks(context)
    if unchecked:
        context.warn(
            "servers whose check has had no result yet: %d, and none came within %d seconds; they get no connections until one passes"
            % (unchecked, _daemon.PATIENCE)
        )
    return _daemon.find(None, context)


def _comes_to(reached, context):
    """Whether there are Processes of which this holds, within a while."""
    wait = _daemon.Wait(_PAUSE)
    while True:
        processes = _daemon.find(None, context)
        if processes and reached(processes):
            return True
        if wait.is_over(processes or ()):
            return False
        wait.pause()


def _wait_for_checks(context):
    """Wait as long as more and more servers have been checked. Returns how many have not."""
    wait, least = _daemon.Wait(_PAUSE), None
    while True:
        unchecked = _unchecked(_daemon.find(None, context))
        if least is None or unchecked < least:
            least = unchecked
            wait.has_moved()
        if not unchecked or wait.is_over(()):
            return unchecked
        wait.pause()


def _is_whole(desired, processes):
    there = bool(processes.checker) >= bool(desired.table) and bool(processes.vrrp) >= desired.vrrp
    return there and _daemon.works_by(processes) == {desired.name}


def _unchecked(processes):
    """The number of servers that no check has had a result of."""
    if not (processes and processes.checker):
        return 0
    return sum(server.health == _state.UNKNOWN for service in _state.services(_daemon.checker_data(processes)) for server in service.servers)


def _align(desired, processes, context):
    """Put the table right where it differs from what keepalived takes it for, and return the commands."""
    if not (desired.table and processes.checker):
        return []
    with _session.open_kernel({"netns": None}, context) as kernel:

        def plan(_current):
            current, states = _settled(kernel, desired.table, processes)
            for ident in _alignment.unheeded(current, desired.table, states):
                context.warn("service %s: too few servers pass their check; those that got connections before keepalived started still do" % (ident,))
            return _alignment.plan(current, desired.table, states, desired.guarded)

        done = reconcile(kernel, lambda each: {}, plan, context.check_mode)
    return [_plan.command(operation) for operation in done.operations]


def _settled(kernel, table, processes):
    """(Table, [_state.Service]) of one and the same moment: nothing that keepalived believes changed while the table was read."""
    states = _state.services(_daemon.checker_data(processes))
    wait = _daemon.Wait(_PAUSE)
    for _number in range(_TRIES):
        current = kernel.read(list(table) if len(table) <= 100 else None)
        again = _state.services(_daemon.checker_data(processes))
        if again == states:
            return current, states
        states = again
        wait.pause()
    raise IpvsError("the health of the servers changes all the time, so that the table cannot be compared with it: try again")


# ---------------------------------------------------------------------------------------------------------------------
# the way back


def _undone(error, desired, work, started, context):
    """The IpvsError for the user, after everything is as it was, as far as it can be."""
    left = []
    back = [_own_files.Change(wanted, found) for found, wanted in work.files if _own_files.read(found.path) != found]
    steps = [
        lambda: _own_files.write(back, context),
        lambda: _read_units(back, desired, context),
        lambda: _bring_back(desired, work, started, context),
        lambda: _units.disable(desired.unit, context) if work.enable else None,
        lambda: _drain_files.remove(work.drain_files),
    ]
    for step in steps:
        try:
            step()
        except Exception as trouble:  # pylint: disable=broad-except
            left.append(str(trouble))
    details = dict(getattr(error, "details", {}))
    text = str(error) if isinstance(error, IpvsError) else "%s: %s" % (type(error).__name__, error)
    if left:
        return IpvsError("%s. Restoring the former configuration failed: %s" % (text, "; ".join(left)), **dict(details, changed=True, not_undone=left))
    return IpvsError("%s. The former configuration is restored%s." % (text, ", and keepalived works by it" if work.processes else ""), **details)


def _bring_back(desired, work, started, context):
    """Have keepalived do what it did before."""
    if work.processes is None:
        if started:
            _units.halt(desired.unit, context)
        return
    processes = _daemon.find(None, context)
    if processes and _daemon.works_by(processes) == work.names:
        return
    names = sorted(work.names)
    if processes and processes.parent == work.processes.parent and len(names) == 1:
        _daemon.reload(None, context, names[0], bool(work.processes.checker), bool(work.processes.vrrp))
        return
    if not _units.running():
        raise IpvsError("keepalived has ended and could not be started again")
    _units.start(desired.unit, context)
    if not _comes_to(lambda processes: _daemon.works_by(processes) == work.names, context):
        raise IpvsError("keepalived was started again and does not use its former configuration: journalctl -u %s" % desired.unit)


def give_up(text, changes, drain_files, processes, unit, kept, context):
    """Have keepalived end, and no boot start it. The table stays as it is, and so does the configuration. Raises IpvsError.

    ``text``: of the configuration, or None; ``changes``: of the other files; ``unit``: the _units.Unit, None where the keepalived is not ours;
    ``kept``: addresses that stay on this node. Without them another director takes over first.
    """
    if unit and unit.enabled:
        _units.disable(unit.name, context)
    handover_file = _election.handover_file(text)
    if handover_file and processes and processes.vrrp and not kept:
        _election.hand_over(handover_file, processes)
    _own_files.write(changes, context)
    if any(change.wanted.path.startswith(_units.FOLDER) for change in changes):
        _units.reload_manager(context)
    if processes:
        with _held.Held(kept if _election.takes_part(processes) else ()):
            _daemon.end(processes, lambda: _units.announce_halt(unit.name, context) if unit.there else None)
    if unit and unit.there:
        _units.halt(unit.name, context)  # an administrator's Restart= may be about to start it again
    if handover_file:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(handover_file)
    _drain_files.remove(drain_files)
