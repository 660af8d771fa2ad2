# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of failover, and their text."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.to_keepalived import to_keepalived
from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _version
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from tests.keepalived_lists import FAILOVER

SERVICES = (
    {"address": "203.0.113.81", "port": 80, "servers": [{"address": "198.51.100.11"}]},
    {"address": "203.0.113.9", "port": 80, "servers": [{"address": "198.51.100.11"}]},
    {"address": "203.0.113.9", "port": 443, "servers": [{"address": "198.51.100.11"}]},
    {"address": "2001:db8::80", "port": 80, "servers": [{"address": "2001:db8::11"}]},
    {"fwmark": 7, "servers": [{"address": "198.51.100.11"}]},
)
TEXT = """\
# Written by the Ansible collection lvs.ipvs. Changes made here are lost: change the list of services.
global_defs {
    reload_check_config
    lvs_sync_daemon eth1 inst front id 52
}
# 1 in this file hands over to the other director, 0 takes back
track_file handover {
    file /var/lib/ipvs-director/handover
    weight -100
    init_file 0
}
vrrp_sync_group director {
    group {
        front
        back
    }
    track_file {
        handover
    }
    sync_group_tracking_weight
}
vrrp_instance front {
    state BACKUP
    version 3
    interface eth0
    virtual_router_id 52
    priority 100
    advert_int 0.2
    preempt_delay 15
    unicast_src_ip 203.0.113.2
    unicast_peer {
        203.0.113.3
    }
    virtual_ipaddress {
        203.0.113.80/32 dev eth0
    }
    virtual_ipaddress_excluded {
        203.0.113.81/24 dev eth0
        2001:db8::80/128 dev eth1
    }
}
vrrp_instance back {
    state BACKUP
    version 3
    interface eth1
    virtual_router_id 52
    priority 100
    advert_int 0.2
    preempt_delay 15
    unicast_peer {
        198.51.100.3
    }
    virtual_ipaddress {
        198.51.100.1/24 dev eth1
    }
}
"""


def lines(services=None, **failover):
    text = to_keepalived(SERVICES if services is None else services, failover={"interface": "eth0", "priority": 100, **failover}, checks=False)
    return [line.strip() for line in text.splitlines()]


def test_a_whole_text():
    assert to_keepalived([], failover={**FAILOVER, "router_id": 52, "sync": {"interface": "eth1"}}, checks=False) == TEXT


def test_the_least_that_is_needed():
    """Without addresses those of the services move, in an order that the list's does not change."""
    text = lines()
    assert text == lines(SERVICES[::-1])
    assert text[1:] == [
        "global_defs {", "reload_check_config", "}",
        "vrrp_instance front {", "state BACKUP", "version 3", "interface eth0", "virtual_router_id 51", "priority 100", "advert_int 1", "preempt_delay 15",
        "virtual_ipaddress {", "203.0.113.9/32 dev eth0", "}",
        "virtual_ipaddress_excluded {", "203.0.113.81/32 dev eth0", "2001:db8::80/128 dev eth0", "}", "}",
    ]  # fmt: skip


def test_checks_and_failover():
    text = to_keepalived(SERVICES, failover={"interface": "eth0", "priority": 100})
    assert text.index("vrrp_instance front") < text.index("track_file 198.51.100.11") < text.index("virtual_server 203.0.113.9 80")


@pytest.mark.parametrize(
    ("failover", "expected"),
    [
        ({"preempt": False}, ["advert_int 1", "nopreempt"]),
        ({"addresses": ["203.0.113.80", "203.0.113.81"]}, ["203.0.113.80/32 dev eth0", "}", "virtual_ipaddress_excluded {", "203.0.113.81/32 dev eth0", "}"]),
        ({"preempt_delay": 0}, ["advert_int 1", "preempt_delay 0"]),
        ({"source_address": "203.0.113.2"}, ["mcast_src_ip 203.0.113.2", "virtual_ipaddress {"]),
        ({"peers": ["2001:DB8::2", "2001:db8::3"]},
         ["unicast_peer {", "2001:db8::2", "2001:db8::3", "}", "virtual_ipaddress {", "2001:db8::80/128 dev eth0", "}", "virtual_ipaddress_excluded {"]),
        ({"gateways": ["198.51.100.1"]}, ["203.0.113.81/32 dev eth0", "198.51.100.1/32 dev eth0", "2001:db8::80/128 dev eth0"]),
        ({"handover_file": "/var/lib/x"}, ["}", "track_file {", "handover", "}", "}"]),
        ({"handover_file": "/" + "a" * 199}, ["track_file handover {", "file /" + "a" * 199]),
        ({"sync": {"interface": "eth9", "sync_id": 0}}, ["lvs_sync_daemon eth9 inst front id 0"]),
        ({"back_interface": "eth1", "gateways": ["198.51.100.1"]}, ["vrrp_sync_group director {", "group {", "front", "back", "}", "}"]),
        ({"advert_interval": 0.07}, ["advert_int 0.07"]),
        ({"advert_interval": 40}, ["advert_int 40"]),
        ({"advert_interval": 0.05}, ["advert_int 0.05"]),
    ],
)  # fmt: skip
def test_settings(failover, expected):
    text = lines(**failover)
    assert any(text[start : start + len(expected)] == expected for start in range(len(text))), text


@pytest.mark.parametrize(
    ("failover", "option", "part"),
    [
        ({"router_id": 0}, "router_id: 0", "1 to 255"),
        ({"router_id": 256}, "router_id: 256", "1 to 255"),
        ({"priority": 0}, "priority: 0", "1 to 254"),
        ({"priority": 255}, "priority: 255", "1 to 254"),
        ({"advert_interval": 0.04}, "advert_interval: 0.04", "0.05 to 40"),
        ({"advert_interval": 41}, "advert_interval: 41.0", "0.05 to 40"),
        ({"advert_interval": 0.255}, "advert_interval: 0.255", "steps of 0.01"),
        ({"preempt_delay": 1001}, "preempt_delay: 1001", "0 to 1000"),
        ({"preempt": False, "preempt_delay": 1}, "preempt_delay: 1", "has no effect"),
        ({"preempt": False, "handover_file": "/a"}, "preempt: False", "handover_file has no effect"),
        ({"interface": "eth0 {"}, "interface: 'eth0 {'", "network interface"),
        ({"interface": "eth0!"}, "interface: 'eth0!'", "names of letters"),
        ({"back_interface": "eth0", "gateways": ["198.51.100.1"]}, "back_interface: 'eth0'", "other than that of the front"),
        ({"back_interface": "a" * 16, "gateways": ["198.51.100.1"]}, "back_interface: 'aaaaaaaaaaaaaaaa'", "15 characters"),
        ({"back_interface": "eth1"}, "gateways: []", "at least one"),
        ({"back_peers": ["198.51.100.3"]}, "back_peers: ['198.51.100.3']", "needs back_interface"),
        ({"peers": ["other"]}, "peers[0]: 'other'", "literal"),
        ({"source_address": "me"}, "source_address: 'me'", "literal"),
        ({"peers": ["203.0.113.3", "2001:db8::3"]}, "peers: ['203.0.113.3', '2001:db8::3']", "one address family"),
        ({"peers": ["203.0.113.3"], "source_address": "2001:db8::2"}, "peers: ['203.0.113.3']", "one address family"),
        ({"peers": ["2001:db8::3"], "addresses": ["203.0.113.80"]}, "addresses: '203.0.113.80'", "the family of the peers"),
        ({"addresses": []}, "addresses: []", "at least one"),
        ({"addresses": ["203.0.113.80", "web"]}, "addresses[1]: 'web'", "literal"),
        ({"addresses": ["203.0.113.80", {"address": "203.0.113.80", "prefix_length": 24}]}, "addresses[1].address: '203.0.113.80'", "twice"),
        ({"gateways": ["203.0.113.9"]}, "gateways[0]: '203.0.113.9'", "twice"),
        ({"addresses": [{"address": "203.0.113.80", "interface": "a#b"}]}, "addresses[0].interface: 'a#b'", "names of letters"),
        ({"addresses": [{"address": "203.0.113.80", "prefix_length": 33}]}, "addresses[0].prefix_length: 33", "1 to 32"),
        ({"sync": {"interface": "eth1", "sync_id": 256}}, "sync.sync_id: 256", "0 to 255"),
        ({"sync": {"interface": "eth$"}}, "sync.interface: 'eth$'", "names of letters"),
        ({"interface": None}, "interface: None", "only on the node"),
        ({"handover_file": "run/x"}, "handover_file: 'run/x'", "absolute path"),
        ({"handover_file": "/a b"}, "handover_file: '/a b'", "absolute path"),
        ({"handover_file": "/" + "a" * 200}, "handover_file: '/" + "a" * 200 + "'", "at most 200"),
    ],
)
def test_mistakes(failover, option, part):
    with pytest.raises(AnsibleFilterError) as error:
        lines(**failover)
    assert str(error.value).startswith(f"to_keepalived: failover.{option}: ") and part in str(error.value)


def test_no_sync_daemon_beside_mixed_families():
    mixed = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "2001:db8::1", "forward_method": "tun"}]}]
    failover = {"interface": "eth0", "priority": 100, "sync": {"interface": "eth1"}}
    with pytest.raises(AnsibleFilterError, match=r"services\[0\].servers\[0\].address: '2001:db8::1': .*no sync daemon"):
        to_keepalived(mixed, failover=failover)
    assert "lvs_sync_daemon" not in to_keepalived(mixed, failover={**failover, "sync": None})


# versions


def test_versions():
    assert _version.parse("Keepalived v2.3.3 (03/30,2025)\n\nCopyright(C) ...\n") == (2, 3, 3)
    assert _version.parse("a warning\nKeepalived v10.0.12 (git)") == (10, 0, 12)
    assert _version.text((2, 3, 3)) == "2.3.3"
    with pytest.raises(IpvsError, match="does not report its version: command not found"):
        _version.parse("command not found\n")
    with pytest.raises(IpvsError, match="keepalived is 2.2.4; version 2.2.7 or newer is required"):
        _version.parse("Keepalived v2.2.4 (08/21,2021)")


def test_known_defects():
    versions = [(2, 2, 7), (2, 2, 8), (2, 3, 0), (2, 3, 3), (2, 3, 4), (2, 4, 0)]
    assert [_version.crashes_without_sorry_server(version) for version in versions] == [False, False, True, True, False, False]
    assert [_version.commands_end_its_test(version) for version in versions] == [True, False, False, False, False, False]
