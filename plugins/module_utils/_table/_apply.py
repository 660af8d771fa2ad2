# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Read, plan, apply, all or nothing: again where somebody changed the table meanwhile, undone where an operation failed."""

from __future__ import annotations

import errno
import traceback

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._table._netlink import gc_paused, operation_error
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_TRIES = 3
_GONE = (errno.ESRCH, errno.ENOENT)


@gc_paused()
def reconcile(kernel, read, plan, check_mode, rollback=True, earlier=None):
    """Bring the kernel to what is wanted.

    ``read(kernel)``: what is there; ``plan(current)``: the Plan that follows from it; both are called again after a change by
    somebody else. Returns one Plan: what there was at first, what there is now, all operations done (or to be done, in check
    mode). Raises IpvsError when an operation fails, or reading or planning again does, after undoing what was done unless
    ``rollback`` is false. ``earlier``: the Plan that the same task has carried out before: it is undone, too, and part of the result.
    """
    done, before = (list(earlier.operations), earlier.before) if earlier else ([], None)
    for attempt in range(1, _TRIES + 1):
        try:
            wanted = plan(read(kernel))
        except Exception as error:  # pylint: disable=broad-except
            if not done:
                raise
            raise failure(kernel, error, done, [], rollback) from error
        before = wanted.before if before is None else before
        if check_mode or not wanted.operations:
            return _plan.Plan(tuple(done) + wanted.operations, before, wanted.after)
        tried = _carry_out(kernel, wanted.operations)
        done += [operation for operation, outcome in tried if outcome == 0]
        failed = [(operation, outcome) for operation, outcome in tried if outcome != 0]
        if not failed:
            return _plan.Plan(tuple(done), before, wanted.after)
        operation, outcome = failed[0]
        error = operation_error(outcome, operation)
        if _changed_meanwhile(operation, outcome):
            if attempt < _TRIES:
                continue
            error = "%s. Somebody else changes the table at the same time; gave up after %d tries" % (error, _TRIES)
        unknown = [lost for lost, code in failed if code is None]
        raise failure(kernel, error, done + unknown, unknown, rollback)


def _carry_out(kernel, operations):
    """[(operation, outcome)] of those that were tried: no stage of them after one in which an operation failed."""
    tried = []
    for stage in _plan.stages(operations):
        outcomes = kernel.apply(stage)
        tried += zip(stage, outcomes)
        if outcomes.count(0) < len(stage):
            break
    return tried


def _changed_meanwhile(operation, outcome):
    """Whether the failure tells that the table is not what was read, so that planning again makes sense."""
    if outcome == errno.EEXIST:
        return operation.kind in (_plan.ADD_SERVICE, _plan.ADD_SERVER, _plan.START_DAEMON)
    if outcome == errno.ESRCH:
        return operation.kind not in (_plan.ADD_SERVICE, _plan.START_DAEMON)
    return outcome == errno.ENOENT and operation.kind in (_plan.EDIT_SERVER, _plan.DELETE_SERVER)


def failure(kernel, error, done, unknown, rollback):
    """The error for the user, after undoing ``done`` (of which ``unknown`` may not have happened) unless ``rollback`` is false.

    ``error``: the message, or an exception. ``done``, ``unknown``: lists of operations.
    """
    details = {}
    if isinstance(error, Exception) and not isinstance(error, IpvsError):
        details["exception"] = traceback.format_exc()
        error = "%s: %s" % (type(error).__name__, error)
    if not done:
        return IpvsError("%s. Nothing was changed." % error)
    if not rollback:
        commands = [_plan.command(operation) for operation in done]
        return IpvsError(
            "%s. Rollback is off: the %d operations that were done stay (see commands)." % (error, len(done)),
            changed=True,
            commands=commands,
            **details
        )
    left = []
    for operation in reversed(done):
        for step in _plan.inverse(operation):
            outcome = (kernel.apply([step]) or [None])[0]
            if outcome == 0 or (outcome in _GONE and step.kind in (_plan.DELETE_SERVICE, _plan.DELETE_SERVER)):
                continue
            if operation in unknown and outcome in _GONE + (errno.EEXIST,):
                continue
            left.append("%s: %s" % (_plan.command(step), operation_error(outcome, step)))
    if left:
        return IpvsError(
            "%s. Undoing the rest failed in part; not undone: %s" % (error, "; ".join(left)), changed=True, not_undone=left, **details
        )
    return IpvsError("%s. The rest was undone (%d operations)." % (error, len(done)), **details)
