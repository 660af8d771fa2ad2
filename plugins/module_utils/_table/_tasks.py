# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_service and ipvs_server do: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _keepalived_owned, _model, _plan, _rules, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _nearest
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

DRAIN_TIMEOUT = 300  # seconds, for state drained


def _prefixed(options, prefix, names=("address", "port", "protocol", "fwmark", "family")):
    return {name: options[prefix + name] for name in names}


def manage_service(options, context):
    """One virtual service, with or without its servers."""
    absent = options["state"] == "absent"
    ident = _model.service_id(options)
    wanted = {} if absent else {ident: _model.desired_entry(options)}
    owned = _keepalived_owned.Owned(options["netns"], context)

    def plan(current):
        if absent:
            return owned.settled(_plan.plan_absent(current, [ident]))
        made = _plan.plan_present(current, wanted, lambda service: options["purge_servers"], path=_session.entry_path(wanted))
        return _session.checked(owned.settled(made), context)

    with _session.open_kernel(options, context, load=not absent) as kernel:
        done = reconcile(kernel, lambda kernel: kernel.read([ident]), plan, context.check_mode)
    entry = done.after.get(ident)
    return _session.answer(done, context, {"service": _model.entry_options(entry) if entry else None})


def manage_server(options, context):
    """One real server: present, absent or drained."""
    state = options["state"]
    ident = _model.service_id(_prefixed(options, "service_"), "service_")
    desired = _model.desired_server(options, ident)
    drain = _drain_settings(options)
    if state == "drained" and desired.weight:
        raise OptionError("weight", desired.weight, "state drained sets the weight to 0; omit weight")
    if state == "absent":
        desired = _model.Server(desired.id)  # the other options set nothing, not even while the server is drained
    values = {"service": _model.id_options(ident)}
    owned = _keepalived_owned.Owned(options["netns"], context)

    with _session.open_kernel(options, context, load=state == "present") as kernel:

        def read(kernel):
            return kernel.read([ident])

        current = read(kernel)
        if ident not in current and state == "present":
            return _server_without_service(ident, desired, context, values)
        if ident not in current or desired.id not in current[ident].servers:
            if state == "drained":
                raise _nothing_to_drain(kernel.read(), ident, desired.id)
            if options["port"] is None and ident in current:
                _other_port(current[ident].servers, ident, desired.id, state, context)
            drain = None

        done = _plan.Plan((), None, None)
        if drain:
            done = _drain_server(kernel, read, ident, desired, drain, context, values, owned)
        if state != "drained":
            try:
                done = _session.joined(done, reconcile(kernel, read, _server_plan(ident, desired, owned, state == "absent"), context.check_mode))
            except IpvsError as error:
                raise _session.after_failure(done, error) from error
    server = done.after[ident].servers.get(desired.id) if ident in done.after else None
    values["server"] = _model.server_options(server) if server else None
    return _session.answer(done, context, values)


def _nothing_to_drain(table, ident, server):
    """The error for a server that is not there, with what the user may have meant."""
    if ident in table:
        text = "%s is not a server of %s: there is nothing to drain." % (server, ident)
    else:
        text = f"service {ident}: there is no such virtual service, and nothing to drain."
    near = _nearest.servers(table, ident, server) or _nearest.services(table, ident)
    return IpvsError("%s Nearest: %s." % (text, "; ".join(near)) if near else text)


def _other_port(servers, ident, server, state, context):
    """Refuse, or for a removal warn, where the port was left out and the server is there, but not on the service's port."""
    ports = sorted(each.port for each in servers if each.address == server.address)
    if not ports:
        return
    there = "%s is a server of %s on port %s" % (server.address, ident, " and ".join(map(str, ports)))
    if state == "absent":
        context.warn("%s; nothing was removed, because without port the service's port, %d, is meant" % (there, server.port))
    else:
        raise OptionError("port", None, "%s; give that port to manage it, or port: %d to add another" % (there, server.port))


def _server_plan(ident, desired, owned, absent=False):
    def plan(table):
        if ident in table:
            return owned.settled(_plan.plan_server(table, ident, desired, absent))
        if absent:
            return _plan.Plan((), {}, {})
        raise _session.no_service(ident)

    return plan


def _server_without_service(ident, desired, context, values):
    if not context.check_mode:
        raise _session.no_service(ident)
    context.warn(f"service {ident} does not exist yet; an earlier task may create it, so the server is reported as added")
    server = _model.overlay_server(desired)
    _model.check_server(server, ident, desired)
    entry = _model.Entry(_model.overlay_service(_model.Service(ident)), {server.id: server})
    plan = _plan.Plan((_plan.Operation(_plan.ADD_SERVER, ident, None, server),), {}, {ident: entry})
    values["server"] = _model.server_options(server)
    return _session.answer(plan, context, values, lambda table: "".join("-a %s\n" % _rules.render_server(ident, server) for _each in table))


def _drain_settings(options):
    """(limit, timeout, interval), or None where the task does not drain."""
    _drain.check_numbers(options)
    timeout = options["drain_timeout"]
    if options["state"] == "drained" and timeout is None:
        timeout = DRAIN_TIMEOUT
    if options["state"] == "present" or timeout is None:
        return None
    return options["drain_connections"], timeout, options["drain_interval"]


def _drain_plan(ident, desired, owned):
    """Set the weight of a server to 0; one that somebody has removed meanwhile stays removed."""

    def plan(table):
        if ident in table and desired.id in table[ident].servers:
            return owned.settled(_plan.plan_server(table, ident, desired._replace(weight=0)))
        return _plan.Plan((), {}, {})

    return plan


def _drain_server(kernel, read, ident, desired, drain, context, values, owned):
    """Set the weight to 0 and wait for the connections. Returns the Plan that was carried out; its ``after`` is empty where the
    server has gone meanwhile."""
    limit, timeout, interval = drain
    plan = reconcile(kernel, read, _drain_plan(ident, desired, owned), context.check_mode)

    def look():
        return kernel.connections(ident, desired.id)

    def reset():
        nonlocal plan
        context.warn("another program set the weight of %s of %s while it was drained; it was set to 0 again" % (desired.id, ident))
        plan = _session.joined(plan, reconcile(kernel, read, _drain_plan(ident, desired, owned), False))

    if not plan.after:
        outcome, seen = _drain.GONE, None
    elif context.check_mode:
        outcome, seen = _drain.DRAINED, look()
    else:
        try:
            outcome, seen = _drain.wait_for_connections(look, reset, limit, timeout, interval)
        except IpvsError as error:
            raise _session.after_failure(plan, error) from error
    values["connections"] = dict(seen[1]._asdict()) if seen else None
    if outcome == _drain.GONE:
        context.warn("%s of %s was removed by another program while it was drained" % (desired.id, ident))
        return plan._replace(after={})
    if outcome == _drain.DRAINED:
        return plan
    server, connections = seen
    if outcome == _drain.TIMED_OUT:
        text = (
            "drain_timeout: %s seconds have passed and %s of %s still has %d active connections (drain_connections: %d). "
            "Its weight is 0, so it gets no new ones, and it stays in the table." % (timeout, desired.id, ident, connections.active, limit)
        )
    else:
        text = (
            "somebody else gave %s of %s a weight twice while it was drained. Its weight is %d, so it gets new connections, "
            "and it has %d active ones. Find out who does that (a health checker, another run), and drain it again."
            % (desired.id, ident, server.weight, connections.active)
        )
    raise _session.after_failure(plan, IpvsError(text, **dict(values, changed=False, commands=[], server=_model.server_options(server))))
