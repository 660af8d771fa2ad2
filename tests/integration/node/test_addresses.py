# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_addresses on a real kernel, ip(8) as the oracle."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import threading
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_node

from ..modules import ModuleFailed, run_module

pytestmark = pytest.mark.once

FILES = ["/etc/ipvs-director.conf", "/etc/systemd/system/ipvs-director.service", "/usr/local/lib/ipvs-director"]
WEB = {"address": "203.0.113.80", "port": 80}
WEB6 = {"address": "2001:DB8::80", "port": 80}
QUIET = {"announce": False}


def have(name="up0"):
    shown = json.loads(subprocess.run(["ip", "-json", "address", "show", "dev", name], capture_output=True, text=True, check=True).stdout)
    return {f"{each['local']}/{each['prefixlen']}" for each in shown[0]["addr_info"] if each["scope"] == "global"}


def there():
    return [path for path in FILES if os.path.lexists(path)]


@pytest.fixture
def node(ipvs, monkeypatch):
    """A director with up0 towards 203.0.113.0/24 and 2001:db8::/64, and up1; nothing of the module's is left afterwards."""
    monkeypatch.setattr(_network_node, "PAUSE", 0)
    for name in ("up0", "up1"):
        subprocess.run(f"ip link add {name} type veth peer name {name}p && ip link set {name} up && ip link set {name}p up", shell=True, check=True)
    subprocess.run("ip address add 203.0.113.1/24 dev up0 && ip address add 2001:db8::1/64 dev up0 nodad", shell=True, check=True)
    assert there() == []
    yield ipvs
    run_module("ipvs_addresses", state="absent")
    assert there() == []


OWN = {"203.0.113.1/24", "2001:db8::1/64"}


def twice(**options):
    """A check, the real thing, and again: the check changes nothing and tells the same; the second run changes nothing."""
    before, files = have(), {path: os.path.isdir(path) or open(path).read() for path in there()}
    foretold = run_module("ipvs_addresses", check=True, diff=True, **options)
    assert (have(), {path: os.path.isdir(path) or open(path).read() for path in there()}) == (before, files)
    done = run_module("ipvs_addresses", diff=True, **options)
    done.pop("invocation"), foretold.pop("invocation")
    assert foretold == done and done["changed"] == bool(done["differences"])
    again = run_module("ipvs_addresses", diff=True, **options)
    assert (again["changed"], again["differences"], again["added"], again["removed"]) == (False, [], [], [])
    assert again["diff"]["before"] == again["diff"]["after"] and again["addresses"] == done["addresses"]
    return done


def test_the_addresses_of_the_services_go_where_the_route_to_them_leads(node):
    node.restore("-A -t 203.0.113.80:80\n-A -u [2001:db8::80]:53\n")
    done = twice(services=[WEB, WEB6, dict(WEB, port=443), {"fwmark": 7}])
    assert done["addresses"] == [
        {"address": "203.0.113.80", "prefix_length": 32, "interface": "up0"},
        {"address": "2001:db8::80", "prefix_length": 128, "interface": "up0"},
    ]
    assert done["added"] == done["announced"] == ["203.0.113.80/32 dev up0", "2001:db8::80/128 dev up0"]
    assert have() == OWN | {"203.0.113.80/32", "2001:db8::80/128"} and there() == FILES
    assert "address 203.0.113.80/32 dev up0 is missing" in done["differences"]
    assert "+" not in done["diff"]["before"] and "address 203.0.113.80/32 dev up0\n" in done["diff"]["after"]


def test_what_the_boot_runs_is_what_was_installed(node):
    """The command of the unit, after a reboot that has taken the addresses."""
    run_module("ipvs_addresses", addresses=["203.0.113.80"], wait_for_service=False, **QUIET)
    with open(FILES[1]) as stream:
        commands = dict(line.strip().split("=", 1) for line in stream if line.startswith("Exec"))
    assert os.path.islink("/etc/systemd/system/multi-user.target.wants/ipvs-director.service")
    for command, expected in (("ExecStop", OWN), ("ExecStart", OWN | {"203.0.113.80/32"}), ("ExecReload", OWN | {"203.0.113.80/32"})):
        subprocess.run(commands[command].split(), check=True)
        assert have() == expected


@pytest.mark.long
def test_addresses_that_are_no_longer_listed_go_and_those_of_others_stay(node):
    twice(addresses=["203.0.113.80", {"address": "203.0.113.81", "prefix_length": 24}], interface="up0", wait_for_service=False, **QUIET)
    subprocess.run("ip address add 203.0.113.99/32 dev up0", shell=True, check=True)
    done = twice(addresses=["203.0.113.80", {"address": "203.0.113.82", "interface": "up1"}], wait_for_service=False, **QUIET)
    assert (done["added"], done["removed"]) == (["203.0.113.82/32 dev up1"], ["203.0.113.81/24 dev up0"])
    assert "address 203.0.113.81/24 dev up0 is no longer needed" in done["differences"]
    assert have() == OWN | {"203.0.113.80/32", "203.0.113.99/32"} and have("up1") == {"203.0.113.82/32"}
    done = twice(addresses=[])
    assert (done["removed"], done["addresses"]) == (["203.0.113.80/32 dev up0", "203.0.113.82/32 dev up1"], [])
    assert have() == OWN | {"203.0.113.99/32"} and there() == []


@pytest.mark.parametrize("to", [{"interface": "up1"}, {"prefix_length": 25, "interface": "up0"}])
def test_an_address_that_moves_is_never_away(node, to):
    run_module("ipvs_addresses", addresses=["203.0.113.80"], interface="up0", wait_for_service=False, **QUIET)
    away, looks, over = [], [], threading.Event()

    def look():
        while not over.is_set():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    probe.bind(("203.0.113.80", 0))
                except OSError as error:
                    away.append(error)
            looks.append(time.monotonic())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        run_module("ipvs_addresses", addresses=[dict(to, address="203.0.113.80")], wait_for_service=False, **QUIET)
    finally:
        over.set()
        thread.join()
    assert away == [] and len(looks) > 50
    assert [have(name) - OWN for name in ("up0", "up1") if name != to["interface"]] == [set()]
    assert have(to["interface"]) - OWN == {f"203.0.113.80/{to.get('prefix_length', 32)}"}


def test_an_address_that_somebody_took_away_comes_back(node):
    options = {"addresses": ["203.0.113.80", "203.0.113.81"], "wait_for_service": False, "interface": "up0"}
    run_module("ipvs_addresses", **options)
    subprocess.run("ip address del 203.0.113.80/32 dev up0", shell=True, check=True)
    done = twice(**options)
    assert done["added"] == done["announced"] == ["203.0.113.80/32 dev up0"]
    assert done["differences"] == ["address 203.0.113.80/32 dev up0 is missing"]


def test_to_announce_or_not_moves_no_address(node):
    run_module("ipvs_addresses", addresses=["203.0.113.80"], wait_for_service=False, announce=False)
    done = twice(addresses=["203.0.113.80"], wait_for_service=False)
    assert (done["added"], done["removed"], done["announced"]) == ([], [], [])
    assert done["differences"] == ["/etc/ipvs-director.conf is not as it should be"]


def test_an_address_comes_up_only_with_its_service(node):
    node.restore("-A -t 203.0.113.80:80\n")
    with pytest.raises(ModuleFailed) as failure:
        run_module("ipvs_addresses", services=[WEB, WEB6], **QUIET)
    message = "1 of the lines in /etc/ipvs-director.conf did not come up: address 2001:db8::80/128 dev up0: the IPVS table has no service of this address"
    assert failure.value.result["msg"] == message
    assert have() == OWN | {"203.0.113.80/32"}
    node.restore("-A -t [2001:db8::80]:80\n")
    assert run_module("ipvs_addresses", services=[WEB, WEB6], **QUIET)["added"] == ["2001:db8::80/128 dev up0"]


def test_an_address_of_no_service_waits_for_any(node):
    options = {"addresses": ["203.0.113.81"], "interface": "up0", **QUIET}
    with pytest.raises(ModuleFailed, match="the IPVS table has no services"):
        run_module("ipvs_addresses", **options)
    assert run_module("ipvs_addresses", services=[], **options)["changed"]
    run_module("ipvs_addresses", state="absent")
    node.restore("-A -f 7\n")
    assert run_module("ipvs_addresses", services=[{"fwmark": 7}], **options)["changed"] and "203.0.113.81/32" in have()


def test_where_nothing_is_wanted_nothing_is_written(node):
    for options in ({"addresses": []}, {"services": [{"fwmark": 7}]}, {"state": "absent"}, {"state": "absent", "services": [WEB]}):
        assert not run_module("ipvs_addresses", **options)["changed"]
        assert there() == []


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"addresses": ["198.51.100.80"]}, "addresses[0]: '198.51.100.80': no interface of this node leads there: set interface"),
        ({"services": [WEB, dict(WEB, port=443), dict(WEB, address="198.51.100.80")]}, "services[2].address: '198.51.100.80': no interface"),
        ({"addresses": ["203.0.113.80"], "interface": "nosuch"}, "interface: 'nosuch': this node has no such interface; it has lo, "),
        ({"addresses": [{"address": "203.0.113.80", "interface": "nosuch"}]}, "addresses[0].interface: 'nosuch'"),
        ({"addresses": ["203.0.113.80/24"]}, "prefix_length"),
        ({"services": [WEB, WEB]}, "services[1].address"),
        ({}, "addresses, services"),
    ],
)
@pytest.mark.long
def test_what_cannot_be_is_refused_before_anything_is_touched(node, options, told):
    run_module("ipvs_addresses", addresses=["203.0.113.99"], wait_for_service=False, **QUIET)
    with pytest.raises(ModuleFailed) as failure:
        run_module("ipvs_addresses", **options)
    assert told in failure.value.result["msg"].replace("it has lo, up0, up0p, up1, up1p", "it has lo, ").replace("tunl0", "")
    assert have() == OWN | {"203.0.113.99/32"}


def test_a_file_of_another_hand_is_named(node):
    run_module("ipvs_addresses", addresses=["203.0.113.99"], wait_for_service=False, **QUIET)
    with open(FILES[0], "a") as stream:
        stream.write("adress 203.0.113.98/32 dev up0\n")
    with pytest.raises(ModuleFailed, match="/etc/ipvs-director.conf: unknown line 'adress"):
        run_module("ipvs_addresses", state="absent")
    with open(FILES[0], "w") as stream:
        stream.write("address 203.0.113.99/32 dev up0\n")


def test_what_an_earlier_version_left_is_taken_over(node):
    """One program in one file, commands among the lines."""
    subprocess.run("ip address add 203.0.113.81/32 dev up0", shell=True, check=True)
    with open(FILES[0], "w") as stream:
        stream.write("run /lib/systemd/systemd-sysctl FILE\nawait table\naddress 203.0.113.81/32 dev up0 announce\n")
    with open(FILES[2] + ".py", "w") as stream:
        stream.write("# a program\n")
    done = twice(addresses=["203.0.113.80"], wait_for_service=False, **QUIET)
    assert done["removed"] == ["203.0.113.81/32 dev up0"]
    assert not os.path.exists(FILES[2] + ".py") and have() == OWN | {"203.0.113.80/32"}


@pytest.mark.slow
def test_ten_thousand_addresses(node):
    literals = [f"203.0.{100 + number // 250}.{number % 250}" for number in range(1, 5_001)] + [f"2001:db8::{number:x}" for number in range(2, 5_002)]
    done = run_module("ipvs_addresses", addresses=literals, interface="up1", wait_for_service=False, **QUIET)
    assert len(done["added"]) == 10_000 and len(have("up1")) == 10_000
    assert not run_module("ipvs_addresses", addresses=literals, interface="up1", wait_for_service=False, **QUIET)["changed"]
    assert len(run_module("ipvs_addresses", addresses=literals[:1], interface="up1", wait_for_service=False, **QUIET)["removed"]) == 9_999
    assert have("up1") == {literals[0] + "/32"}


def test_what_is_released_stays_and_no_boot_adds_it(node):
    """What is no longer listed goes as always; put back, nothing is added."""
    run_module("ipvs_addresses", addresses=["203.0.113.80", "203.0.113.81", "2001:db8::80"], wait_for_service=False, **QUIET)
    done = twice(addresses=["203.0.113.80", "2001:db8::80", "203.0.113.82"], wait_for_service=False, state="released", **QUIET)
    assert (done["added"], done["removed"]) == ([], ["203.0.113.81/32 dev up0"])
    assert [place["interface"] for place in done["addresses"]] == ["up0"] * 3
    assert have() == OWN | {"203.0.113.80/32", "2001:db8::80/128"} and there() == []
    back = twice(addresses=["203.0.113.80", "2001:db8::80"], wait_for_service=False, **QUIET)
    assert (back["changed"], back["added"]) == (True, []) and there() == FILES


def test_what_is_released_has_to_be_listed(node):
    with pytest.raises(ModuleFailed, match="state is released but any of the following are missing"):
        run_module("ipvs_addresses", state="released")
