# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each IPVS module does: options in, Answer out. Knows neither AnsibleModule nor netlink messages.

Each function takes ``(options, context)`` and is given to ``_runner.run``. ``Kernel`` is looked up here when it is needed, so
that tests can put another in its place.
"""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _drain,
    _literals,
    _model,
    _multicast,
    _netlink,
    _plan,
    _prune,
    _rules,
    _rules_reader,
    _settings,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._table._netlink import Kernel
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _nearest
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

DRAIN_TIMEOUT = 300  # seconds, for state drained
MAX_WAIT = 86400 * 31  # seconds


class _NoKernel:
    """A kernel that has not loaded IPVS: an empty table, for reading only."""

    def read(self, idents=None):
        return {}

    statistics = read

    def connections(self, ident, server):
        return None

    def timeouts(self):
        return _settings.Timeouts(900, 120, 300)  # what the kernel starts with

    def daemons(self):
        return {}

    def info(self):
        return None, None

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        pass


def _open(options, context, load=True):
    """The kernel of the task's network namespace. ``load``: whether the task needs IPVS loaded; never in check mode."""
    netns = options["netns"]
    if _netlink.loaded(netns):
        return Kernel(netns)
    if context.check_mode and load:
        context.warn("IPVS is not loaded in this kernel: the table is taken as empty, and nothing is loaded in check mode")
        if _kmod.state("ip_vs") == "missing":
            context.warn("this kernel has no IPVS: %s" % _kmod.missing_hint("ip_vs"))
    return _NoKernel() if context.check_mode or not load else Kernel(netns)


def _answer(plan, context, values, render=_rules.render_table):
    values["commands"] = [_plan.command(operation) for operation in plan.operations]
    texts = (render(plan.before), render(plan.after)) if context.diff else (None, None)
    return Answer(bool(plan.operations), values, *texts)


def _checked(plan, context):
    """The plan, unless it names a scheduler or an engine that this kernel surely lacks: found out before anything is touched."""
    needed = {}
    for operation in plan.operations:
        if operation.kind in (_plan.ADD_SERVICE, _plan.EDIT_SERVICE):
            for option in ("scheduler", "persistence_engine"):
                name = getattr(operation.after, option)
                if name not in ("", "none") and _is_new(operation, option):
                    needed.setdefault((option, name), operation)
    for (option, name), operation in needed.items():
        if _kmod.state(_kmod.module_of(option, name)) == "missing" and not _lacks_ipvs(context):
            raise _kmod.lacking(option, name, where=f" (service {operation.service})")
    return plan


def _lacks_ipvs(context):
    """Whether this is a check on a kernel without IPVS, of which ``_open`` has warned."""
    return context.check_mode and _kmod.state("ip_vs") == "missing"


def _is_new(operation, option):
    return operation.before is None or getattr(operation.before, option) != getattr(operation.after, option)


def _prefixed(options, prefix, names=("address", "port", "protocol", "fwmark", "family")):
    return {name: options[prefix + name] for name in names}


# ---------------------------------------------------------------------------------------------------------------------
# ipvs_service, ipvs_server, ipvs_table


def manage_service(options, context):
    """One virtual service, with or without its servers."""
    absent = options["state"] == "absent"
    ident = _model.service_id(options)
    wanted = {} if absent else {ident: _model.entry_wish(options)}

    def plan(current):
        if absent:
            return _plan.plan_absent(current, [ident])
        made = _plan.plan_present(current, wanted, lambda service: options["purge_servers"], path=_entry_path(wanted))
        return _checked(made, context)

    with _open(options, context, load=not absent) as kernel:
        done = reconcile(kernel, lambda kernel: kernel.read([ident]), plan, context.check_mode)
    entry = done.after.get(ident)
    return _answer(done, context, {"service": _model.entry_options(entry) if entry else None})


def _entry_path(wanted, prefixes=None):
    """Where an object stands in the options, for errors that show only once it is laid over what is there."""
    positions = {}

    def path(ident, server):
        prefix = prefixes[ident] if prefixes else ""
        if server is None:
            return prefix
        if ident not in positions:
            positions[ident] = {each: number for number, each in enumerate(wanted[ident].servers)}
        return "%sservers[%d]." % (prefix, positions[ident][server])

    return path


def manage_server(options, context):
    """One real server: present, absent or drained."""
    state = options["state"]
    ident = _model.service_id(_prefixed(options, "service_"), "service_")
    wish = _model.server_wish(options, ident)
    drain = _drain_settings(options)
    if state == "drained" and wish.weight:
        raise OptionError("weight", wish.weight, "state drained sets the weight to 0; leave weight out")
    if state == "absent":
        wish = _model.Server(wish.id)
    values = {"service": _model.id_options(ident)}

    with _open(options, context, load=state == "present") as kernel:

        def read(kernel):
            return kernel.read([ident])

        current = read(kernel)
        if ident not in current and state == "present":
            return _server_without_service(ident, wish, context, values)
        if ident not in current or wish.id not in current[ident].servers:
            if state == "drained":
                raise _nothing_to_drain(kernel.read(), ident, wish.id)
            if options["port"] is None and ident in current:
                _other_port(current[ident].servers, ident, wish.id, state, context)
            drain = None

        done = _plan.Plan((), None, None)
        if drain:
            done = _drain_server(kernel, read, ident, wish, drain, context, values)
        if state != "drained":
            try:
                done = _joined(done, reconcile(kernel, read, _server_plan(ident, wish, state == "absent"), context.check_mode))
            except IpvsError as error:
                raise _after(done, error) from error
    server = done.after[ident].servers.get(wish.id) if ident in done.after else None
    values["server"] = _model.server_options(server) if server else None
    return _answer(done, context, values)


def _joined(first, second):
    """Two plans that were carried out one after the other as one. ``first.before`` is None where there was none."""
    return second if first.before is None else _plan.Plan(first.operations + second.operations, first.before, second.after)


def _after(done, error):
    """The error of a task that had carried out a plan before, which stays."""
    if done.operations:
        error.details["changed"] = True
        error.details["commands"] = [_plan.command(operation) for operation in done.operations] + error.details.get("commands", [])
    return error


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


def _server_plan(ident, wish, absent=False):
    def plan(table):
        if ident in table:
            return _plan.plan_server(table, ident, wish, absent)
        if absent:
            return _plan.Plan((), {}, {})
        raise _no_service(ident)

    return plan


def _no_service(ident):
    return IpvsError(f"service {ident}: there is no such virtual service; make it first, with ipvs_service")


def _server_without_service(ident, wish, context, values):
    if not context.check_mode:
        raise _no_service(ident)
    context.warn(f"service {ident} isn't there; an earlier task may make it, so the server counts as added")
    server = _model.overlay_server(wish)
    _model.check_server(server, ident, wish)
    entry = _model.Entry(_model.overlay_service(_model.Service(ident)), {server.id: server})
    plan = _plan.Plan((_plan.Operation(_plan.ADD_SERVER, ident, None, server),), {}, {ident: entry})
    values["server"] = _model.server_options(server)
    return _answer(plan, context, values, lambda table: "".join("-a %s\n" % _rules.render_server(ident, server) for _each in table))


def _drain_settings(options):
    """(limit, timeout, interval), or None where the task does not drain."""
    timeout = options["drain_timeout"]
    for name, low, high in (("drain_timeout", 0, MAX_WAIT), ("drain_connections", 0, _model.MAX_THRESHOLD), ("drain_interval", 0.05, MAX_WAIT)):
        if options[name] is not None and not low <= options[name] <= high:  # nan is not within any range
            raise OptionError(name, options[name], "give a number from %s to %s" % (low, high))
    if options["state"] == "drained" and timeout is None:
        timeout = DRAIN_TIMEOUT
    if options["state"] == "present" or timeout is None:
        return None
    return options["drain_connections"], timeout, options["drain_interval"]


def _drain_plan(ident, wish):
    """Set the weight of a server to 0; one that somebody has removed meanwhile stays removed."""

    def plan(table):
        if ident in table and wish.id in table[ident].servers:
            return _plan.plan_server(table, ident, wish._replace(weight=0))
        return _plan.Plan((), {}, {})

    return plan


def _drain_server(kernel, read, ident, wish, drain, context, values):
    """Set the weight to 0 and wait for the connections. Returns the Plan that was carried out; its ``after`` is empty where the
    server has gone meanwhile."""
    limit, timeout, interval = drain
    plan = reconcile(kernel, read, _drain_plan(ident, wish), context.check_mode)

    def look():
        return kernel.connections(ident, wish.id)

    def reset():
        nonlocal plan
        context.warn("somebody else gave %s of %s a weight while it was drained; it was set to 0 again" % (wish.id, ident))
        plan = _joined(plan, reconcile(kernel, read, _drain_plan(ident, wish), False))

    if not plan.after:
        outcome, seen = _drain.GONE, None
    elif context.check_mode:
        outcome, seen = _drain.DRAINED, look()
    else:
        try:
            outcome, seen = _drain.wait_for_connections(look, reset, limit, timeout, interval)
        except IpvsError as error:
            raise _after(plan, error) from error
    values["connections"] = dict(seen[1]._asdict()) if seen else None
    if outcome == _drain.GONE:
        context.warn("%s of %s was removed by somebody else while it was drained" % (wish.id, ident))
        return plan._replace(after={})
    if outcome == _drain.DRAINED:
        return plan
    server, connections = seen
    if outcome == _drain.TIMED_OUT:
        text = (
            "drain_timeout: %s seconds have passed and %s of %s still has %d active connections (drain_connections: %d). "
            "Its weight is 0, so it gets no new ones, and it stays in the table." % (timeout, wish.id, ident, connections.active, limit)
        )
    else:
        text = (
            "somebody else gave %s of %s a weight twice while it was drained. Its weight is %d, so it gets new connections, "
            "and it has %d active ones. Find out who does that (a health checker, another run), and drain it again."
            % (wish.id, ident, server.weight, connections.active)
        )
    raise _after(plan, IpvsError(text, **dict(values, changed=False, commands=[], server=_model.server_options(server))))


def manage_table(options, context):
    """Many services in one task."""
    absent = options["state"] == "absent"
    wanted, prefixes = _table_wish(options)
    prune = None if absent else _prune.rule(options)

    def plan(current):
        if absent:
            return _plan.plan_absent(current, list(wanted))
        made = _plan.plan_present(current, wanted, lambda service: options["purge_servers"], prune, _entry_path(wanted, prefixes))
        if prune:
            _prune.refuse_emptiness(made, wanted, options)
            _prune.refuse_others(made, options)
            if not wanted and options["prune_scope"] is None:
                made = _plan.flush(made)
        return _checked(made, context)

    def read(kernel):
        return kernel.read(None if prune or len(wanted) > 100 else wanted)

    with _open(options, context, load=not absent and bool(wanted)) as kernel:
        done = reconcile(kernel, read, plan, context.check_mode, options["rollback"])
    services = [_model.entry_options(done.after[ident]) for ident in wanted if ident in done.after]
    return _answer(done, context, {"services": services})


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


# ---------------------------------------------------------------------------------------------------------------------
# ipvs_timeouts, ipvs_sync_daemon, ipvs_counters


def manage_timeouts(options, context):
    """The connection timeouts."""
    wish = _settings.timeouts_wish(options)
    with _open(options, context, load=any(wish)) as kernel:
        plan = reconcile(
            kernel, lambda kernel: kernel.timeouts(), lambda current: _plan.plan_timeouts(current, wish), context.check_mode
        )
    return _answer(plan, context, dict(timeouts=plan.after._asdict()), lambda timeouts: _rules.render_timeouts(timeouts) + "\n")


def manage_sync_daemon(options, context):
    """The connection synchronisation daemon of one role."""
    absent = options["state"] == "absent"
    wish = _settings.daemon_wish(options)
    with _open(options, context, load=not absent) as kernel:
        old = kernel.daemons().get(wish.role)

        def plan(current):
            made = _plan.plan_daemon(current, wish, absent)
            for operation in made.operations:
                if operation.kind == _plan.START_DAEMON:
                    _check_start(operation.after, kernel, options, context)
            return made

        try:
            plan = reconcile(kernel, lambda kernel: kernel.daemons(), plan, context.check_mode)
        except OptionError:
            raise  # nothing was stopped
        except IpvsError as error:
            raise _with_daemon(error, kernel, old) from error
        if plan.operations and not absent and not context.check_mode:
            plan = plan._replace(after=kernel.daemons())
    daemon = plan.after.get(wish.role)

    def render(daemons):
        return "".join(_rules.render_daemon(each) + "\n" for role, each in sorted(daemons.items()) if role == wish.role)

    return _answer(plan, context, {"sync_daemon": dict(daemon._asdict()) if daemon else None}, render)


def _check_start(daemon, kernel, options, context):
    """Raise where the kernel would refuse to start the daemon: found out before the one that runs is stopped."""
    warning = _multicast.check_daemon(daemon, options["netns"])
    if warning:
        context.warn(warning)
    for ident, entry in kernel.read().items():
        for server in entry.servers:
            if _literals.family_of(server.address) != ident.family:
                raise IpvsError(
                    f"a sync daemon cannot run while a server has another address family than its service: {server} of service {ident}. "
                    "Remove that server first."
                )


def _with_daemon(error, kernel, old):
    """The error, with what became of the daemon that ran before."""
    if old is None:
        return error
    try:
        runs = kernel.daemons().get(old.role) == old
    except IpvsError:
        return error
    now = "runs as before: ipvsadm %s" % _rules.render_daemon(old) if runs else "that ran before does not run"
    return IpvsError("%s The %s sync daemon %s" % (error, old.role, now), **error.details)


def zero_counters(options, context):
    """The counters of one service, of all of a protocol or family, or of all, set to zero."""
    named = options["address"] is not None or options["fwmark"] is not None
    ident = _model.service_id(options) if named else None
    criteria = {} if named else _model.service_criteria(options)

    def read(kernel):
        found = kernel.statistics([ident] if ident else None)
        if ident and ident not in found:
            if not context.check_mode:
                raise _no_service(ident)
            context.warn(f"service {ident} isn't there; an earlier task may make it, with its counters at zero")
        return {each: counters for each, counters in found.items() if _matches(each, criteria)}

    with _open(options, context, load=False) as kernel:
        everything = not (named or criteria)
        plan = reconcile(kernel, read, lambda found: _plan.plan_zero(found, everything), context.check_mode)
    text = "services and servers with counters that are not zero: %d\n"
    return _answer(plan, context, {}, lambda counted: text % counted)


# ---------------------------------------------------------------------------------------------------------------------
# ipvs_info


def read_info(options, context):
    """Everything there is to know, without loading or changing anything."""
    criteria = _model.service_criteria(options)
    with _open(options, context, load=False) as kernel:
        loaded = not isinstance(kernel, _NoKernel)
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
            "timeouts": dict(kernel.timeouts()._asdict()) if loaded else None,
            "sync_daemons": [dict(daemon._asdict()) for _role, daemon in sorted(kernel.daemons().items())],
        }
    return Answer(False, values)


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
