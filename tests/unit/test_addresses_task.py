# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_addresses on a made-up host."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _boot
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _node_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

from .network_host import VIP, Host


@pytest.fixture
def host(monkeypatch):
    return Host(monkeypatch)


SERVICES = [{"address": "203.0.113.80", "port": 80}, {"address": "203.0.113.80", "port": 443}, {"fwmark": 7}, {"address": "2001:DB8::80", "port": 80}]


def addresses(host, check=False, **options):
    given = {"services": SERVICES, "addresses": None, "interface": None, "state": "present", "announce": True, "wait_for_service": True, **options}
    answer = _node_tasks.manage_addresses(given, host.context(check))
    assert host.network.closed
    return answer


def test_the_addresses_of_services_come_once_each_and_wait_for_them(host):
    foretold = addresses(host, check=True)
    assert host.files == {} and host.network.done == []
    answer = addresses(host)
    assert answer == foretold and answer.changed
    where = ["203.0.113.80/32 dev eth0", "2001:db8::80/128 dev eth0"]
    assert (answer.values["added"], answer.values["removed"], answer.values["announced"]) == (where, [], where)
    assert answer.values["addresses"] == [
        {"address": "203.0.113.80", "prefix_length": 32, "interface": "eth0"},
        {"address": "2001:db8::80", "prefix_length": 128, "interface": "eth0"},
    ]
    lines = [line.text for line in _boot.recorded(_addresses.OWNER)]
    assert lines == ["await table", "await 203.0.113.80", "await 2001:db8::80"] + [f"address {each} announce" for each in where]
    assert not addresses(host).changed


def test_addresses_that_are_listed_wait_for_the_table(host):
    answer = addresses(host, addresses=["203.0.113.99"], services=None)
    assert answer.values["added"] == ["203.0.113.99/32 dev eth0"]
    assert [line.text for line in _boot.recorded(_addresses.OWNER)] == ["await table", "address 203.0.113.99/32 dev eth0 announce"]


@pytest.mark.parametrize("options", [{"wait_for_service": False}, {"services": []}])
def test_addresses_that_wait_for_nothing(host, options):
    answer = addresses(host, addresses=["203.0.113.99"], announce=False, **options)
    assert answer.values["announced"] == []
    assert [line.text for line in _boot.recorded(_addresses.OWNER)] == ["address 203.0.113.99/32 dev eth0"]


def test_addresses_go_and_are_released(host):
    addresses(host)
    answer = addresses(host, services=SERVICES[:1])
    assert answer.values["removed"] == ["2001:db8::80/128 dev eth0"] and answer.values["added"] == []
    answer = addresses(host, state="released", services=SERVICES[:1])
    assert answer.changed and answer.values["removed"] == [] and VIP in host.network.found and host.files == {}
    assert not addresses(host, state="released", services=SERVICES[:1]).changed
    addresses(host)
    answer = addresses(host, state="absent")
    assert answer.values["addresses"] == [] and len(answer.values["removed"]) == 2 and VIP not in host.network.found and host.files == {}


def test_the_address_of_a_service_that_is_no_host(host):
    with pytest.raises(OptionError, match=r"services\[1\].address: '224.0.0.81'"):
        addresses(host, services=[{"fwmark": 7}, {"address": "224.0.0.81", "port": 80}])


def test_without_services_the_host_is_not_asked(host, monkeypatch):
    """pyroute2 may be missing where IPVS is not used any more."""
    monkeypatch.setattr(host.network, "addresses", None)
    assert not addresses(host, services=[]).changed


def test_a_name_that_no_interface_can_have_is_refused_without_services_too(host):
    with pytest.raises(OptionError, match="^interface: 'eth 0': give the name of a network interface"):
        addresses(host, services=[], interface="eth 0")
