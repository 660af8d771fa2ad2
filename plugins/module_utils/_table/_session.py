# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tasks of the table share: the kernel that a task works on, and its Answer. Knows neither AnsibleModule nor netlink messages.

``Kernel`` is looked up here when it is needed, so that tests can put another in its place.
"""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _netlink, _plan, _rules, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._table._netlink import Kernel
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


class NoKernel:
    """A kernel that has not loaded IPVS: an empty table, for reading only."""

    def read(self, idents=None):
        return {}

    statistics = read

    def uses(self, idents):
        return {ident: {} for ident in idents}

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


def open_kernel(options, context, load=True):
    """The kernel of the task's network namespace. ``load``: whether the task needs IPVS loaded; never in check mode."""
    netns = options["netns"]
    if _netlink.loaded(netns):
        return Kernel(netns)
    if context.check_mode and load:
        context.warn("IPVS is not loaded in this kernel: the table is taken as empty, and nothing is loaded in check mode")
        if _kmod.state("ip_vs") == "missing":
            context.warn("this kernel has no IPVS: %s" % _kmod.missing_hint("ip_vs"))
    return NoKernel() if context.check_mode or not load else Kernel(netns)


def answer(plan, context, values, render=_rules.render_table):
    """The Answer of a task that carried out ``plan``. ``values``: its return values but the commands; ``render``: the text of a before or
    after for --diff."""
    values["commands"] = [_plan.command(operation) for operation in plan.operations]
    texts = (render(plan.before), render(plan.after)) if context.diff else (None, None)
    return Answer(bool(plan.operations), values, *texts)


def checked(plan, context):
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
    """Whether this is a check on a kernel without IPVS, of which ``open_kernel`` has warned."""
    return context.check_mode and _kmod.state("ip_vs") == "missing"


def _is_new(operation, option):
    return operation.before is None or getattr(operation.before, option) != getattr(operation.after, option)


def entry_path(wanted, prefixes=None):
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


def joined(first, second):
    """Two plans that were carried out one after the other as one. ``first.before`` is None where there was none."""
    return second if first.before is None else _plan.Plan(first.operations + second.operations, first.before, second.after)


def after_failure(done, error):
    """The error of a task that had carried out the Plan ``done`` before, which stays."""
    if done.operations:
        error.details["changed"] = True
        error.details["commands"] = [_plan.command(operation) for operation in done.operations] + error.details.get("commands", [])
    return error


def no_service(ident):
    """The error for a server or counters of a virtual service that is not there."""
    return IpvsError(f"service {ident}: there is no such virtual service; create it first, with ipvs_service")
