# SPDX-License-Identifier: GPL-3.0-or-later
"""The library and the kernel together, against ipvsadm and pyroute2's own IPVS classes. No Ansible."""

from __future__ import annotations

import socket
import subprocess
import tempfile

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _netlink, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile

from . import measure, tables


def compare(size, rounds, stock=None):
    """Times of ``ours`` and ``ipvsadm`` for one size of table, and of pyroute2's classes for the size ``stock``.

    Returns what measure.in_turn does.
    """
    services = tables.options(size)
    ways = {"ours": lambda clock: ours(services, clock), "ipvsadm": lambda clock: ipvsadm(services, clock)}
    if stock:
        few = tables.options(stock)
        ways["stock"] = lambda clock: stock_pyroute2(few, clock)
    return measure.in_turn(rounds, ways)


def ours(services, clock):
    """Apply a table, read it, apply it again, change a weight, remove the second half. Each from options to the last answer."""
    changed = tables.change_one(services)
    half = services[: len(services) // 2]
    sizes = [1 + len(service["servers"]) for service in services]

    def whole(options, prune, operations):
        with _netlink.Kernel() as kernel:
            desired = _model.desired_table(options)
            done = reconcile(kernel, lambda kernel: kernel.read(), lambda table: _plan.plan_present(table, desired, prune, prune), False)
        if len(done.operations) != operations:
            raise AssertionError(f"{len(done.operations)} operations instead of {operations}")

    with measure.namespace():
        with clock("apply"):
            whole(services, None, sum(sizes))
        with clock("read"), _netlink.Kernel() as kernel:
            table = kernel.read()
        if [1 + len(entry.servers) for entry in table.values()] != sizes:
            raise AssertionError("what was read is not what was applied")
        del table
        with clock("nothing to do"):
            whole(services, None, 0)
        with clock("one weight"):
            whole(changed, None, 1)
        with clock("nothing to do, again"):
            whole(changed, None, 0)
        with clock("prune half"):
            whole(half, lambda ident: True, len(services) - len(half))


def ipvsadm(services, clock):
    """The same by ipvsadm, as far as it can: it has no word for "nothing to do"."""
    with tempfile.TemporaryFile("w+") as everything, tempfile.TemporaryFile("w+") as removals, measure.namespace():
        everything.write(tables.rules(services))
        removals.write(tables.removal_rules(services[len(services) // 2 :]))
        with clock("apply"):
            run("ipvsadm", "-R", stdin=everything)
        with clock("read"):
            run("ipvsadm", "-S", "-n")
        with clock("one weight"):
            run(*tables.edit_command(services))
        with clock("prune half"):
            run("ipvsadm", "-R", stdin=removals)


def run(*command, stdin=None):
    if stdin is not None:
        stdin.seek(0)
    subprocess.run(command, stdin=stdin, stdout=subprocess.DEVNULL, check=True)


def stock_pyroute2(services, clock):
    """The same by the IPVS classes that come with pyroute2."""
    from pyroute2 import IPVS, IPVSDest, IPVSService

    with measure.namespace(), IPVS() as ipvs:
        with clock("apply"):
            for each in services:
                service = IPVSService(addr=each["address"], port=each["port"], protocol=socket.IPPROTO_TCP, sched_name=each["scheduler"])
                ipvs.service("add", service=service)
                for server in each["servers"]:
                    ipvs.dest("add", service=service, dest=IPVSDest(addr=server["address"], port=server["port"], weight=server["weight"], fwd_method=0))
        with clock("read"):
            count = 0
            for message in ipvs.service("dump"):
                service = IPVSService.from_message(message)
                count += 1 + sum(1 for each in ipvs.dest("dump", service=service) if IPVSDest.from_message(each))
        if count != sum(1 + len(each["servers"]) for each in services):
            raise AssertionError(f"{count} entries read")
