# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_table does: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _keepalived_owned, _model, _plan, _prune, _rules_reader, _saved, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import failure, reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


def manage_table(options, context):
    """Many services in one task."""
    task = _Task(options, context)
    with _session.open_kernel(options, context, load=task.loads) as kernel:
        done = task.carry_out(kernel)
    answer = {
        "services": [_model.entry_options(done.after[ident]) for ident in task.wanted if ident in done.after],
        "postponed": [_plan.command(operation) for operation in task.postponed],
        "leaving": _leaving(task.postponed or done.operations),
        "unlisted": [] if options["purge_servers"] else _unlisted(done.after, task.wanted),
    }
    return _session.answer(done, context, answer)


class _Task:
    """One run of ipvs_table. ``postponed``: the removals that the last plan left undone."""

    def __init__(self, options, context):
        self.options, self.context = options, context
        self.absent = options["state"] == "absent"
        self.wanted, prefixes = _desired_table(options)
        self.path = _session.entry_path(self.wanted, prefixes)
        self.prune = None if self.absent else _prune.rule(options)
        self.saved = _saved_services(options) - set(self.wanted)
        self.loads = bool(self.wanted) and not self.absent
        _drain.check_numbers(options)
        self.drain_timeout = options["drain_timeout"]
        self.postponed = ()
        self.owned = _keepalived_owned.Owned(options["netns"], context)

    def carry_out(self, kernel):
        """The Plan that was carried out, or in check mode would be."""
        if self.options["postpone_removals"] and not self.context.check_mode:
            return self._reconcile(kernel, self._additions)
        if self.drain_timeout is None:
            return self._reconcile(kernel, self._whole)
        if self.context.check_mode:
            return self._reconcile(kernel, self._foretold)
        return self._drain_and_remove(kernel)

    def _reconcile(self, kernel, plan, earlier=None):
        return reconcile(kernel, self._read, plan, self.context.check_mode, self.options["rollback"], earlier)

    def _read(self, kernel):
        return kernel.read(None if self.prune or len(self.wanted) + len(self.saved) > 100 else list(self.wanted) + sorted(self.saved))

    # plans

    def _whole(self, current):
        if self.absent:
            return self.owned.settled(_plan.plan_absent(current, list(self.wanted) + sorted(self.saved, key=_model.service_order)))
        made = self._present(current, lambda ident: self.options["purge_servers"], self._goes if self.prune or self.saved else None)
        _prune.refuse_emptiness(made, self.wanted, self.options, self.saved)
        _prune.refuse_others(made, self.options, self.saved)
        made = self.owned.settled(made, _prune.forced(made, self.options))
        if self.prune and not self.wanted and self.options["prune_scope"] is None:
            made = _plan.flush(made)
        return _session.checked(made, self.context)

    def _present(self, current, purge=None, prune=None):
        return _plan.plan_present(current, self.wanted, purge, prune, self.path)

    def _goes(self, ident):
        return ident in self.saved or (self.prune is not None and self.prune(ident))

    def _additions(self, current):
        """All but the removals, which have to be possible all the same."""
        whole = self._whole(current)
        self.postponed = _removals(whole)
        kept = _plan.Plan((), {}, {}) if self.absent else self.owned.settled(self._present(current))
        after = dict(whole.before)  # of what goes, too
        after.update(kept.after)
        return kept._replace(before=whole.before, after=after)

    def _drains(self, current):
        """Weight 0 for every server that goes."""
        whole = self._whole(current)
        self.postponed = _removals(whole)
        return whole._replace(operations=_drain_operations(whole))

    def _foretold(self, current):
        """All that ``_drain_and_remove`` does."""
        whole = self._whole(current)
        removals = _removals(whole)
        return whole._replace(operations=whole.operations[: len(whole.operations) - len(removals)] + _drain_operations(whole) + removals)

    def _drain_and_remove(self, kernel):
        """What is new comes first, then what goes gets no new connections, and at last it is removed. A failure undoes all of it."""
        done = self._reconcile(kernel, self._additions)
        if not self.postponed:
            return done
        done = self._reconcile(kernel, self._drains, done)
        try:
            _drain.wait_for_leaving(kernel, _servers_of(self.postponed), self.drain_timeout, self.context)
        except Exception as error:  # pylint: disable=broad-except
            raise failure(kernel, error, list(done.operations), [], self.options["rollback"]) from error
        self.postponed = ()
        return self._reconcile(kernel, self._whole, done)


def _saved_services(options):
    """The ServiceIds that go because the saved table holds them, as far as they are not listed."""
    if not options["prune_saved"]:
        return set()
    if options["netns"] is not None:
        raise OptionError("prune_saved", True, "only the table of the initial network namespace is restored at boot; omit netns")
    return set(_saved.read() or ())


def _removals(plan):
    return tuple(operation for operation in plan.operations if operation.kind in _plan.REMOVALS)


def _services_of(operations):
    """The Entries of services that the operations remove."""
    entries = []
    for operation in operations:
        if operation.kind == _plan.FLUSH:
            entries += operation.before.values()
        elif operation.kind == _plan.DELETE_SERVICE:
            entries.append(operation.before)
    return entries


def _servers_of(operations):
    """[(ServiceId, Server)] that the operations remove, with their service or alone."""
    alone = [(operation.service, operation.before) for operation in operations if operation.kind == _plan.DELETE_SERVER]
    return alone + [(entry.service.id, server) for entry in _services_of(operations) for server in entry.servers.values()]


def _drain_operations(plan):
    servers = _servers_of(plan.operations)
    return tuple(_plan.Operation(_plan.EDIT_SERVER, ident, server, server._replace(weight=0)) for ident, server in servers if server.weight)


def _leaving(operations):
    """What the operations remove, as options that name it."""
    servers = [_server_options(ident, server.id) for ident, server in _servers_of(operations)]
    return {"services": [_model.id_options(entry.service.id) for entry in _services_of(operations)], "servers": servers}


def _unlisted(table, wanted):
    """The servers that listed services have and do not list, as options that name them. A service without servers lists what it has."""
    return [
        _server_options(ident, server)
        for ident, desired in wanted.items()
        if desired.servers is not None and ident in table
        for server in table[ident].servers
        if server not in desired.servers
    ]


def _server_options(ident, server):
    place = {"service_" + name: value for name, value in _model.id_options(ident).items()}
    return dict(place, address=server.address, port=server.port)


def _desired_table(options):
    """(Table of desired entries, {ServiceId: option path}) from ``services`` or ``rules``."""
    if options["services"] is not None:
        wanted = _model.desired_table(options["services"])
        return wanted, {ident: "services[%d]." % index for index, ident in enumerate(wanted)}
    if options["rules"] is None:
        raise OptionError("rules", None, "give a list of services, or rules of ipvsadm; an empty list or text stands for no services")
    rules = _rules_reader.parse(options["rules"])
    if rules.clears:
        raise OptionError("rules", "-C", "-C is not supported here; to remove the services that the rules do not name, set prune")
    if rules.timeouts is not None or rules.daemons:
        raise OptionError("rules", "--set or --start-daemon", "remove these lines; ipvs_timeouts and ipvs_sync_daemon manage these settings")
    wanted = {}
    for ident, entry in rules.table.items():
        wanted[ident] = entry._replace(servers={server.id: _without_tunnel(server) for server in entry.servers.values()})
    return wanted, {ident: f"rules: {ident}: " for ident in wanted}


def _without_tunnel(server):
    """The desired options of a whole Server, without a tunnel's where there is none."""
    if server.forward_method == "tun":
        return server
    return server._replace(tunnel_type=None, tunnel_port=None, tunnel_checksum=None)
