# SPDX-License-Identifier: GPL-3.0-or-later
"""When drain.yml refuses, and what it says. The draining itself is tested on machines, by the scenario two_directors."""

from __future__ import annotations

import json

import pytest

from tests.support import ROOT, ansible

INVENTORY = {
    "all": {
        "vars": {"ansible_connection": "local", "ansible_become": False},
        "children": {
            "directors": {"hosts": {"lb1": {}}},
            "real_servers": {"hosts": {f"web{number}": {"real_server_addresses": [f"198.51.100.1{number}"]} for number in (1, 2, 3)}},
        },
    }
}


@pytest.fixture
def play(tmp_path):
    """``play(playbook, *words)``: run it with the inventory above; the finished process."""
    inventory = tmp_path / "inventory.json"
    inventory.write_text(json.dumps(INVENTORY))

    def run(playbook, *words, succeeds=True):
        return ansible("ansible-playbook", "-i", inventory, playbook, *words, home=tmp_path, succeeds=succeeds)

    return run


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (("-e", "drain_hosts=wbe1"), ["drain_hosts: no host of the inventory matches 'wbe1'", "name real servers"]),
        (("-e", "director_hosts=directros"), ["director_hosts: no host of the inventory matches 'directros'"]),
        (("--limit", "web1"), ["director_hosts: lb1; every director has to be asked first", "by drain_hosts, not by --limit"]),
    ],
)
def test_refused_before_anything_is_touched(play, words, messages):
    done = play(ROOT / "playbooks/drain.yml", *words, succeeds=False)
    assert "changed=0" in done.line
    for message in messages:
        assert message in done.line


def table(*weights):
    """Two services: one with servers of these weights, and a firewall mark with the third server alone."""
    servers = [{"address": f"198.51.100.1{number}", "port": 80, "weight": weight} for number, weight in enumerate(weights, 1)]
    return {
        "services": [
            {"address": "203.0.113.80", "port": 80, "protocol": "tcp", "servers": servers},
            {"fwmark": 7, "family": "ipv4", "servers": [{"address": "198.51.100.13", "port": 0, "weight": 1}]},
            {"address": "203.0.113.81", "port": 80, "protocol": "udp", "servers": []},
        ]
    }


HTTP, MARK = "tcp 203.0.113.80 port 80 on lb1", "firewall mark 7 on lb1"


@pytest.mark.parametrize(
    ("drained", "weights", "bereft"),
    [
        (["web1"], (1, 1), {"web1": []}),
        (["web1"], (1, 0), {"web1": [HTTP]}),
        (["web1"], (1,), {"web1": [HTTP]}),
        (["web2"], (1, 0), {"web2": []}),
        (["web1"], (), {"web1": []}),
        (["web1", "web2"], (1, 1), {"web1": [HTTP], "web2": [HTTP]}),
        (["web1", "web2"], (1, 0), {"web1": [HTTP], "web2": []}),
        (["web1", "web2"], (1, 1, 1), {"web1": [], "web2": []}),
        (["web3"], (1, 1, 1), {"web3": [MARK]}),
    ],
)
def test_services_that_would_have_no_server_left(play, tmp_path, drained, weights, bereft):
    found = "{{ lookup('ansible.builtin.template', '" + str(ROOT / "playbooks/templates/drain_bereft.j2") + "') | from_json }}"
    tasks = [
        {"set_fact": {"drain_addresses": "{{ real_server_addresses }}"}},
        {"assert": {"that": "bereft == expected[inventory_hostname]", "fail_msg": "{{ bereft }}"}, "vars": {"bereft": found}},
    ]
    variables = {"drain_table": table(*weights), "drain_director": "lb1", "expected": bereft}
    playbook = tmp_path / "playbook.json"
    playbook.write_text(json.dumps([{"hosts": drained, "gather_facts": False, "vars": variables, "tasks": tasks}]))
    play(playbook)
