# SPDX-License-Identifier: GPL-3.0-or-later
"""The virtual addresses of a director: which, where, and what they wait for."""

from __future__ import annotations

import ast
import ipaddress
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses as addresses
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _boot, _network_lines, _network_node
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

LOCAL = [
    _network_node.Address("127.0.0.1", 8, "lo", 254),
    _network_node.Address("203.0.113.80", 32, "lo", 0),
    _network_node.Address("203.0.113.81", 24, "eth1", 0),
    _network_node.Address("203.0.113.81", 32, "eth2", 0),
]
NAMES = ["lo", "eth0", "eth1", "eth2"]


def placed(entries, default=None, routes=None):
    asked = []

    def routes_to(literals):
        asked.extend(literals)
        return routes or {}

    found = addresses.placed(addresses.parsed(entries), default, LOCAL, NAMES, routes_to)
    return [str(place) for place in found], asked


def test_an_address_has_one_spelling_and_a_length():
    six = {"address": "2001:DB8:0::80", "prefix_length": 64, "interface": "e"}
    found = addresses.parsed(["203.0.113.80", six, {"address": "203.0.113.80", "prefix_length": "32", "interface": ""}])
    assert [place[:3] for place in found] == [("203.0.113.80", 32, None), ("2001:db8::80", 64, "e")]


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("www.example.com", ["addresses[1]: 'www.example.com'", "host names are not resolved"]),
        ("203.0.113.80/24", ["addresses[1]: '203.0.113.80/24'", "as prefix_length"]),
        ("203.0.113.080", ["addresses[1]"]),
        ("fe80::1%eth0", ["addresses[1]"]),
        ("224.0.0.81", ["addresses[1]: '224.0.0.81'", "one host"]),
        ("::", ["addresses[1]: '::'"]),
        ("255.255.255.255", ["addresses[1]: '255.255.255.255'", "one host"]),
        (7, ["addresses[1]: 7", "a dictionary with address"]),
        ({}, ["addresses[1].address: None"]),
        ({"address": "203.0.113.80", "dev": "eth0"}, ["addresses[1]: {", "no key dev", "address, prefix_length, interface"]),
        ({"address": "203.0.113.80", "prefix_length": 33}, ["addresses[1].prefix_length: 33", "1 to 32"]),
        ({"address": "2001:db8::80", "prefix_length": True}, ["addresses[1].prefix_length: True", "1 to 128"]),
        ({"address": "203.0.113.80", "interface": "eth 0"}, ["addresses[1].interface: 'eth 0'"]),
        ({"address": "203.0.113.80", "interface": ".."}, ["addresses[1].interface: '..'"]),
    ],
)
def test_what_is_no_address_is_refused(entry, told):
    with pytest.raises(OptionError) as failure:
        addresses.parsed(["203.0.113.99", entry])
    assert all(part in str(failure.value) for part in told), failure.value


def test_an_address_is_where_it_says_or_by_default_or_is_already_or_where_its_route_leads():
    entries = ["203.0.113.80", "203.0.113.81", {"address": "203.0.113.82", "interface": "eth2"}]
    assert placed(entries, "eth0") == (["203.0.113.80/32 dev eth0", "203.0.113.81/32 dev eth0", "203.0.113.82/32 dev eth2"], [])
    found, asked = placed(entries, routes={"203.0.113.80": "eth1"})
    assert found == ["203.0.113.80/32 dev eth1", "203.0.113.81/32 dev eth1", "203.0.113.82/32 dev eth2"]
    assert asked == ["203.0.113.80"]  # that lo has it does not count


def test_an_address_that_no_interface_leads_to_is_refused():
    with pytest.raises(OptionError, match=r"addresses\[1\]: '198.51.100.7, 198.51.100.8': no interface of this node leads there: set interface"):
        placed([{"address": "203.0.113.82", "interface": "eth2"}, "198.51.100.7", "198.51.100.8"])


@pytest.mark.parametrize(
    ("entry", "default", "told"),
    [
        ({"address": "203.0.113.82", "interface": "eth7"}, "eth0", r"addresses\[0\].interface: 'eth7'"),
        ("203.0.113.82", "eth8", r"\Ainterface: 'eth8'"),
    ],
)
def test_an_interface_that_is_not_there_is_refused(entry, default, told):
    with pytest.raises(OptionError, match=told + ": this node has no such interface; it has eth0, eth1, eth2, lo"):
        placed([entry], default)


def test_the_file_says_what_waits_for_what():
    places = addresses.parsed([{"address": "203.0.113.80", "interface": "eth0"}])
    parsed = [line.text for line in _network_lines.parse(addresses.render(places, ["table", "203.0.113.80"], True))]
    assert parsed == ["await table", "await 203.0.113.80", "address 203.0.113.80/32 dev eth0 announce"]
    assert [line.text for line in _network_lines.parse(addresses.render(places, [], False))] == ["address 203.0.113.80/32 dev eth0"]
    assert addresses.render([], ["table"], True) == ""


def test_the_files_of_a_node():
    """A unit that fails when a line does, and runs what is written beside it; nothing where there is nothing."""
    files = {file.path: file.text for file in _boot.files(addresses.OWNER, "address 203.0.113.80/32 dev eth0\n")}
    unit = files["/etc/systemd/system/ipvs-director.service"]
    for command, word in (("ExecStart", "up"), ("ExecReload", "up"), ("ExecStop", "down")):
        (line,) = [line for line in unit.splitlines() if line.startswith(command)]
        assert line.startswith(command + "=/") and line.endswith(f" -I -B /usr/local/lib/ipvs-director {word} /etc/ipvs-director.conf")
    assert " ipvsadm.service ipvs-table.service keepalived.service\n" in unit
    assert files.pop("/usr/local/lib/ipvs-director.py") is None
    assert None not in files.values()
    assert {text for file in _boot.files(addresses.OWNER, "") for text in [file.text]} == {None}


def test_what_is_installed_imports_nothing_that_is_not_there():
    files = {file.path.rpartition("/")[2]: file.text for file in _boot.files(addresses.OWNER, "x\n") if file.text and file.path.endswith(".py")}
    assert len(files) == len(_boot._PARTS) + 1
    for name, text in files.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                assert {each.name for each in node.names} <= set(sys.stdlib_module_names), name
            elif isinstance(node, ast.ImportFrom) and (node.level or node.module == "ipvs_network._network"):
                assert node.module.rpartition(".")[2] + ".py" in files, name
            elif isinstance(node, ast.ImportFrom):
                assert node.module in {*sys.stdlib_module_names, "pyroute2"}, name


MANY = st.lists(st.one_of(st.ip_addresses(v=4, network="203.0.113.0/24"), st.ip_addresses(v=6, network="2001:db8::/64")), min_size=1, max_size=50)


@given(MANY)
def test_every_address_is_there_once(literals):
    literals = [each for each in literals if int(each) & 0xFF]
    found, _asked = placed([str(each).upper() for each in literals], "eth0")
    assert found == list(dict.fromkeys(f"{each}/{each.max_prefixlen} dev eth0" for each in literals))


def test_twenty_thousand_addresses():
    literals = [f"{ipaddress.ip_address('203.0.113.0') + number}" for number in range(10_000)] + [f"2001:DB8::{number:04x}" for number in range(1, 10_001)]
    places = addresses.placed(addresses.parsed(literals), "eth0", [], NAMES, None)
    assert len(_network_lines.parse(addresses.render(places, ["table"], True))) == 20_001
