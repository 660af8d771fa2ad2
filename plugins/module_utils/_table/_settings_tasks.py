# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_timeouts and ipvs_sync_daemon do: options in, Answer out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _multicast, _plan, _rules, _session, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError


def manage_timeouts(options, context):
    """The connection timeouts."""
    desired = _settings.desired_timeouts(options)
    with _session.open_kernel(options, context, load=any(desired)) as kernel:
        plan = reconcile(
            kernel, lambda kernel: kernel.timeouts(), lambda current: _plan.plan_timeouts(current, desired), context.check_mode
        )
    return _session.answer(plan, context, dict(timeouts=plan.after._asdict()), lambda timeouts: _rules.render_timeouts(timeouts) + "\n")


def manage_sync_daemon(options, context):
    """The connection synchronization daemon of one role."""
    absent = options["state"] == "absent"
    desired = _settings.desired_daemon(options)
    with _session.open_kernel(options, context, load=not absent) as kernel:
        old = kernel.daemons().get(desired.role)

        def plan(current):
            made = _plan.plan_daemon(current, desired, absent)
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
            try:
                plan = plan._replace(after=kernel.daemons())  # the kernel may have made another packet length of it
            except IpvsError as error:
                raise _session.after_failure(plan, error) from error
    daemon = plan.after.get(desired.role)

    def render(daemons):
        return "".join(_rules.render_daemon(each) + "\n" for role, each in sorted(daemons.items()) if role == desired.role)

    return _session.answer(plan, context, {"sync_daemon": dict(daemon._asdict()) if daemon else None}, render)


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
