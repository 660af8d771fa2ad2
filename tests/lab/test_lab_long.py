# SPDX-License-Identifier: GPL-3.0-or-later
"""What takes the lab long: Debian's newest, and many machines."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from extensions.lab import Lab, host
from extensions.lab.image import image
from tests.support import PATIENCE

pytestmark = pytest.mark.slow
MANY = 32


def answer(lab, name, line):
    done = lab.ssh(name, line, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def test_a_machine_of_sid_on_both_kernels(capsys):
    with Lab("t-sid") as lab:
        lab.up(["old:sid", "new:sid,kernel=sid"])
        for name in ("old", "new"):
            assert answer(lab, name, "systemctl is-system-running --wait; systemctl --failed --no-legend") == "running"
            assert "Debian" in answer(lab, name, ". /etc/os-release; echo $NAME") and answer(lab, name, "cut -d/ -f2 /etc/debian_version") == "sid"
            assert "IP Virtual Server" in answer(lab, name, "apt-get -q -y install ipvsadm >/dev/null 2>&1; ipvsadm -Ln")
        versions = answer(lab, "new", "systemctl --version | head -n 1; uname -r; ping -c 1 -w 20 198.51.100.11 >/dev/null && echo there").splitlines()
    with capsys.disabled():
        print(f"\nsid: {versions[0]}, Linux {versions[1]}")
    assert versions[2] == "there"


def memory(lab):
    """MiB that the processes of the lab have for themselves, or share among them."""
    total = 0
    for pid in host.kernels(lab.directory):
        try:
            total += sum(int(line.split()[1]) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        except (FileNotFoundError, ProcessLookupError):
            pass  # a process of the machine that has just ended
    return total / 1024


def test_many_machines(capsys):
    image("bookworm")  # the time of its building is not that of the machines
    with Lab("t-many") as lab:
        start = time.monotonic()
        lab.up([f"h{number}" for number in range(1, MANY + 1)])
        up = time.monotonic() - start
        names = [answer(lab, f"h{number}", "hostname; systemctl is-system-running --wait") for number in range(1, MANY + 1)]
        assert names == [f"h{number}\nrunning" for number in range(1, MANY + 1)]
        # the last one and the first one reach each other
        answer(lab, f"h{MANY}", "ping -c 1 -w 20 198.51.100.11 >/dev/null")
        used = memory(lab)
        start = time.monotonic()
    with capsys.disabled():
        cpus = len(os.sched_getaffinity(0))
        print(f"\n{MANY} machines on {cpus} CPUs: up after {up:.0f} s, {used / MANY:.0f} MiB each, down after {time.monotonic() - start:.0f} s")
    assert not lab.directory.exists()
