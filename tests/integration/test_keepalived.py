# SPDX-License-Identifier: GPL-3.0-or-later
"""What the real keepalived tells: ipvs_keepalived_info, and a reload that is waited for."""

from __future__ import annotations

import contextlib

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon
from tests.support import eventually

from .conftest import new_netns
from .keepalived import ADDRESSES, CONTEXT, DRAIN, Keepalived, run_command
from .modules import run_module

pytestmark = pytest.mark.once


def drain(address, content="-100000\n"):
    (DRAIN / "new").write_text(content)
    (DRAIN / "new").rename(DRAIN / address)


def checked(addresses=ADDRESSES, router_id="first"):
    """A service with these servers, each checked every second and drained by a file."""
    text = f"global_defs {{\n router_id {router_id}\n}}\n"
    for address in addresses:
        text += f"track_file {address} {{\n file {DRAIN}/{address}\n init_file 0\n}}\n"
    text += "virtual_server 203.0.113.80 80 {\n delay_loop 1\n lvs_sched wrr\n lvs_method NAT\n protocol TCP\n alpha\n"
    for address in addresses:
        check = " TCP_CHECK {\n connect_timeout 1\n retry 0\n }\n"
        check += f" FILE_CHECK {{\n track_file {address}\n weight 1\n }}\n"
        text += f" real_server {address} 80 {{\n weight 5\n inhibit_on_failure\n{check} }}\n"
    return text + "}\n"


def seen():
    """{address: (health, drained, weight)} of the only service."""
    services = run_module("ipvs_keepalived_info")["services"]
    return {server["address"]: (server["health"], server["drained"], server["weight"]) for service in services for server in service["servers"]}


def test_where_it_does_not_run(ipvs):
    found = run_module("ipvs_keepalived_info")
    assert (found["running"], found["master"], found["services"], found["instances"]) == (False, None, [], [])
    assert found["version"] and found["processes"] == {"parent": None, "checker": None, "vrrp": None}


def test_servers(ipvs, keepalived, servers, drains):
    keepalived.start(checked())
    up = ("up", False, 5)
    eventually(lambda: seen() == dict.fromkeys(ADDRESSES, up))
    first, second, third = ADDRESSES

    drain(first)
    eventually(lambda: seen() == {first: ("up", True, 0), second: up, third: up})
    servers[second].close()
    eventually(lambda: seen() == {first: ("up", True, 0), second: ("down", False, 0), third: up})

    found = run_module("ipvs_keepalived_info")
    assert [each["address"] for each in found["drained"]] == [first]
    assert found["services"][0]["servers"][1]["checks"] == [{"type": "tcp", "up": False, "ran": True}, {"type": "file", "up": True, "ran": True}]
    assert found["processes"]["parent"] == keepalived.process.pid
    assert {found["processes"]["checker"]} == keepalived.children() and found["processes"]["vrrp"] is None
    assert found["running"] and found["master"] is None

    # both at once, and one after the other back
    drain(second)
    eventually(lambda: seen()[second] == ("down", True, 0))
    drain(first, "0\n")
    eventually(lambda: seen()[first] == up)

    keepalived.stop()
    found = run_module("ipvs_keepalived_info")
    assert (found["running"], found["services"]) == (False, [])
    assert [each["address"] for each in found["drained"]] == [second]


def test_a_reload_is_waited_for(ipvs, keepalived, servers, drains):
    keepalived.start(checked(ADDRESSES[:2]))
    eventually(lambda: len(seen()) == 2)
    keepalived.path.write_text(checked(router_id="second"))
    assert _daemon.problems(str(keepalived.path), CONTEXT) == []
    before = _daemon.find(None, CONTEXT)
    assert _daemon.reload(None, CONTEXT, "second", checker=True, vrrp=False) == before
    assert set(seen()) == set(ADDRESSES)

    keepalived.path.write_text(checked(router_id="third") + "nonsense\n")
    assert "Unknown keyword 'nonsense'" in _daemon.problems(str(keepalived.path), CONTEXT)[0]


def instance(priority, address):
    return f"""
vrrp_instance front {{
 state BACKUP
 interface eth0
 virtual_router_id 51
 priority {priority}
 advert_int 1
 virtual_ipaddress {{
 {address}/32 dev eth0
 }}
}}
"""


def test_who_is_master(ipvs, tmp_path):
    with new_netns() as other, contextlib.ExitStack() as stack:
        for words in (f"link add eth0 type veth peer name eth0 netns {ipvs.netns}", "link set eth0 up", "address add 203.0.113.12/24 dev eth0"):
            assert run_command(["ip", *words.split()])[0] == 0
        backup = Keepalived(tmp_path / "backup")
        stack.callback(backup.stop)
        backup.start(instance(100, "203.0.113.80"))
        # the other one's
        for words in ("link set eth0 up", "address add 203.0.113.11/24 dev eth0"):
            assert run_command(["ip", "-n", ipvs.netns, *words.split()])[0] == 0
        master = Keepalived(tmp_path / "master")
        stack.callback(master.stop)
        with _daemon._netns.inside(ipvs.netns):
            master.start(instance(200, "203.0.113.80"))

        def masters():
            return [run_module("ipvs_keepalived_info", netns=name)["master"] for name in (ipvs.netns, other)]

        eventually(lambda: masters() == [True, False])
        found = run_module("ipvs_keepalived_info", netns=other)["instances"][0]
        assert (found["name"], found["state"], found["priority"], found["router_id"]) == ("front", "backup", 100, 51)
        master.stop()
        eventually(lambda: masters() == [None, True])
