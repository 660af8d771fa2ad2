# SPDX-License-Identifier: GPL-3.0-or-later
"""drain.yml over two directors and three real servers: the order, what is refused, what a failure leaves behind, going on."""

from __future__ import annotations

import json
import re

import pytest

from tests.directors import Directors
from tests.support import ROOT, ansible

pytestmark = [pytest.mark.once, pytest.mark.slow]

SERVERS = {f"web{number}": f"198.51.100.1{number}" for number in (1, 2, 3)}
LIST = [
    {"address": "203.0.113.80", "port": 80, "servers": [{"address": address, "forward_method": "nat"} for address in SERVERS.values()]},
    {"fwmark": 7, "servers": [{"address": SERVERS["web1"], "forward_method": "nat"}, {"address": SERVERS["web2"], "forward_method": "nat"}]},
]
RULES = """\
-A -t 203.0.113.80:80 -s wlc
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 4
-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 5
-A -f 7 -s wlc
-a -f 7 -r 198.51.100.11:0 -m -w 6
-a -f 7 -r 198.51.100.12:0 -m -w 7
"""
# the second director does not have web2
FEW = "-A -t 203.0.113.80:80 -s wlc\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 8\n-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 9\n"
NAMES = ["lb1", "lb2"]


def out(text):
    """The name in the first line of the text, and the last digits of the servers that have weight 0."""
    name, _newline, table = text.partition("\n")
    return name, sorted(set(re.findall(r"-r 198\.51\.100\.1(\d):\d+ -m -w 0", table)))


@pytest.fixture
def directors(netns, tmp_path):
    """Two directors with their tables. ``directors.drain(*words)``: run drain.yml; ``directors.tasks(list)``: a file of tasks."""
    with Directors(NAMES, SERVERS, tmp_path, director_services=LIST, folder=str(tmp_path)) as found:
        for name in NAMES:
            found.ipvsadm(name, "-R", rules=FEW if name == "lb2" else RULES)
        inventory = found.inventory()

        def drain(*words, succeeds=True):
            for path in tmp_path.glob("*.seen"):
                path.unlink()
            return ansible("ansible-playbook", "-i", inventory, ROOT / "playbooks/drain.yml", *words, home=tmp_path, succeeds=succeeds)

        def tasks(*given):
            path = tmp_path / "tasks.json"
            path.write_text(json.dumps(given))
            return ["-e", f"drain_tasks={path}"]

        def seen():
            """{real server: {director: the last digits of the servers that were out while the tasks ran}}"""
            return {path.stem: dict(out(part) for part in re.split(r"(?m)^(?=lb)", path.read_text()) if part) for path in sorted(tmp_path.glob("*.seen"))}

        found.drain, found.tasks, found.seen = drain, tasks, seen
        found.tables = lambda: {name: found.ipvsadm(name, "-S", "-n") for name in NAMES}
        found.before = found.tables()
        yield found


# What each server's tasks see: the table of every director, in a file named after the server.
LOOK = {
    "name": "Look at the tables",
    "ansible.builtin.shell": "for name in lb1 lb2; do echo $name; ip netns exec $name ipvsadm -S -n; done > {{ folder }}/{{ inventory_hostname }}.seen",
}
FAIL = {"name": "Break off", "ansible.builtin.fail": {"msg": "Broken off in the middle"}, "when": "inventory_hostname == 'web2'"}


def test_what_is_refused_and_two_at_a_time(directors):
    """Where one director alone would have no server left, none is touched."""
    directors.ipvsadm("lb2", "-e", "-t", "203.0.113.80:80", "-r", SERVERS["web1"], "-m", "-w", "0")
    before = directors.tables()
    refused = directors.drain("-e", "drain_hosts=web3", succeeds=False)
    assert "No server would accept new connections of tcp 203.0.113.80:80. Restore" in refused.line and "changed=0" in refused.line
    assert directors.tables() == before and [directors.state(name) for name in NAMES] == [[], []]
    directors.drain("-e", "drain_hosts=web3,web1", "-e", "drain_serial=2", "-e", "drain_last=true", *directors.tasks(LOOK))
    assert directors.seen() == dict.fromkeys(("web1", "web3"), {"lb1": ["1", "3"], "lb2": ["1", "3"]})
    assert directors.tables() == before


def test_broken_off_and_gone_on_with(directors):
    done = directors.drain("-e", "drain_hosts=web1,web2", *directors.tasks(LOOK, FAIL), succeeds=False)
    assert "Broken off in the middle" in done.line
    assert directors.seen() == {"web1": {"lb1": ["1"], "lb2": ["1"]}, "web2": {"lb1": ["2"], "lb2": []}}
    assert [directors.state(name) for name in NAMES] == [["drained.json"], []]
    # somebody gives one place a weight meanwhile
    directors.ipvsadm("lb1", "-e", "-f", "7", "-r", SERVERS["web2"] + ":0", "-m", "-w", "1")
    done = directors.drain("-e", "drain_hosts=web1,web2", *directors.tasks(LOOK))
    assert re.findall(r"TASK \[Take out (web\d)\]", done.stdout) == ["web2", "web1"]
    assert directors.seen() == {"web1": {"lb1": ["1"], "lb2": ["1"]}, "web2": {"lb1": ["2"], "lb2": []}}
    after = dict(directors.before, lb1=directors.before["lb1"].replace("-f 7 -r 198.51.100.12:0 -m -w 7", "-f 7 -r 198.51.100.12:0 -m -w 1"))
    assert directors.tables() == after
    assert [directors.state(name) for name in NAMES] == [[], []]
