# SPDX-License-Identifier: GPL-3.0-or-later
"""When drain.yml and director_drain.yml refuse, and what they say. The draining itself is tested on machines, by
tests/integration/test_drain_playbook.py and the scenario two_directors."""

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
        (("-e", "drain_serial=0"), ["drain_serial: 0: give the number of servers"]),
        (("-e", "drain_serial=50%"), ["drain_serial: 50%: give the number of servers"]),
    ],
)
def test_refused_before_anything_is_touched(play, words, messages):
    done = play(ROOT / "playbooks/drain.yml", *words, succeeds=False)
    assert "changed=0" in done.line
    for message in messages:
        assert message in done.line


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        ((), ["director_drain_hosts: not given: name directors that take part"]),
        (("-e", "director_drain_hosts=bl1"), ["director_drain_hosts: bl1: name directors that take part"]),
        (("-e", "director_drain_hosts=web1"), ["director_drain_hosts: web1: name directors that take part"]),
    ],
)
def test_a_director_that_is_none(play, words, messages):
    done = play(ROOT / "playbooks/director_drain.yml", *words, succeeds=False)
    assert "changed=0" in done.line
    for message in messages:
        assert message in done.line
