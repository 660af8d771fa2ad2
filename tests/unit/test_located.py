# SPDX-License-Identifier: GPL-3.0-or-later
"""The interfaces of failover that follow from the node."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _located
from ansible_collections.lvs.ipvs.plugins.module_utils._node._network_node import Address
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

SERVICES = [{"address": address, "port": 80, "servers": [{"address": "198.51.100.21"}]} for address in ("203.0.113.80", "2001:db8:0:f::80")]


class Node:
    """A node with a back (eth0) and a front (eth1), which has one of the virtual addresses."""

    def addresses(self):
        texts = [("198.51.100.11", 24, "eth0"), ("203.0.113.11", 24, "eth1"), ("203.0.113.80", 32, "eth1"), ("203.0.113.80", 32, "lo")]
        texts.append(("2001:db8::11", 64, "eth1"))
        return [Address(*each, 0) for each in texts]

    def interfaces(self):
        return ["lo", "eth0", "eth1", "eth2"]

    def routes_to(self, addresses):
        return {address: "eth1" for address in addresses if address.startswith(("203.", "2001:db8:0:f:"))}


def located(**options):
    return _located.located({"priority": 100, **options}, SERVICES, Node())


def where(places):
    return {place["address"]: place["interface"] for place in places}


def test_all_of_them():
    found = located(source_address="198.51.100.11", gateways=["198.51.100.1"])
    assert located(source_address="2001:DB8:0:0::11")["interface"] == "eth1"
    assert found["interface"] == "eth0"
    assert where(found["addresses"]) == {"203.0.113.80": "eth1", "2001:db8:0:f::80": "eth1"}
    assert where(found["gateways"]) == {"198.51.100.1": "eth0"}  # no route leads there: the interface of VRRP


def test_what_is_given_stays():
    found = located(interface="eth1", addresses=[{"address": "203.0.113.81", "interface": "eth2"}], gateways=["198.51.100.1"], back_interface="eth0")
    assert (found["interface"], where(found["addresses"]), where(found["gateways"])) == ("eth1", {"203.0.113.81": "eth2"}, {"198.51.100.1": "eth0"})


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "failover.interface: None: give it, or source_address"),
        ({"source_address": "198.51.100.12"}, "failover.source_address: '198.51.100.12': this node does not have the address"),
        (
            {"source_address": "198.51.100.11", "interface": "eth1"},
            "failover.source_address: '198.51.100.11': eth1 does not have this address; it has 203.0.113.11, 203",
        ),
        ({"source_address": "198.51.100.11", "interface": "eth9"}, "failover.source_address: '198.51.100.11': eth9 does not have this address; it has none"),
        ({"source_address": "here"}, "failover.source_address: 'here': "),
        ({"interface": "eth0", "addresses": ["web"]}, "failover.addresses[0]: 'web': "),
        ({"interface": "eth0", "addresses": [{"address": "203.0.113.81", "interface": "eth9"}]}, "failover.addresses[0].interface: 'eth9': this node has"),
    ],
)
def test_mistakes(options, text):
    with pytest.raises(OptionError) as error:
        located(**options)
    assert str(error.value).startswith(text)
