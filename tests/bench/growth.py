# SPDX-License-Identifier: GPL-3.0-or-later
"""What an entry costs in tables of different sizes, and the memory at the peak. Each size in a process of its own.

    python -m tests.bench.growth size SERVICES SERVERS    print the times of one size, and the peak, as JSON
    python -m tests.bench.growth module                   be ipvs_table, with arguments from standard input, and add the peak
"""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _netlink, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._table._apply import reconcile

from . import measure, tables

MODULE = "ansible_collections.lvs.ipvs.plugins.modules.ipvs_table"
_TIMES = 5


def measure_size(size):
    """{"apply": seconds, "read": ..., "nothing to do": ...} for one table, and "peak": MiB of the process that did it."""
    return json.loads(child("size", str(size.services), str(size.servers)))


def measure_module(size):
    """The peak in MiB of a whole ``ipvs_table`` process that finds nothing to do."""
    services = tables.options(size)
    arguments = {"services": services, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
    with measure.namespace():
        with _netlink.Kernel() as kernel:
            kernel.apply(_plan.plan_present({}, _model.desired_table(services)).operations)
        printed = child("module", text=json.dumps({"ANSIBLE_MODULE_ARGS": arguments}))
    result, highest = [json.loads(line) for line in printed.splitlines() if line]
    if result["changed"]:
        raise AssertionError("the module was to find nothing to do")
    return highest["peak"]


def child(*words, text=""):
    """Run this file's program in a process of its own with ``text`` as its input; return what it prints."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    command = [sys.executable, "-m", "tests.bench.growth", *words]
    return subprocess.run(command, env=environment, input=text, stdout=subprocess.PIPE, text=True, check=True).stdout


def peak():
    """The most memory in MiB that this process has had (ru_maxrss would count the parent's before the exec)."""
    return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def be_module():
    sys.argv = [MODULE]  # else Ansible takes our argument for the file that the options lie in
    try:
        runpy.run_module(MODULE, run_name="__main__")
    finally:
        print(json.dumps({"peak": peak()}))


def print_size(services, servers):
    size = tables.Size(int(services), int(servers))
    wanted = _model.desired_table(tables.options(size))
    times = {"apply": [], "read": [], "nothing to do": []}
    for number in range(1 + _TIMES):
        # a new namespace each time: of servers that were deleted the kernel keeps a list for a while, and searches it
        with measure.namespace(), _netlink.Kernel() as kernel:
            clock = measure.Clock()
            with clock("apply"):
                bring(kernel, wanted)
            with clock("read"):
                kernel.read()
            with clock("nothing to do"):
                bring(kernel, wanted)
        if number:  # the first one pays for what Python loads and learns, a fixed cost
            for name, seconds in clock.times.items():
                times[name].append(seconds)
    print(json.dumps(dict({name: measure.median(seconds) for name, seconds in times.items()}, peak=peak())))


def bring(kernel, wanted):
    """Make the kernel's table the one that is wanted."""
    return reconcile(kernel, lambda kernel: kernel.read(), lambda table: _plan.plan_present(table, wanted, None, lambda ident: True), False)


if __name__ == "__main__":
    {"size": print_size, "module": be_module}[sys.argv[1]](*sys.argv[2:])
