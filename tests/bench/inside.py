# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that is measured, in the lab's kernel."""

from __future__ import annotations

import platform
import subprocess
import sys
import time
from importlib.metadata import version
from typing import NamedTuple

from . import drain, growth, library, measure, report, tasks
from .tables import Size


class Extent(NamedTuple):
    """How much is measured: sizes of tables, and how many rounds."""

    table: Size
    table_rounds: int
    large: Size | None
    large_rounds: int
    stock: Size
    task_service: Size
    task_table: Size
    task_large: Size
    task_rounds: int
    growth: tuple
    growth_rounds: int
    directors: tuple
    drain_rounds: int


PARTS = ("library", "tasks", "growth", "drain")
FULL = Extent(
    table=Size(1000, 10),
    table_rounds=5,
    large=Size(10000, 5),
    large_rounds=2,
    stock=Size(50, 10),
    task_service=Size(1, 10),
    task_table=Size(100, 5),
    task_large=Size(1000, 10),
    task_rounds=3,
    growth=(Size(10, 9), Size(100, 9), Size(1000, 9), Size(5000, 9)),
    growth_rounds=3,
    directors=(1, 3, 10),
    drain_rounds=1,
)
QUICK = Extent(
    table=Size(200, 10),
    table_rounds=2,
    large=None,
    large_rounds=0,
    stock=Size(10, 10),
    task_service=Size(1, 3),
    task_table=Size(10, 5),
    task_large=Size(100, 10),
    task_rounds=1,
    growth=(Size(10, 9), Size(100, 9)),
    growth_rounds=1,
    directors=(1,),
    drain_rounds=1,
)


def measure_all(extent, parts, results):
    """Measure the parts (a collection of names out of PARTS) and write the results into the folder ``results``."""
    for module in ("ip_vs", "ip_vs_wrr"):
        subprocess.run(["modprobe", module], check=True)
    start = time.monotonic()
    lines, costs, peaks = [], [], {}
    if "library" in parts:
        lines += library_lines(extent)
    if "tasks" in parts:
        lines += task_lines(extent)
    if "drain" in parts:
        lines += drain_lines(extent)
    if "growth" in parts:
        costs, peaks = growth_lines(extent)
    report.write(results, machine(time.monotonic() - start), lines, costs, peaks)
    print((results / "results.md").read_text())


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


def machine(duration):
    return {
        "Kernel": f"{platform.release()} ({platform.machine()}), one CPU",
        "Python": platform.python_version(),
        "ansible-core": version("ansible-core"),
        "pyroute2": version("pyroute2"),
        "ipvsadm": subprocess.run(["ipvsadm", "--version"], check=True, capture_output=True, text=True).stdout.split()[1],
        "Taken in": f"{duration / 60:.1f} minutes",
    }


def library_lines(extent):
    lines = compared(extent.table, extent.table_rounds, extent.stock)
    if extent.large:
        lines += [line._replace(limit=None) for line in compared(extent.large, extent.large_rounds)]
    return lines


def compared(size, rounds, stock=None):
    say(f"library, {size}, {rounds} rounds")
    taken = library.compare(size, rounds, stock)

    def line(name, against, theirs, limit=None):
        return report.Line(f"Library and kernel, {size} servers", name, taken["ours", name], against, theirs, limit)

    lines = [
        line("apply", "ipvsadm -R", taken["ipvsadm", "apply"], 0.9),
        line("read", "ipvsadm -S -n", taken["ipvsadm", "read"], 0.7),
        line("nothing to do", "ipvsadm -S -n", taken["ipvsadm", "read"], 1.2),
        line("one weight", "nothing to do", taken["ours", "nothing to do, again"], 1.05),
        line("one weight", "ipvsadm -e, once", taken["ipvsadm", "one weight"]),
        line("prune half", "ipvsadm -R of -D lines", taken["ipvsadm", "prune half"]),
    ]
    if stock:
        factor = size.entries / stock.entries
        for name in ("apply", "read"):
            scaled = [factor * each for each in taken["stock", name]]
            lines.append(line(name, f"pyroute2's IPVS classes (× {factor:g})", scaled))
    return lines


def task_lines(extent):
    say(f"tasks, {extent.task_rounds} rounds")
    taken = tasks.compare(extent.task_service, extent.task_table, extent.task_large, extent.task_rounds)
    nothing = taken["start | command true"]
    start, service = "Starting a module", f"Tasks: a service with {extent.task_service.servers} servers"
    table, large = f"Tasks: a table of {extent.task_table} servers", f"Tasks: a table of {extent.task_large} servers, nothing to do"
    lines = [
        report.Line(start, name, taken[f"start | {name}"], "command: /bin/true", nothing, limit)
        for name, limit in (("ipvs_info", 1.4), ("ipvs_modules", 1.4))
    ]
    for run in ("first run", "second run"):
        lines.append(report.Line(service, run, taken[f"service | ours | {run}"], "a loop of command: ipvsadm", taken[f"service | loop | {run}"], 1 / 8))
    for run in ("first run", "second run"):
        theirs = [sum(pair) for pair in zip(taken[f"table | template | {run}"], taken[f"table | restore | {run}"], strict=True)]
        lines.append(report.Line(table, run, taken[f"table | ours | {run}"], "template, then ipvsadm -C and -R", theirs))
    nothing = taken["large | command true"]
    for way, limit in (("services", 3), ("rules", 3)):
        lines.append(report.Line(large, f"ipvs_table with {way}", taken[f"large | {way} | nothing to do"], "command: /bin/true", nothing, limit))
    return lines


def drain_lines(extent):
    lines = []
    for number in extent.directors:
        say(f"drain over {number} directors, {extent.drain_rounds} rounds")
        taken = drain.compare(number, extent.drain_rounds)
        say(", ".join(f"{way}: {' '.join(map(report.seconds, seconds))}" for way, seconds in taken.items()))
        name = f"over {number} director{'s' if number > 1 else ''}"
        limit = 1 / 4 if number >= 10 else None
        lines.append(report.Line("drain.yml, one real server out and back", name, taken["ours"], "before ipvs_drain", taken["before"], limit))
    return lines


def growth_lines(extent):
    costs = {}
    peaks = {}
    for number in range(extent.growth_rounds):
        for size in extent.growth:
            say(f"cost of an entry, {size}, round {number + 1}")
            taken = growth.measure_size(size)
            peaks[f"the library, {size.entries:,} entries"] = taken.pop("peak")
            for name, seconds in taken.items():
                costs.setdefault(name, {}).setdefault(size.entries, []).append(seconds / size.entries * 1e6)
    largest = extent.growth[-1]
    say(f"memory of a whole module, {largest}")
    peaks[f"ipvs_table, {largest.entries:,} entries"] = growth.measure_module(largest)
    return [report.Growth(name, {size: measure.median(each) for size, each in sizes.items()}) for name, sizes in costs.items()], peaks
