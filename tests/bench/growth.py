# SPDX-License-Identifier: GPL-3.0-or-later
"""What an entry costs in tables of different sizes, and the memory at the peak. Each size in a process of its own.

    python -m tests.bench.growth SERVICES SERVERS    print the times of one size as JSON
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

from ansible_collections.lvs.ipvs.plugins.module_utils import _model, _netlink, _plan
from ansible_collections.lvs.ipvs.plugins.module_utils._apply import reconcile

from . import measure, tables

MODULE = "ansible_collections.lvs.ipvs.plugins.modules.ipvs_table"
_TIMES, _ENOUGH = 20, 5000  # a small table is measured up to so many times, or until so many entries are done


def measure_size(size):
    """{"apply": seconds, "read": ..., "nothing to do": ...} for one table, and "peak": MiB of the process that did it."""
    output, peak = child([sys.executable, "-m", "tests.bench.growth", str(size.services), str(size.servers)])
    return dict(json.loads(output), peak=peak)


def measure_module(size):
    """The peak in MiB of a whole ``ipvs_table`` process that finds nothing to do."""
    services = tables.options(size)
    arguments = {"services": services, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}
    with measure.namespace():
        with _netlink.Kernel() as kernel:
            kernel.apply(_plan.plan_present({}, _model.table_wish(services)).operations)
        output, peak = child([sys.executable, "-m", MODULE], json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    result = json.loads(output)
    if result.get("changed") is not False:
        raise AssertionError(f"the module was to find nothing to do: {result.get('msg')}")
    return peak


def child(command, text=b""):
    """Run a command with ``text`` as its input; return its output and the peak of its resident memory in MiB."""
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, sys.path)))
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write(text)
    process.stdin.close()
    output = process.stdout.read()
    _pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{command} ended with {process.returncode}")
    return output, usage.ru_maxrss / 1024


def main(services, servers):
    size = tables.Size(int(services), int(servers))
    wanted = _model.table_wish(tables.options(size))
    times = {"apply": [], "read": [], "nothing to do": []}
    with measure.namespace(), _netlink.Kernel() as kernel:
        for _time in range(max(1, min(_TIMES, _ENOUGH // size.entries))):
            clock = measure.Clock()
            with clock("apply"):
                bring(kernel, wanted)
            with clock("read"):
                kernel.read()
            with clock("nothing to do"):
                bring(kernel, wanted)
            for name, seconds in clock.times.items():
                times[name].append(seconds)
            bring(kernel, {})
    print(json.dumps({name: measure.median(seconds) for name, seconds in times.items()}))


def bring(kernel, wanted):
    """Make the kernel's table the one that is wanted."""
    return reconcile(kernel, lambda kernel: kernel.read(), lambda table: _plan.plan_present(table, wanted, None, lambda ident: True), False)


if __name__ == "__main__":
    main(*sys.argv[1:])
