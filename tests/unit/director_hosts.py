# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of directors as the playbooks collect them, for what compares directors and hands over between them."""

from __future__ import annotations

VIP, GATEWAY, FIRST, SECOND = "203.0.113.80", "198.51.100.250", "198.51.100.11", "198.51.100.12"
PRIORITIES = {"lb1": 150, "lb2": 100, "lb3": 90}


def instance(name, state, priority, address):
    place = {"address": address, "interface": "eth0", "present": state == "master"}
    since = "2026-01-31T12:00:00Z"
    return {"name": name, "state": state, "since": since, "priority": priority, "effective_priority": priority, "addresses": [place]}


def server(address, weight=1, **more):
    statistics = {"active_connections": 4, "inactive_connections": 1, "connections": 5}
    return {"address": address, "port": 80, "forward_method": "nat", "weight": weight, "upper_threshold": 0, "statistics": statistics, **more}


def health(address, state="up", drained=False):
    checks = [{"type": "http", "up": state == "up", "ran": state != "unknown"}, {"type": "file", "up": True, "ran": True}]
    return {"address": address, "port": 80, "health": state, "checks": checks, "drained": drained, "configured_weight": 1, "weight": 1}


def host(name, state, lowered=False, priority=None):
    """The variables of a director."""
    ident = {"address": VIP, "port": 80, "protocol": "tcp"}
    priority = priority or PRIORITIES[name]
    return {
        "inventory_hostname": name,
        "director_keepalived": {
            "running": True,
            "instances": [instance("front", state, priority, VIP), instance("back", state, priority, GATEWAY)],
            "handover": {"file": "/var/lib/ipvs-director/handover", "lowered": lowered},
            "services": [{**ident, "quorum_up": True, "servers": [health(FIRST), health(SECOND)]}],
            "drained": [],
        },
        "director_seen": {"services": [{**ident, "scheduler": "rr", "statistics": {"connections_per_second": 2}, "servers": [server(FIRST), server(SECOND)]}]},
        "director_differences": [],
    }


def table(director):
    return director["director_seen"]["services"]


def checks(director):
    return director["director_keepalived"]["services"][0]["servers"]


def without_vrrp(director, running=True):
    director["director_keepalived"].update(instances=[], handover=None, running=running)
    return director


def out(director, number, **how):
    """Have a check or a drain take a server out."""
    address = (FIRST, SECOND)[number]
    checks(director)[number] = health(address, **how)
    table(director)[0]["servers"][number] = server(address, 0)
