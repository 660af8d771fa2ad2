# SPDX-License-Identifier: GPL-3.0-or-later
"""Time in seconds, network namespaces, and rounds in which the ways that are compared take turns."""

from __future__ import annotations

import contextlib
import gc
import itertools
import subprocess
import time
from statistics import median

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns

_numbers = itertools.count()


@contextlib.contextmanager
def namespace():
    """Run the block in a new network namespace, and with that on an empty IPVS table."""
    name = f"bench{next(_numbers)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        with _netns.inside(name):
            # without loopback the kernel knows no unicast address, and takes no server
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            try:
                yield
            finally:
                # emptied here: the kernel would do it later, beside the next measurement
                subprocess.run(["ipvsadm", "-C"], check=True)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Clock:
    """Takes times by name: ``with clock("read"): ...``; ``clock.times`` is a dict, name -> seconds."""

    def __init__(self):
        self.times = {}

    @contextlib.contextmanager
    def __call__(self, name):
        gc.collect()
        start = time.perf_counter()
        yield
        self.times[name] = time.perf_counter() - start


def in_turn(rounds, ways):
    """Run every way once a round, in turn. ``ways``: dict, name -> function(Clock).

    Returns a dict: (name of the way, name of the time) -> list of seconds, one for each round.
    """
    taken = {}
    for _round in range(rounds):
        for way, function in ways.items():
            clock = Clock()
            function(clock)
            for name, seconds in clock.times.items():
                taken.setdefault((way, name), []).append(seconds)
    return taken


def ratio(ours, theirs):
    """The median of the rounds' ratios: what a round did to the machine's speed, it did to both sides."""
    return median(a / b for a, b in zip(ours, theirs, strict=True))
