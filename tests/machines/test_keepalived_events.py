# SPDX-License-Identifier: GPL-3.0-or-later
"""What happens to a director on which keepalived checks the servers, one event after the other, with requests all the time."""

from __future__ import annotations

import copy
import re

import pytest

from tests.machines.keepalived import ADDRESSES, PREPARE, SERVE, VIP, Director, load, machines, services
from tests.support import eventually

SORRY = {"address": ADDRESSES[1], "port": 8099, "forward_method": "nat"}
OTHERS = """
ipvsadm -A -t 203.0.113.99:99 -s wlc -p 77
ipvsadm -a -t 203.0.113.99:99 -r 198.51.100.99 -g -w 7
ipvsadm -a -t 203.0.113.99:99 -r 198.51.100.98 -g -w 0
"""
UNTIL_OUT = r"""
start=$(date +%s%N)
until ipvsadm -S -n | grep -q -e '-r 198.51.100.12:80 .*-w 0'; do sleep 0.05; done
echo $((($(date +%s%N) - start) / 1000000))
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    with machines("keepalived-events-test", request.param) as lab:
        lab.ssh("director", OTHERS, check=True)
        yield lab


@pytest.fixture
def director(lab, tmp_path):
    """Works by the usual list, and has done nothing to what others have in the table when the test ends."""
    director = Director(lab, tmp_path)
    director.run("ipvs_table", services=services(*ADDRESSES))
    director.run("ipvs_keepalived", services=services(*ADDRESSES))
    eventually(lambda: weights(director) == [1, 1])
    before = others(director)
    yield director
    assert others(director) == before


def others(director):
    return [line for line in director.say("ipvsadm -S -n").splitlines() if "203.0.113.99:99" in line]


def weights(director):
    """Of the two servers, in the order of ADDRESSES; None for one that is not there."""
    table = director.say("ipvsadm -S -n")
    found = [re.search(rf"-a -t {VIP}:80 -r {address}:80 .*-w (\d+)", table) for address in ADDRESSES]
    return [int(each[1]) if each else None for each in found]


def stop(lab, name):
    lab.ssh(name, "systemctl stop web", check=True)


def test_a_server_dies(lab, director):
    slow = services(*ADDRESSES)
    slow[0]["check"].update(interval=2, delay=1)
    director.run("ipvs_keepalived", services=slow)
    for _number in range(5):
        stop(lab, "rs1")
        seconds = int(director.say(UNTIL_OUT)) / 1000
        print(f"out after {seconds:.1f} s")
        assert seconds < 20  # what the checks need is at most 4 s; the rest is for a machine that is busy
        with load(lab, director.folder) as count:
            director.run("ipvs_keepalived", services=slow)
        assert (count["failed"], count["done"] > 10) == (0, True)
        lab.ssh("rs1", SERVE, check=True)
        eventually(lambda: weights(director) == [1, 1])


def test_the_checker_crashes_while_a_server_is_down(lab, director):
    stop(lab, "rs1")
    eventually(lambda: weights(director) == [0, 1])
    checker = director.processes()["checker"]
    with load(lab, director.folder) as count:
        director.say(f"kill -SEGV {checker}")
        eventually(lambda: director.processes()["checker"] not in (None, checker))
        eventually(lambda: director.run("ipvs_keepalived", services=services(*ADDRESSES))["changed"] is False)
    assert count["failed"] == 0 and weights(director) == [0, 1]
    lab.ssh("rs1", SERVE, check=True)


def test_a_server_that_comes_and_goes(lab, director):
    """Each time it is taken out and put back; the other one is never touched."""
    director.say("echo >/tmp/seen; systemd-run -q --unit=watch sh -c 'while sleep 0.1; do ipvsadm -S -n | grep 100.13:80 >>/tmp/seen; done'")
    for _number in range(4):
        stop(lab, "rs1")
        eventually(lambda: weights(director) == [0, 1])
        lab.ssh("rs1", SERVE, check=True)
        eventually(lambda: weights(director) == [1, 1])
    director.say("systemctl stop watch")
    seen = director.say("sort -u /tmp/seen").split("\n")
    assert [line for line in seen if line] == [f"-a -t {VIP}:80 -r 198.51.100.13:80 -m -w 1"]


def test_all_servers_are_down(lab, director):
    """The sorry server answers as long as nobody else can, also where one is drained and the other one down."""
    lab.ssh("rs2", "mkdir -p /srv/sorry; echo sorry >/srv/sorry/health; systemd-run -q --unit=sorry --working-directory=/srv/sorry python3 -m http.server 8099")
    listed = copy.deepcopy(services(*ADDRESSES))
    listed[0]["sorry_server"] = SORRY
    director.run("ipvs_keepalived", services=listed)

    def answer():
        return lab.exec(["curl", "-s", "-m", "3", f"http://{VIP}/health"], capture_output=True).stdout.strip()

    stop(lab, "rs1")
    director.run("ipvs_drain", addresses=[ADDRESSES[1]], state="drained", allow_empty=True, drain_timeout=60)
    eventually(lambda: answer() == "sorry")
    lab.ssh("rs1", SERVE, check=True)
    eventually(lambda: weights(director)[0] == 1 and answer() == "yes")
    with load(lab, director.folder) as count:
        director.run("ipvs_drain", addresses=[ADDRESSES[1]], state="restored")
        eventually(lambda: weights(director) == [1, 1])
        director.run("ipvs_keepalived", services=services(*ADDRESSES))
    assert count["failed"] == 0 and ":8099" not in director.say("ipvsadm -S -n")


def test_bad_configurations(lab, director):
    before = (director.say("cat /etc/keepalived/keepalived.conf"), director.processes())
    bad = {
        "a list that is empty": ([], None, "services"),
        "a script that is not there": (services(*ADDRESSES), {"type": "script", "command": "/usr/local/bin/none"}, "/usr/local/bin/none"),
        "an option that is mistyped": (services(*ADDRESSES), {"type": "htpp"}, "htpp"),
        "a regular expression that nobody can read": (services(*ADDRESSES), {"type": "http", "path": "/", "text": "(("}, "(("),
    }
    with load(lab, director.folder) as count:
        for listed, check, named in bad.values():
            for service in listed:
                service["check"] = check
            assert named in director.run("ipvs_keepalived", succeeds=False, services=listed)["msg"]
        missing = {"interface": "eth7", "priority": 100}
        assert "eth7" in director.run("ipvs_keepalived", succeeds=False, services=services(*ADDRESSES), failover=missing)["msg"]
    assert count["failed"] == 0
    assert before == (director.say("cat /etc/keepalived/keepalived.conf"), director.processes())
    stop(lab, "rs1")  # and what is in force still checks
    eventually(lambda: weights(director) == [0, 1])
    lab.ssh("rs1", SERVE, check=True)


def test_a_drained_server_stays_drained(lab, director):
    director.run("ipvs_drain", addresses=[ADDRESSES[0]], state="drained", drain_timeout=60)
    stop(lab, "rs1")
    eventually(lambda: "failing" in str(director.run("ipvs_keepalived_info")["services"]) or weights(director) == [0, 1])
    lab.ssh("rs1", SERVE, check=True)
    director.say("systemctl restart keepalived")
    eventually(lambda: weights(director) == [0, 1])
    lab.restart("director")
    lab.ssh("director", PREPARE + OTHERS, check=True)
    eventually(lambda: weights(director) == [0, 1])
    with load(lab, director.folder) as count:
        director.run("ipvs_keepalived", services=services(*ADDRESSES))
        assert weights(director) == [0, 1]
        director.run("ipvs_drain", addresses=[ADDRESSES[0]], state="restored")
        eventually(lambda: weights(director) == [1, 1])
    assert count["failed"] == 0
