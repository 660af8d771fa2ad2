# SPDX-License-Identifier: GPL-3.0-or-later
"""A pool of four servers of one weight, for the program that holds max_unhealthy: half of it may be out."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _pool_guard

SERVICE = "[203.0.113.80]:tcp:80"
WEIGHTS = {f"198.51.100.{number}": 5 for number in (11, 12, 13, 14)}


def name(address):
    return f"[{address}]:80"


def pool(share=50, weights=WEIGHTS):
    servers = {name(address): _pool_guard.Server(address, weight, f"{address} in", f"{address} out") for address, weight in weights.items()}
    return _pool_guard.Pool(SERVICE, share, servers)


def line(address, state="DOWN"):
    return f"RS [{address}]:tcp:80 {SERVICE} {state}"


FIRST, SECOND, THIRD, FOURTH = WEIGHTS
