# SPDX-License-Identifier: GPL-3.0-or-later
"""Both roles refuse a list of services, and settings, that are wrong or missing before they touch a node: in a check too, and on a node
that has neither IPVS nor pyroute2. What is wrong with a list is tested in tests/unit/test_service_lists.py."""

from __future__ import annotations

import json

import pytest

from tests.support import ansible

SERVER = {"address": "198.51.100.11", "forward_method": "nat"}
SERVICE = {"address": "203.0.113.80", "port": 80, "servers": [SERVER]}
TWICE = "is listed twice"
CASES = {
    "undefined": (None, "director_services"),
    "empty": ([], "director_services: []: an empty list removes every service; set director_allow_empty: true"),
    "no_servers": ([dict(SERVICE, servers=[])], "director_services[0].servers: []: an empty list removes"),
    "duplicate": ([SERVICE, dict(SERVICE, port="80")], f"director_services[1].address: 'tcp 203.0.113.80:80': this service {TWICE}"),
    "duplicate_server": ([dict(SERVICE, servers=[SERVER, SERVER])], f"director_services[0].servers[1].address: '198.51.100.11:80': this server {TWICE}"),
    "host_name": ([dict(SERVICE, servers=[{"address": "web1"}])], "director_services[0].servers[0].address: 'web1': give an IPv4 or IPv6 address"),
    "rule": ([dict(SERVICE, port=0)], "director_services[0].port: 0: port 0 (every port) needs persistence"),
}
CASES = {name: ({} if services is None else {"director_services": services}, message) for name, (services, message) in CASES.items()}
# what only the director takes
VRRP = {"director_services": [SERVICE], "director_failover": "vrrp"}
DIRECTOR_CASES = {
    "vrrp_daemons": (
        {
            **VRRP, "director_vrrp_peers": [], "director_vrrp_source_address": "198.51.100.31", "director_vrrp_priority": 100,
            "director_sync_daemons": [{"role": "backup", "interface": "eth0"}],
        },
        "director_sync_daemons: VRRP runs the sync daemons; leave this out, or switch them off there with director_vrrp_sync: {enabled: false}",
    ),
    "vrrp_group": (VRRP, "peers: None: director-vrrp_group is not in the group of directors (empty), so give it"),
    "daemons": (
        {"director_services": [SERVICE], "director_sync_daemons": [{"role": "backup", "interface": "eth0"}] * 2},
        "director_sync_daemons[1].role: 'backup': there is one sync daemon of each role",
    ),
    "setting": (
        {"director_services": [SERVICE], "director_sysctls": {"net.ipv4.vs.conn_reuse_mod": 1}},
        "director_sysctls: net.ipv4.vs.conn_reuse_mod: no kernel has this setting; did you mean net.ipv4.vs.conn_reuse_mode?",
    ),
}


@pytest.fixture(scope="module", params=["main", "compare"])
def refusals(request, tmp_path_factory):
    """{(role, case): what the role said}, each case a host, in a check of the role's tasks or of verify.yml's comparison."""
    folder = tmp_path_factory.mktemp("list")
    hosts = {
        f"{role}-{name}": {**variables, "role": f"lvs.ipvs.{role}"}
        for role, cases in (("director", {**CASES, **DIRECTOR_CASES}), ("real_server", CASES))
        for name, (variables, _message) in cases.items()
    }
    local = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": {**local, "output": str(folder)}, "hosts": hosts}}))
    text = "{{ ansible_failed_task.name }}\n{{ ansible_failed_result.msg }}"
    say = {"copy": {"dest": "{{ output }}/{{ inventory_hostname }}", "content": text, "mode": "0644"}, "check_mode": False}
    task = {"block": [{"include_role": {"name": "{{ role }}", "tasks_from": request.param}}], "rescue": [say]}
    (folder / "playbook.json").write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": [task]}]))
    ansible("ansible-playbook", "-i", folder / "inventory.json", "--check", folder / "playbook.json", home=folder, ANSIBLE_FORKS="4")
    return {tuple(name.split("-")): (folder / name).read_text() if (folder / name).exists() else "nothing" for name in hosts}


@pytest.mark.parametrize("role", ["director", "real_server"])
@pytest.mark.parametrize("name", CASES)
def test_wrong_list_is_refused_before_anything_else(refusals, role, name):
    task, _newline, message = refusals[role, name].partition("\n")
    assert CASES[name][1] in message
    assert task.startswith(("Validating arguments", "Validate the list of services"))


@pytest.mark.parametrize("name", DIRECTOR_CASES)
def test_wrong_settings_of_a_director_are_refused(refusals, name):
    task, _newline, message = refusals["director", name].partition("\n")
    assert DIRECTOR_CASES[name][1] in message
    assert task.startswith("Validate the ")
