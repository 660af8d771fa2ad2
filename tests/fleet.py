# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up fleet: the variables of directors and real servers as the roles' comparison leaves them behind."""
from __future__ import annotations


def service(address, servers, **more):
    counters = {"connections": 4711, "connections_per_second": 12}
    return {
        "address": address, "port": 80, "protocol": "tcp", "scheduler": "wrr", "persistence_timeout": 0, "one_packet": False,
        "statistics": counters, "servers": [server(*each) for each in servers], **more,
    }  # fmt: skip


def server(address, weight, active):
    statistics = {"active_connections": active, "inactive_connections": 2 * active, "connections": 100 * active}
    return {"address": address, "port": 80, "forward_method": "nat", "weight": weight, "upper_threshold": 0, "statistics": statistics}


def seen(*services):
    return {
        "loaded": True, "version": "1.2.1", "connection_table_size": 4096, "services": list(services), "sync_daemons": [],
        "timeouts": {"tcp": 900, "tcp_fin": 120, "udp": 300},
    }  # fmt: skip


def keepalived(state, since, lowered=False, services=(), drained=()):
    places = [{"address": "203.0.113.90", "interface": "eth1", "present": state == "master"}]
    return {
        "running": True, "services": list(services), "drained": list(drained), "handover": {"file": "/nowhere", "lowered": lowered},
        "instances": [{"name": "front", "state": state, "since": since, "priority": 150, "effective_priority": 150, "addresses": places}],
    }  # fmt: skip


def checked(address, *servers):
    states = [{"address": each, "port": 80, "health": health, "checks": [{"type": "http", "up": health == "up"}], "drained": drained}
              for each, health, drained in servers]  # fmt: skip
    return {"address": address, "port": 80, "protocol": "tcp", "quorum_up": True, "servers": states}


DIRECTORS = {
    "lb1": {
        "director_seen": seen(
            service("203.0.113.80", [("198.51.100.11", 3, 40), ("198.51.100.12", 1, 10), ("198.51.100.13", 0, 0)]),
            service("2001:db8:1234:5678:9abc:def0:1234:5678", [("2001:db8:1234:5678:9abc:def0:1234:1111", 1, 7)], persistence_timeout=60),
            {key: value for key, value in service("", [], fwmark=7, family="ipv6").items() if key not in ("address", "port", "protocol")},
        ),
        "director_differences": [],
        "director_addresses": [{"address": "203.0.113.80"}, {"address": "2001:db8:1234:5678:9abc:def0:1234:5678"}],
        "director_keepalived": keepalived(
            "master", "2026-01-31T12:00:00Z",
            services=[checked("203.0.113.80", ("198.51.100.11", "up", False), ("198.51.100.12", "up", True), ("198.51.100.13", "down", False))],
            drained=[{"address": "198.51.100.12", "since": "2026-01-30T08:15:00Z"}],
        ),  # fmt: skip
    },
    "lb2": {
        "director_seen": seen(service("203.0.113.81", [("198.51.100.11", 1, 5)])),
        "director_differences": ["services: to be done ipvsadm -e -t 203.0.113.81:80 -r 198.51.100.11:80 -m -w 3", "<b>not markup</b>"],
        "director_addresses": [{"address": "203.0.113.81"}],
        "director_keepalived": keepalived("backup", "2026-01-31T11:00:00Z", lowered=True),
    },
    "lb3": {"director_problem": "no pyroute2 & no patience"},
    "lb4": {},
}
REAL_SERVERS = {
    "web1": {"real_server_seen": {"places": 2, "addresses": [{"address": "203.0.113.80"}, {"address": "2001:db8::80"}]}, "real_server_differences": []},
    "web2": {"real_server_seen": {"places": 1, "addresses": []}, "real_server_differences": ["missing: address 203.0.113.80/32 dev lo"]},
    "web3": {"real_server_problem": "director_services: []"},
}
