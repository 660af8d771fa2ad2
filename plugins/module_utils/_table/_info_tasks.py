# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_info and ipvs_counters do: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _equipment
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _plan, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer


def zero_counters(options, context):
    """The counters of one service, of all of a protocol or family, or of all, set to zero."""
    named = options["address"] is not None or options["fwmark"] is not None
    ident = _model.service_id(options) if named else None
    criteria = {} if named else _model.service_criteria(options)

    def read(kernel):
        found = kernel.statistics([ident] if ident else None)
        if ident and ident not in found:
            if not context.check_mode:
                raise _session.no_service(ident)
            context.warn(f"service {ident} does not exist yet; an earlier task may create it, with its counters at zero")
        return {each: counters for each, counters in found.items() if _matches(each, criteria)}

    with _session.open_kernel(options, context, load=False) as kernel:
        everything = not (named or criteria)
        plan = reconcile(kernel, read, lambda found: _plan.plan_zero(found, everything), context.check_mode)
    text = "services and servers with counters that are not zero: %d\n"
    return _session.answer(plan, context, {}, lambda counted: text % counted)


def read_info(options, context):
    """Everything there is to know, without loading or changing anything."""
    criteria = _model.service_criteria(options)
    equipment = _equipment.look(options["pyroute2_interpreters"], context)
    if not options["table"]:
        return Answer(False, equipment)
    with _session.open_kernel(options, context, load=False) as kernel:
        loaded = not isinstance(kernel, _session.NoKernel)
        table = kernel.read()
        idents = [ident for ident in sorted(table, key=_model.service_order) if _matches(ident, criteria)]
        services = [_model.entry_options(table[ident]) for ident in idents]
        if options["statistics"] and services:
            _add_statistics(services, idents, kernel.statistics(idents))
        version, connection_table_size = kernel.info()
        values = {
            "loaded": loaded,
            "version": version,
            "connection_table_size": connection_table_size,
            "services": services,
            "idle_servers": ["%s of %s" % (server, ident) for ident in idents for server, each in table[ident].servers.items() if not each.weight],
            "timeouts": dict(kernel.timeouts()._asdict()) if loaded else None,
            "sync_daemons": [dict(daemon._asdict()) for _role, daemon in sorted(kernel.daemons().items())],
        }
    return Answer(False, dict(equipment, **values))


def _matches(ident, criteria):
    options = dict(_model.id_options(ident), family="ipv6" if ident.family == _literals.FAMILIES["ipv6"] else "ipv4")
    return all(options.get(name) == value for name, value in criteria.items())


def _add_statistics(services, idents, statistics):
    for service, ident in zip(services, idents):
        counters, servers = statistics.get(ident, (None, {}))
        if counters is not None:
            service["statistics"] = dict(counters._asdict())
        for server in service["servers"]:
            use = servers.get(_model.ServerId(server["address"], server["port"]))
            if use is not None:
                connections = {name + "_connections": number for name, number in use[0]._asdict().items()}
                server["statistics"] = dict(use[1]._asdict(), **connections)
