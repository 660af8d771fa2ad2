# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there and what is wanted -> ordered operations, and their inverses. Pure: no I/O, no AnsibleModule.

Order never opens a gap: new services come first, then what changes services that are in use, then the removals, and each of
these stages begins only when the one before it has succeeded. What keeps its identity is edited, never deleted and made again.
Services are removed in the order of ``service_order``: the kernel lists them in any order.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules, _settings

ADD_SERVICE, EDIT_SERVICE, DELETE_SERVICE = "add service", "edit service", "delete service"
ADD_SERVER, EDIT_SERVER, DELETE_SERVER = "add server", "edit server", "delete server"
FLUSH = "delete all services"
SET_TIMEOUTS, START_DAEMON, STOP_DAEMON, ZERO = "set timeouts", "start daemon", "stop daemon", "zero counters"
REMOVALS = frozenset((DELETE_SERVICE, DELETE_SERVER, FLUSH, STOP_DAEMON))


class Operation(NamedTuple):
    """One change of the kernel's table.

    ``before``/``after`` are whole objects of ``_model``, or None where the object does not exist: a Service (an Entry in
    ``before`` of DELETE_SERVICE, since its servers go with it; a Table of them in that of FLUSH), a Server, Timeouts or a Daemon. ``service`` is the ServiceId
    that services and servers belong to; for ZERO it may be None: all services.
    """

    kind: str
    service: Optional[_model.ServiceId]
    before: Any
    after: Any

    def __str__(self):
        if self.kind in (ADD_SERVER, EDIT_SERVER, DELETE_SERVER):
            return "%s %s of service %s" % (self.kind, (self.after or self.before).id, self.service)
        if self.kind in (START_DAEMON, STOP_DAEMON):
            return "%s (%s)" % (self.kind, (self.after or self.before).role)
        return "%s %s" % (self.kind, self.service) if self.service else self.kind


class Plan(NamedTuple):
    """``operations`` in order; ``before`` and ``after``: what the task names (a Table, Timeouts, Daemons), then and afterwards."""

    operations: Tuple[Operation, ...]
    before: Any
    after: Any


def stages(operations):
    """The operations, in order, as a list of stages: each is to be tried only when the one before it has succeeded as a whole.

    The kernel goes on after an operation that it refuses. So what is new, and used by nobody yet, is a stage of its own before
    what changes services in use, and what removes something is one after all that may still be refused.
    """
    new = {operation.service for operation in operations if operation.kind == ADD_SERVICE}

    def stage(operation):
        if operation.kind in REMOVALS:
            return "removals"
        return "new services" if operation.service in new else "changes"

    return [tuple(group) for _stage, group in itertools.groupby(operations, stage)]


def command(operation):
    """The ipvsadm command line that does the same as the operation."""
    kind, ident, before, after = operation
    if kind == ADD_SERVICE:
        return "ipvsadm -A " + _rules.render_service(after)
    if kind == EDIT_SERVICE:
        return "ipvsadm -E " + _rules.render_service(after)
    if kind == DELETE_SERVICE:
        return "ipvsadm -D " + _rules.service_words(ident)
    if kind == ADD_SERVER:
        return "ipvsadm -a " + _rules.render_server(ident, after)
    if kind == EDIT_SERVER:
        return "ipvsadm -e " + _rules.render_server(ident, after)
    if kind == DELETE_SERVER:
        return "ipvsadm -d %s -r %s" % (_rules.service_words(ident), before.id)
    if kind == FLUSH:
        return "ipvsadm -C"
    if kind == SET_TIMEOUTS:
        return "ipvsadm " + _rules.render_timeouts(after)
    if kind == START_DAEMON:
        return "ipvsadm " + _rules.render_daemon(after)
    if kind == STOP_DAEMON:
        return "ipvsadm --stop-daemon " + before.role
    return "ipvsadm -Z" + (" " + _rules.service_words(ident) if ident else "")


def inverse(operation):
    """The operations that take the operation back, in order. Counters that were zeroed cannot be brought back: none."""
    kind, ident, before, after = operation
    if kind == ADD_SERVICE:
        return [Operation(DELETE_SERVICE, ident, _model.Entry(after, {}), None)]
    if kind == DELETE_SERVICE:
        restored = [Operation(ADD_SERVICE, ident, None, before.service)]
        return restored + [Operation(ADD_SERVER, ident, None, server) for server in before.servers.values()]
    if kind == FLUSH:
        return [step for each, entry in before.items() for step in inverse(Operation(DELETE_SERVICE, each, entry, None))]
    swapped = {
        EDIT_SERVICE: EDIT_SERVICE,
        ADD_SERVER: DELETE_SERVER,
        EDIT_SERVER: EDIT_SERVER,
        DELETE_SERVER: ADD_SERVER,
        SET_TIMEOUTS: SET_TIMEOUTS,
        START_DAEMON: STOP_DAEMON,
        STOP_DAEMON: START_DAEMON,
    }
    return [Operation(swapped[kind], ident, after, before)] if kind in swapped else []


def plan_present(current, wanted, prune_servers=None, prune_services=None, path=None):
    """Enforce what is wanted.

    ``current``: the Table of whole entries as read; ``wanted``: a Table of desired entries; ``prune_servers(ServiceId)``: whether servers
    of this wanted service that are not wanted go; ``prune_services(ServiceId)``: whether a service that is not wanted goes;
    ``path(ServiceId, ServerId or None)``: the option path for errors. Raises OptionError before anything is planned.
    """
    path = path or (lambda service, server: "")
    creations, edits, removals = [], [], []
    before, after = {}, {}
    for ident, (desired, desired_servers) in wanted.items():
        entry = current.get(ident)
        if entry is None:
            service = _model.overlay_service(desired)
            _model.check_service(service, path(ident, None))
            changes = creations
            changes.append(Operation(ADD_SERVICE, ident, None, service))
            present = {}
        else:
            before[ident] = entry
            changes = edits
            service, present = entry
            if desired != service:
                service = _model.overlay_service(desired, entry.service)
                if service != entry.service:
                    _model.check_service(service, path(ident, None))
                    changes.append(Operation(EDIT_SERVICE, ident, entry.service, service))
        if desired_servers is None:
            after[ident] = _model.Entry(service, present)
            continue
        servers = dict(present)
        for server_ident, desired_server in desired_servers.items():
            old = present.get(server_ident)
            if desired_server == old:
                continue
            new = _model.overlay_server(desired_server, old)
            if new != old or _names_tunnel(desired_server):
                _model.check_server(new, ident, desired_server, path(ident, server_ident))
            if new != old:
                changes.append(Operation(EDIT_SERVER if old else ADD_SERVER, ident, old, new))
                servers[server_ident] = new
        if len(servers) > len(desired_servers) and prune_servers is not None and prune_servers(ident):
            for server_ident in list(servers):
                if server_ident not in desired_servers:
                    removals.append(Operation(DELETE_SERVER, ident, servers.pop(server_ident), None))
        after[ident] = _model.Entry(service, servers)
    if prune_services is not None:
        gone = [ident for ident in current if ident not in wanted and prune_services(ident)]
        for ident in sorted(gone, key=_model.service_order):
            before[ident] = current[ident]
            removals.append(Operation(DELETE_SERVICE, ident, current[ident], None))
    return Plan(tuple(creations + edits + removals), before, after)


def _names_tunnel(desired):
    return not (desired.tunnel_type is None and desired.tunnel_port is None and desired.tunnel_checksum is None)


def flush(plan):
    """The same as a plan that removes every service there is, in one operation."""
    return plan._replace(operations=(Operation(FLUSH, None, plan.before, None),)) if plan.operations else plan


def plan_absent(current, idents):
    """Delete these services, those of them that are there."""
    before = {ident: current[ident] for ident in idents if ident in current}
    return Plan(tuple(Operation(DELETE_SERVICE, ident, entry, None) for ident, entry in before.items()), before, {})


def plan_server(current, ident, desired, absent=False):
    """Enforce one desired real server, or its absence, in the service ``ident`` of the Table ``current``.

    ``before`` and ``after`` hold the service with this one server only. The service must be there.
    """
    entry = current[ident]
    old = entry.servers.get(desired.id)
    named = {desired.id: old} if old else {}
    before = {ident: _model.Entry(entry.service, named)}
    if absent:
        operations = (Operation(DELETE_SERVER, ident, old, None),) if old else ()
        return Plan(operations, before, {ident: _model.Entry(entry.service, {})})
    plan = plan_present(before, {ident: _model.Entry(_model.Service(ident), {desired.id: desired})})
    return Plan(plan.operations, before, plan.after)


def plan_timeouts(current, desired):
    """Set the connection timeouts."""
    after = _settings.overlay_timeouts(desired, current)
    operations = (Operation(SET_TIMEOUTS, None, current, after),) if after != current else ()
    return Plan(operations, current, after)


def plan_daemon(current, desired, absent=False):
    """Run the sync daemon that is desired, or none of that role. A daemon is changed by stopping and starting it.

    ``current`` and the plan's ``before`` and ``after``: dicts, role -> Daemon.
    """
    old = current.get(desired.role)
    others = {role: daemon for role, daemon in current.items() if role != desired.role}
    stop = (Operation(STOP_DAEMON, None, old, None),) if old else ()
    if absent:
        return Plan(stop, current, others)
    new = _settings.overlay_daemon(desired, old)
    if new == old:
        return Plan((), current, current)
    return Plan(stop + (Operation(START_DAEMON, None, None, new),), current, dict(others, **{desired.role: new}))


def plan_zero(statistics, everything=False):
    """Set counters to zero where they are not.

    ``statistics``: what Kernel.statistics returns, of the services in question. ``everything``: these are all services there are,
    so that one operation does it. ``before``/``after``: the number of services and servers whose counters are not zero.
    """
    counted = {}
    for ident, (counters, servers) in statistics.items():
        counted[ident] = sum(any(each[:5]) for each in [counters] + [use[1] for use in servers.values()])
    idents = sorted((ident for ident, number in counted.items() if number), key=_model.service_order)
    if everything and idents:
        idents = [None]
    return Plan(tuple(Operation(ZERO, ident, None, None) for ident in idents), sum(counted.values()), 0)
