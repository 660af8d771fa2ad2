# SPDX-License-Identifier: GPL-3.0-or-later
"""When drain.yml and director_drain.yml refuse, and what they say. The draining itself is tested on machines, by
tests/integration/test_drain_playbook.py and the scenario two_directors."""

from __future__ import annotations

import json
import re

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


@pytest.fixture
def drain(tmp_path):
    """``drain(answer, *words)``: run drain.yml where every module run on a director gives this answer; the finished process.

    The director's Python is a script that reads the module and answers for it.
    """

    def run(answer, *words, succeeds=True):
        python = tmp_path / "python"
        python.write_text(f"#!/bin/sh\ncat > /dev/null\necho '{json.dumps(answer)}'\n")
        python.chmod(0o755)
        inventory = json.loads(json.dumps(INVENTORY))
        inventory["all"]["children"]["directors"]["hosts"] = {f"lb{number}": {"director_python": str(python)} for number in (1, 2, 3)}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        work = {"name": "Work on {{ inventory_hostname }}", "ansible.builtin.debug": {"msg": "at work on {{ inventory_hostname }}"}}
        (tmp_path / "work.json").write_text(json.dumps([work]))
        words = ["-e", f"drain_tasks={tmp_path / 'work.json'}", *words]
        return ansible("ansible-playbook", "-i", tmp_path / "inventory.json", ROOT / "playbooks/drain.yml", *words, home=tmp_path, succeeds=succeeds)

    return run


LEFT = {"changed": True, "drained": True, "places": [{"address": "198.51.100.12"}]}


@pytest.mark.parametrize(
    ("answer", "words", "batches"),
    [
        ({**LEFT, "places": []}, (), ["web1", "web2", "web3"]),
        (LEFT, (), ["web2", "web1", "web3"]),
        (LEFT, ("-e", "drain_serial=2"), ["web2, web1", "web3"]),
        (LEFT, ("-e", "drain_hosts=web1:web3"), ["web1", "web3"]),
        (LEFT, ("--limit", "directors:web3:web2"), ["web2", "web3"]),
    ],
)
def test_the_order_of_the_servers(drain, answer, words, batches):
    """Those left drained first, as many at a time as were asked for, and each step on all directors before the next one begins."""
    done = drain(answer, *words)
    assert re.findall(r"^TASK \[Take out (.*)\] \*", done.stdout, re.M) == batches
    # the servers of a batch are worked on at the same time, so that any of them may be the first to be through
    at_work = iter(re.findall(r"at work on (web\d)", done.stdout))
    assert [{next(at_work) for _server in batch.split(", ")} for batch in batches] == [set(batch.split(", ")) for batch in batches]
    assert list(at_work) == []
    steps = re.findall(r"^TASK \[(Ask|Take out|Wait|Run|Put back)|^(?:changed|ok): \[(lb\d)\]", done.stdout, re.M)
    steps = steps[[task for task, _host in steps].index("Ask") :]
    on_all = [("", f"lb{number}") for number in (1, 2, 3)]
    expected = {"Ask": on_all, "Take out": on_all, "Wait": [], "Run": [], "Put back": on_all}
    found = []
    for task, host in steps:
        found += [[(task, host)]] if task else []
        if host:
            found[-1].append(("", host))
    assert [[step[0], *sorted(step[1:])] for step in found] == [[(task, ""), *hosts] for _batch in batches for task, hosts in expected.items()]


def test_the_wait_is_for_directors_that_have_connections(drain):
    done = drain({**LEFT, "drained": False}, "-e", "drain_hosts=web2")
    assert len(re.findall(r"changed: \[lb\d\]", done.stdout.partition("TASK [Wait for the connections")[2].partition("TASK")[0])) == 3


def test_a_refusal_stops_everything(drain):
    done = drain({"failed": True, "msg": "Nothing would be left"}, succeeds=False)
    assert "Nothing would be left" in done.line and "Take out" not in done.line and "at work" not in done.line


def test_a_server_whose_health_check_fails_stops_everything(drain):
    done = drain({**LEFT, "unhealthy": ["198.51.100.12:80"]}, "-e", "drain_health_retries=1", succeeds=False)
    assert "Await the health checks of web2" in done.line and "at work on web2" in done.line and "at work on web1" not in done.line


@pytest.fixture
def director_drain(tmp_path):
    """``director_drain(table)``: run director_drain.yml where ipvs_info has this answer; the finished process, and what was asked of the director.

    Restoring it fails in the end, since nothing that answers is a director.
    """

    def run(table):
        python = tmp_path / "python"
        python.write_text(f"""#!/bin/sh
case $(cat) in
*ipvs_info*) echo looked >>{tmp_path}/log; echo '{json.dumps(table)}' ;;
*) echo addresses >>{tmp_path}/log; echo '{{"removed": ["203.0.113.80/32"]}}' ;;
esac
""")
        python.chmod(0o755)
        inventory = json.loads(json.dumps(INVENTORY))
        inventory["all"]["children"]["directors"]["hosts"] = {"lb1": {"director_python": str(python)}}
        (tmp_path / "inventory.json").write_text(json.dumps(inventory))
        (tmp_path / "work.json").write_text(json.dumps([{"name": "Work on the director", "ansible.builtin.debug": {"msg": "at work"}}]))
        options = {"director_drain_hosts": "lb1", "director_drain_last": True, "director_drain_wait": 2, "director_drain_tasks": str(tmp_path / "work.json")}
        words = ["-i", tmp_path / "inventory.json", ROOT / "playbooks/director_drain.yml", "-e", json.dumps(options)]
        done = ansible("ansible-playbook", *words, home=tmp_path, succeeds=False)
        return done, (tmp_path / "log").read_text().split()

    return run


@pytest.mark.parametrize("active", [0, 1])
def test_a_director_s_addresses_go_when_the_time_is_over(director_drain, active):
    done, asked = director_drain({"services": [{"servers": [{"statistics": {"active_connections": active}}]}]})
    assert "at work" in done.line
    assert asked[: 3 + 2 * active] == ["addresses", *["looked"] * (1 + 2 * active), "addresses"]


def test_a_director_whose_connections_cannot_be_read_keeps_its_addresses(director_drain):
    done, asked = director_drain({"failed": True, "msg": "no table today"})
    assert "no table today" in done.line and "at work" not in done.line and asked.count("addresses") == 1
