# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived ends, however that is, and starts again, as its unit has it: systemd does not run here, so the tests do what the unit says."""

from __future__ import annotations

import contextlib
import os
import select
import shlex
import signal
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support import eventually

from .keepalived import ADDITION, ADDRESSES, DRAIN, additions, run_command, web
from .modules import run_module

pytestmark = pytest.mark.once

THEIRS = "-A -t 203.0.113.99:99 -s wlc\n-a -t 203.0.113.99:99 -r 198.51.100.99:99 -g -w 7\n"
DISTRIBUTION = "/usr/sbin/keepalived --dont-fork $DAEMON_ARGS"
FAILOVER = {"source_address": "198.51.100.201", "peers": ["198.51.100.202"], "priority": 100, "advert_interval": 0.2, "sync": {}}


class Unit:
    """The unit of keepalived, with what the module has added to it in two files."""

    def __init__(self, director):
        self.director, self.keepalived = director, director.keepalived

    def _lines(self, key):
        lines = [line for name in additions() for line in (ADDITION.parent / name).read_text().splitlines()]
        return [line.partition("=")[2] for line in lines if line.startswith(key + "=")]

    def start(self):
        line = (self._lines("ExecStart") or [DISTRIBUTION])[-1]
        words = [word for word in shlex.split(line)[1:] if not word.startswith("$")]
        command = ["keepalived", *words, "--log-console", f"--use-file={self.director.path}", *self.keepalived.files]
        with self.keepalived.log.open("ab") as log:
            self.keepalived.process = subprocess.Popen(command, env=self.keepalived.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def end(self, result, number, everything=False):
        """Have a signal end the parent, or all processes, and do what the unit does afterwards."""
        parent, children = self.keepalived.process.pid, self.keepalived.children()
        os.kill(parent, signal.SIGSTOP)  # or it would start new children
        for pid in [*(children if everything else ()), parent]:
            os.kill(pid, number)
        os.kill(parent, signal.SIGCONT)
        self.keepalived.process.wait()
        eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
        for line in self._lines("ExecStopPost"):
            subprocess.run(shlex.split(line.lstrip("-").replace("$$", "$")), env={**os.environ, "SERVICE_RESULT": result}, check=False, capture_output=True)

    def up(self):
        """Wait until it has checked all servers; the table may have had their weights before."""
        eventually(lambda: [each["health"] for service in run_module("ipvs_keepalived_info")["services"] for each in service["servers"]] == ["up", "up"])
        eventually(lambda: set(self.director.weights().values()) == {5, 7})


@pytest.fixture
def unit(director, ipvs):
    """With a table of others beside ours, and a kernel that forgets the connections of a server that leaves the table."""
    run_command(["sysctl", "-qw", "net.ipv4.vs.expire_nodest_conn=1"])
    run_module("ipvs_table", services=web())
    director.manage(web())
    ipvs.restore(THEIRS)
    unit = Unit(director)
    unit.start()
    unit.up()
    return unit


class Connection:
    """A connection through the service that stays."""

    def __init__(self, servers, stack):
        self.client = stack.enter_context(socket.create_connection(("203.0.113.80", 80), 5))
        self.server = stack.enter_context(self._accepted(servers))

    def _accepted(self, servers):
        """The other end. The checks, too, have opened connections, and closed them."""
        while True:
            ready = select.select(list(servers.values()), [], [], 5)[0]
            for listener in ready:
                connection = listener.accept()[0]
                if connection.getpeername() == self.client.getsockname():
                    connection.settimeout(5)
                    return connection
                connection.close()

    def lives(self):
        self.client.sendall(b"question")
        if self.server.recv(100) != b"question":
            return False
        self.server.sendall(b"answer")
        return self.client.recv(100) == b"answer"


@pytest.fixture
def connection(unit, servers):
    with contextlib.ExitStack() as stack:
        connection = Connection(servers, stack)
        assert connection.lives()
        yield connection


@pytest.mark.parametrize("everything", [False, True], ids=["the parent", "all processes"])
def test_a_killed_one(unit, connection, ipvs, everything):
    unit.end("signal", signal.SIGKILL, everything)
    assert unit.director.weights() == {ADDRESSES[0]: 0, ADDRESSES[1]: 0, "198.51.100.99": 7}
    assert connection.lives()
    unit.start()
    unit.up()
    assert connection.lives()


@pytest.mark.slow
def test_a_dead_server_gets_nothing_from_the_next_one(unit, servers):
    unit.end("signal", signal.SIGKILL, everything=True)
    servers[ADDRESSES[0]].close()
    unit.start()
    eventually(lambda: unit.director.weights()[ADDRESSES[1]] == 5)
    assert unit.director.weights()[ADDRESSES[0]] == 0


def test_no_health_checks_any_more_after_a_failure(unit):
    """Nobody else would ever give the servers their weight again, where the list does not."""
    run_module("ipvs_drain", addresses=[ADDRESSES[1]], wait=False)
    unit.end("signal", signal.SIGKILL, everything=True)
    rule = f"ipvsadm -e -t 203.0.113.80:80 -r {ADDRESSES[0]}:80 -m -w 5"
    before = unit.director.weights()
    foretold = unit.director.manage(state="absent", check=True)
    assert unit.director.weights() == before == {ADDRESSES[0]: 0, ADDRESSES[1]: 0, "198.51.100.99": 7}
    done = unit.director.manage(state="absent")
    assert done["differences"] == foretold["differences"] and rule in done["differences"]
    assert unit.director.weights() == {ADDRESSES[0]: 5, ADDRESSES[1]: 0, "198.51.100.99": 7}
    run_module("ipvs_drain", addresses=[ADDRESSES[1]], state="restored")
    assert unit.director.weights()[ADDRESSES[1]] == 5
    assert not unit.director.manage(state="absent")["changed"]


def test_no_health_checks_any_more_while_a_server_is_down(unit, servers):
    """It is still down, and keepalived has said so."""
    servers[ADDRESSES[0]].close()
    eventually(lambda: unit.director.weights()[ADDRESSES[0]] == 0)
    unit.director.manage(state="absent")
    assert unit.director.weights() == {ADDRESSES[0]: 0, ADDRESSES[1]: 5, "198.51.100.99": 7}


def test_no_health_checks_any_more_while_a_server_is_drained(unit):
    run_module("ipvs_drain", addresses=[ADDRESSES[1]], wait=False)
    unit.director.manage(state="absent")
    assert unit.director.weights() == {ADDRESSES[0]: 5, ADDRESSES[1]: 0, "198.51.100.99": 7}
    assert not list(DRAIN.iterdir())
    restored = run_module("ipvs_drain", state="restored")
    assert [place["weight_now"] for place in restored["places"]] == [5] == [unit.director.weights()[ADDRESSES[1]]]


def test_a_service_that_leaves_the_list_with_the_health_checks(unit):
    """keepalived would have removed it, and nobody does that afterwards."""
    listed = web()
    unit.director.manage([*listed, {**listed[0], "port": 81}])
    added = "-A -t 203.0.113.80:81 -s wrr"
    eventually(lambda: added in unit.director.ipvs.saved())
    foretold = unit.director.manage(listed, state="absent", check=True)
    done = unit.director.manage(listed, state="absent")
    assert done["differences"] == foretold["differences"] and "ipvsadm -D -t 203.0.113.80:81" in done["differences"]
    assert unit.director.weights() == {ADDRESSES[0]: 5, ADDRESSES[1]: 5, "198.51.100.99": 7}
    assert added not in unit.director.ipvs.saved()
    assert not unit.director.manage(listed, state="absent")["changed"]


@pytest.mark.slow
def test_one_that_is_stopped(unit):
    unit.end("success", signal.SIGTERM)
    assert unit.director.weights() == {"198.51.100.99": 7}
    unit.start()
    unit.up()
    assert set(unit.director.weights()) == {*ADDRESSES[:2], "198.51.100.99"}


@pytest.mark.slow
def test_a_sorry_server_that_is_in_use(unit, servers):
    listed = [{**web()[0], "sorry_server": {"address": ADDRESSES[2], "forward_method": "nat"}}]
    unit.director.manage(listed)
    for address in ADDRESSES[:2]:
        servers[address].close()
    eventually(lambda: ADDRESSES[2] in unit.director.weights())
    unit.end("signal", signal.SIGKILL)
    assert unit.director.weights() == {ADDRESSES[0]: 0, ADDRESSES[1]: 0, "198.51.100.99": 7}


@pytest.mark.slow
def test_a_killed_master_learns_connections_as_a_backup(director, ipvs):
    """VRRP leaves the sync daemon of a master behind."""
    for words in ("link add up0 type dummy", "link set up0 up multicast on", "address add 198.51.100.201/24 dev up0"):
        run_command(["ip", *words.split()])
    run_module("ipvs_table", services=web())
    director.manage(web(), failover={**FAILOVER, "addresses": ["203.0.113.90"]})
    unit = Unit(director)
    unit.start()
    eventually(lambda: "master" in ipvs.ipvsadm("-L", "--daemon"))
    unit.end("signal", signal.SIGKILL, everything=True)
    assert ipvs.ipvsadm("-L", "--daemon") == "" and "203.0.113.90" not in run_command(["ip", "address", "show"])[1]
    unit.start()
    eventually(lambda: "backup" in ipvs.ipvsadm("-L", "--daemon"))
