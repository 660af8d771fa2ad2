# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Services that a keepalived which runs keeps: what it does to them is no difference, and what it would undo is refused."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _model, _owners, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_SHOWN = 5


class Owned:
    """For one task. Who runs is looked up when the first operation asks for it."""

    def __init__(self, netns, context):
        self._netns, self._context = netns, context
        self._services = None

    def settled(self, plan, forced=()):
        """The Plan without what comes down to keepalived's own work. Raises IpvsError where it has operations that keepalived would undo.

        ``forced``: ServiceIds that the user insists on removing, whoever owns them.
        """
        if not plan.operations or not self._known():
            return plan
        operations, after, refused = [], dict(plan.after), []
        for operation in plan.operations:
            owned = self._services.get(operation.service)
            if owned is None or operation.service in forced:
                operations.append(operation)
                continue
            left = _left(operation, owned)
            if left is not operation:
                after[operation.service] = _with(after[operation.service], left.after if left else operation.before)
            if left is None:
                continue
            (operations if _is_harmless(left) else refused).append(left)
        if refused:
            raise _refusal(refused)
        return plan._replace(operations=tuple(operations), after=after)

    def steady(self, table):
        """The Table as it is while every server is healthy: what keepalived has been told to drain is all that has weight 0."""
        files = _drain_files.read()
        if not files:
            return table  # its configuration is not ours, or it never ran
        drained = {address for address, each in files.items() if each.since is not None}
        found = dict(table)
        for ident, owned in self._known().items():
            if ident in table:
                servers = {each: server for each, server in table[ident].servers.items() if each != owned.sorry_server}
                for each in set(servers).intersection(owned.servers):
                    servers[each] = servers[each]._replace(weight=0 if each.address in drained else owned.servers[each].weight)
                found[ident] = _model.Entry(table[ident].service, servers)
        return found

    def _known(self):
        if self._services is None:
            self._services, problems = _owners.keepalived_services(self._netns)
            for problem in problems:
                self._context.warn("keepalived runs, and its configuration can't be read, so it is unknown which services are its own: " + problem)
        return self._services


def _left(operation, owned):
    """What is left of the operation, None: nothing, when a server's weight of 0 and the sorry server are keepalived's business."""
    kind, _service, before, after = operation
    if kind == _plan.DELETE_SERVER and before.id == owned.sorry_server:
        return None
    if kind != _plan.EDIT_SERVER or before.weight or before.id not in owned.servers or after.weight != owned.servers[before.id].weight:
        return operation
    after = after._replace(weight=0)
    return None if after == before else operation._replace(after=after)


def _with(entry, server):
    servers = dict(entry.servers)
    servers[server.id] = server
    return _model.Entry(entry.service, servers)


def _is_harmless(operation):
    """Whether nothing but thresholds changes, which keepalived does not set on servers that are there."""
    kind, _service, before, after = operation
    return kind == _plan.EDIT_SERVER and after == before._replace(upper_threshold=after.upper_threshold, lower_threshold=after.lower_threshold)


def _refusal(operations):
    services = list(dict.fromkeys(str(operation.service) for operation in operations))
    listed = ", ".join(services[:_SHOWN]) + (" and %d more" % (len(services) - _SHOWN) if len(services) > _SHOWN else "")
    return IpvsError(
        "keepalived runs and maintains %s: it would undo this sooner or later (%s). To drain a real server, use ipvs_drain. To change the services, "
        "use ipvs_keepalived, or change keepalived's configuration where it is not from there."
        % (listed, "; ".join(_plan.command(operation) for operation in operations[:_SHOWN])),
        owned=services,
    )
