# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_keepalived does: options in, Answer out."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import (
    _checks,
    _configuration,
    _daemon,
    _failover,
    _generation,
    _guard_files,
    _leaving,
    _located,
    _state,
    _unchecked,
    _unit_file,
    _use,
    _version,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _boot, _own_files, _programs, _units
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _drain_files, _model, _places, _plan, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_TRACKED = re.compile(r"^    file /.*/", re.MULTILINE)
_PROGRAM = re.compile(r"^    lvs_notify_fifo_script .*\n", re.MULTILINE)
_SECRET = re.compile(r"^(\s*auth_pass\s+).*$", re.MULTILINE)  # of VRRP, in a file that somebody else has written
_UNIT = re.compile(r"[A-Za-z0-9_.@:-]+\Z")


def manage_keepalived(options, context):
    """The configuration of keepalived, and keepalived at work by it."""
    if not _UNIT.match(options["service"]):
        raise OptionError("service", options["service"], "give the name of a systemd unit, such as keepalived")
    unit = options["service"] if options["service"].endswith(".service") else options["service"] + ".service"
    kept = frozenset(place.address for place in _addresses.parsed(options["keep_addresses"], "keep_addresses"))
    if options["state"] == "absent":
        return _absent(options["path"], options["services"], unit, kept, context)
    return _present(options, unit, kept, context)


def _present(options, unit, kept, context):
    _drain.check_numbers(options)
    services = options["services"] or []
    table = _model.created_table(services)
    failover = _failover.failover(_located_options(options["failover"], services), services)
    if not options["checks"]:
        services, table = [], {}
    pools = _checks.pools(services)
    _guard_files.check(services, context)
    guard = _guard_files.files(table, pools)
    processes = _daemon.find(None, context)
    version = _known_version(processes, context)
    _programs.need("ipvsadm", "the unit of keepalived needs", context)
    name, text = _named(services, failover, version, guard)
    found = _own_files.read(options["path"])
    _refuse_foreign(found, options)
    guarded = frozenset(ident for ident, pool in pools.items() if pool.guarded)
    desired = _use.Desired(name, table, failover, unit, kept, guarded)
    addresses = {server.address for entry in table.values() for server in entry.servers}
    work = _use.Work(
        files=_own_files.plan([_own_files.File(options["path"], text)] + _unit_file.files(unit, failover, table, pools) + guard),
        drain_files=_drain_files.missing(addresses),
        unused_drain_files=_drain_files.unused(addresses),
        folders=_missing_folders(failover),
        enable=not _units.state(unit, context).enabled,
        processes=processes,
        names=_daemon.works_by(processes) if processes else set(),
    )
    if processes and processes.checker and not table:
        raise OptionError("checks", options["checks"], "keepalived checks services now, and would remove them from the table; end it first with state=absent")
    if work.files or work.names != {name}:
        if version:
            _try(text, services, version, context)
        _refuse_crash(found, text, version, work)
    differences, changes = _use.differences(desired, work), work.files
    if options["drain_timeout"] is not None and processes and processes.checker and work.names != {name} and not context.check_mode:
        work = _without_leaving(lambda more: _named(more, failover, version, guard), services, desired, work, options, context)
    operations = _use.carry_out(desired, work, context)
    return _answer(options["path"], unit, version, changes, differences + operations, context)


def _located_options(options, services):
    if options is None:
        return None
    node = _boot.new_node()
    try:
        return _located.located(options, services, node)
    finally:
        node.close()


def _named(services, failover, version, guard):
    return _generation.named(_configuration.configuration(services, failover, version or _version.OLDEST), _guard_files.digest(guard))


def _without_leaving(named, services, desired, work, options, context):
    """Have keepalived work by the list and by what it no longer has, with weight 0, until that has no connections. The Work that is left.

    ``named(services)``: their configuration. What is new comes first: servers that all leave have others by then.
    """
    with _session.open_kernel({"netns": None}, context) as kernel:
        states = _state.services(_daemon.checker_data(work.processes))
        gone = _leaving.leaving(kernel.read(list(desired.table)), desired.table, states)
        if not gone:
            return work
        more = _leaving.with_leaving(services, gone)
        name, text = named(more)
        found = _own_files.read(options["path"])
        others = [change for change in work.files if change.wanted.path != found.path]
        first = work._replace(files=[_own_files.Change(found, _own_files.File(found.path, text))] + others, unused_drain_files=[])
        _use.carry_out(desired._replace(name=name, table=_model.created_table(more)), first, context)
        _drain.wait_for_leaving(kernel, [(ident, server) for ident in gone for server in gone[ident]], options["drain_timeout"], context)
    # From here on, too, a failure brings back what was there before all of this.
    last = [_own_files.Change(found, _own_files.File(found.path, named(services)[1]))]
    return work._replace(files=last + others, drain_files=[], folders=[], processes=_daemon.find(None, context))


def _missing_folders(failover):
    """The folder of the file by which a director is handed over, in a list, if it is missing. keepalived makes the file, not the folder."""
    folder = os.path.dirname(failover.handover_file) if failover and failover.handover_file else None
    return [folder] if folder and not os.path.isdir(folder) else []


def _known_version(processes, context):
    """The version that runs, else the one that is installed; None where there is none, in check mode only. Raises IpvsError."""
    printed = _daemon.version(context, processes)
    if printed:
        return _version.parse("Keepalived v%s" % printed)
    if not context.check_mode:
        raise IpvsError("keepalived is not installed: install the package keepalived")
    context.warn("keepalived is not installed yet, so it could not test the configuration; an earlier task may install it")
    return None


def _refuse_foreign(found, options):
    if (found.text or "").strip() and not _generation.is_ours(found.text) and not options["replace"]:
        raise IpvsError(
            "%s was not written by this module, and would be lost. Move what you need into services and failover, look at the "
            "rest with --diff, and set replace=true" % found.path
        )


def _try(text, services, version, context):
    """Raise IpvsError unless keepalived itself has nothing against the text. Nothing is written where anybody looks for it."""
    with tempfile.TemporaryDirectory(prefix="keepalived-") as folder:
        scratch = os.path.join(folder, "keepalived.conf")
        with open(scratch, "w", encoding="utf-8") as stream:
            if not os.path.exists(_configuration.GUARD):
                text = _PROGRAM.sub("", text)
            stream.write(_TRACKED.sub("    file %s/" % folder, text))  # their folders may be missing yet
        problems = [line.replace(scratch, "the configuration") for line in _daemon.problems(scratch, context)]
    if _version.commands_end_its_test(version) and "misc_path" in text:
        problems = [problem for problem in problems if problem not in ("exit status -15", "exit status 143")]
    if problems:
        raise IpvsError("keepalived rejects this configuration, and nothing was changed: %s" % " / ".join(problems), problems=problems)


def _refuse_crash(found, text, version, work):
    """Raise IpvsError where this version would crash when it takes up the text."""
    if not (work.processes and work.processes.checker and version and _version.crashes_without_sorry_server(version)):
        return
    lost = _generation.lost_sorry_servers(found.text or "", text)
    if lost and not all(service.quorum_up for service in _state.services(_daemon.checker_data(work.processes))):
        raise IpvsError(
            "keepalived %s crashes when a sorry server in use is deleted or changed, and that of %s may be in use. Wait until the servers of "
            "the service are back, or update keepalived to 2.3.4" % (_version.text(version), ", ".join(service for service, _server in lost))
        )


def _absent(path, services, unit, kept, context):
    listed = None if services is None else _model.created_table(services)
    found = _own_files.read(path)
    if found.text is not None and not _generation.is_ours(found.text):
        context.warn("%s was not written by this module: it stays, and keepalived keeps running" % path)
        return _answer(path, unit, None, [], [], context)
    configuration = _own_files.plan([_own_files.File(path, None)])
    additions = _own_files.plan(_unit_file.no_files(unit) + _guard_files.files({}, {}))
    changes = configuration + additions
    ours = found.text is not None
    processes = _daemon.find(None, context) if ours else None
    state = _units.state(unit, context) if ours else None
    unused = _drain_files.unused(())
    asked = {address for address, each in _drain_files.read().items() if each.since is not None} if ours else set()
    gone, weights = _unchecked.remains(found.text or "", listed)
    recorded, others = _unchecked.split(weights, asked)
    drained = sorted({place.server.address for place in recorded})  # the file of a server that is not listed stays
    differences = _own_files.differences(changes) + ["%s drains nobody" % each for each in unused]
    differences += ["%s drains a server of keepalived's" % _drain_files.path(each) for each in drained]
    differences += ["%s is enabled" % unit] if state and state.enabled else []
    differences += ["keepalived runs"] if processes else []
    # It is the addition to the unit that takes the weights. Where it is gone, a former run has ended keepalived, and not come to its own end.
    failed = ours and not processes and any(change.wanted.path == _units.addition(unit) for change in additions)
    differences += _give_back(others, context) if failed else []
    differences += _delete(gone, context, check_mode=True)
    if not context.check_mode:
        record = _drain_files.record()
        with record.locked() if drained else contextlib.nullcontext():
            if drained:
                record.write({**record.read(), **recorded})
            _use.give_up(found.text, additions, unused, processes, state, kept, context)
            _drain_files.forget(drained)
        _delete(gone, context, check_mode=False)
        _own_files.write(configuration, context)  # last: it says to a run after one that failed that the rest is ours
    return _answer(path, unit, None, changes, differences, context)


def _give_back(weights, context):
    """A keepalived that has failed for good has left no server its weight. The command lines of what gives it back."""
    return _reconciled(lambda table: _places.plan(table, _places.returning(table, weights)), context, context.check_mode)


def _delete(services, context, check_mode):
    """Delete these services of keepalived's. The command lines."""
    return _reconciled(lambda table: _plan.plan_absent(table, services), context, check_mode) if services else []


def _reconciled(plan, context, check_mode):
    with _session.open_kernel({"netns": None}, context, load=False) as kernel:
        done = reconcile(kernel, lambda each: each.read(), plan, check_mode)
    return [_plan.command(operation) for operation in done.operations]


def _answer(path, unit, version, changes, differences, context):
    # Not "path": AnsibleModule adds the mode, owner and size of a file that is called so.
    values = {"file": path, "unit": unit, "version": version and _version.text(version), "differences": differences}
    before = after = None
    if context.diff:
        before = _SECRET.sub(r"\1********", _own_files.shown([change.found for change in changes]))
        after = _own_files.shown([change.wanted for change in changes])
    return Answer(bool(differences), values, before, after)
