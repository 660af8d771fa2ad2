# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_table does: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan, _prune, _rules_reader, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


def manage_table(options, context):
    """Many services in one task."""
    absent = options["state"] == "absent"
    wanted, prefixes = _table_wish(options)
    prune = None if absent else _prune.rule(options)

    def plan(current):
        if absent:
            return _plan.plan_absent(current, list(wanted))
        made = _plan.plan_present(current, wanted, lambda service: options["purge_servers"], prune, _session.entry_path(wanted, prefixes))
        if prune:
            _prune.refuse_emptiness(made, wanted, options)
            _prune.refuse_others(made, options)
            if not wanted and options["prune_scope"] is None:
                made = _plan.flush(made)
        return _session.checked(made, context)

    def read(kernel):
        return kernel.read(None if prune or len(wanted) > 100 else wanted)

    with _session.open_kernel(options, context, load=not absent and bool(wanted)) as kernel:
        done = reconcile(kernel, read, plan, context.check_mode, options["rollback"])
    services = [_model.entry_options(done.after[ident]) for ident in wanted if ident in done.after]
    return _session.answer(done, context, {"services": services})


def _table_wish(options):
    """(Table of wishes, {ServiceId: option path}) from ``services`` or ``rules``."""
    if options["services"] is not None:
        wanted = _model.table_wish(options["services"])
        return wanted, {ident: "services[%d]." % index for index, ident in enumerate(wanted)}
    rules = _rules_reader.parse(options["rules"])
    if rules.clears:
        raise OptionError("rules", "-C", "a table is not cleared by its rules; to remove what they don't name set prune")
    if rules.timeouts is not None or rules.daemons:
        raise OptionError("rules", "--set or --start-daemon", "take these out; ipvs_timeouts and ipvs_sync_daemon set them")
    wanted = {}
    for ident, entry in rules.table.items():
        wanted[ident] = entry._replace(servers={server.id: _without_tunnel(server) for server in entry.servers.values()})
    return wanted, {ident: f"rules: {ident}: " for ident in wanted}


def _without_tunnel(server):
    """The wish for a whole Server, which says nothing of a tunnel where there is none."""
    if server.forward_method == "tun":
        return server
    return server._replace(tunnel_type=None, tunnel_port=None, tunnel_checksum=None)
