# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived's own reader takes our texts without a word: lists with every option, random ones, and long ones."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.to_keepalived import to_keepalived
from tests.keepalived_lists import COMMAND, EVERYTHING, FAILOVER, lists, lists_of_commands

random_texts = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def text(reader, services, **options):
    return to_keepalived(services, version=".".join(map(str, reader.version)), **options)


def test_every_option(reader):
    reader.accepts(text(reader, EVERYTHING, failover=FAILOVER))
    reader.accepts(text(reader, EVERYTHING + COMMAND), commands=True)


@pytest.mark.parametrize(
    "failover",
    [
        {"interface": "eth0", "priority": 1, "addresses": ["2001:db8::80", "203.0.113.80"]},
        {"interface": "eth0", "priority": 254, "preempt": False, "source_address": "203.0.113.2", "sync": {"interface": "eth1"}},
        {"interface": "eth0", "priority": 9, "preempt_delay": 0, "handover_file": "/var/lib/ipvs-director/handover", "advert_interval": 0.05},
        {"interface": "eth0", "priority": 9, "peers": ["2001:db8::3"], "addresses": ["2001:db8::80", "203.0.113.80"], "advert_interval": 40},
        {"interface": "eth0", "priority": 9, "addresses": [f"203.0.113.{number}" for number in range(10, 250)], "router_id": 255},
        {"interface": "eth0", "priority": 9, "back_interface": "eth1", "gateways": ["fe80::1"], "sync": {"interface": "eth1", "sync_id": 0}},
    ],
)
def test_failover(reader, failover):
    services = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11"}]}]
    reader.accepts(text(reader, services, failover=failover))
    reader.accepts(text(reader, services, failover=failover, checks=False))


def test_random_lists(reader):
    @random_texts
    @given(lists, st.sampled_from([None, FAILOVER]))
    def accepted(services, failover):
        reader.accepts(text(reader, services, failover=failover))

    accepted()


def test_random_commands(reader):
    @random_texts
    @given(lists_of_commands)
    def accepted(services):
        reader.accepts(text(reader, services), commands=True)

    accepted()


def test_ten_thousand_servers(reader):
    def server(number):
        return {"address": f"2001:db8::{number:x}", "forward_method": "nat", "check": {"type": "http", "path": f"/{number}"}}

    services = [{"address": f"2001:db8:1::{part}", "port": 80, "servers": [server(number) for number in range(part, 10001, 20)]} for part in range(1, 21)]
    reader.accepts(text(reader, services))


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("lvs_sched wlc", "lvs_sched wlcc", "Invalid lvs_scheduler 'wlcc'"),
        ("track_file 198.51.100.11\n            weight 1", "track_file 198.51.100.12\n            weight 1", "track_file 198.51.100.12 not found"),
        ("interface eth0", "interface eth7", "eth7"),
        ("quorum 2", "quorum 3", "quorum 3 for"),
        ("TCP_CHECK", "TCP_CHEK", "TCP_CHEK"),
    ],
)
def test_a_mistake_is_noticed(reader, old, new, complaint):
    """So that silence means something."""
    servers = [{"address": "198.51.100.11"}, {"address": "198.51.100.13"}]
    services = [{"address": "203.0.113.80", "port": 80, "quorum": 2, "servers": servers}]
    right = text(reader, services, failover={"interface": "eth0", "priority": 100})
    assert old in right
    done = reader(right.replace(old, new))
    assert done.status and complaint in done.complaints
