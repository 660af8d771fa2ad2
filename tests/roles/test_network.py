# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that puts up what a node needs of the network: its decisions, held against a node of the test's own."""

from __future__ import annotations

import importlib.util
import re
import struct
from pathlib import Path

import pytest

PROGRAM = Path(__file__).resolve().parents[2] / "roles/director/files/network.py"
spec = importlib.util.spec_from_file_location("network", PROGRAM)
network = importlib.util.module_from_spec(spec)
spec.loader.exec_module(network)

MAC = bytes.fromhex("020000000011")
DIRECTOR = """\
# a comment
run sysctl -q 'a b'
await table
await 203.0.113.80
await 2001:DB8:0::80
address 203.0.113.80/32 dev eth0 announce
address 2001:db8::80/128 dev eth0 announce
address 198.51.100.1/24 dev eth1 announce
"""
TABLE = """\
IP Virtual Server version 1.2.1 (size=4096)
Prot LocalAddress:Port Scheduler Flags
  -> RemoteAddress:Port Forward Weight ActiveConn InActConn
TCP  CB007150:0050 rr
  -> C6336464:0050      Route   1      0          0
UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 wrr
"""
REAL_SERVER = """\
dummy ipvs0
run systemd-sysctl FILE
link ipvs0
link tunl0
fou -4 port 6080 gue
route -4 default via 198.51.100.11 table 5198
rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198
rule -6 priority 5198 from 2001:db8::12 lookup 5198
address 203.0.113.80/32 dev ipvs0
"""


class Node:
    """Remembers what it was told. ``broken``: a pattern of commands that fail, with their reason."""

    def __init__(self, table=TABLE, broken=(), there=(), fou=(), used=()):
        self.text, self.broken, self.there, self.fou, self.used = table, dict(broken), set(there), fou, used
        self.done, self.sent, self.pauses = [], [], 0

    def reason(self, command):
        return next((reason for pattern, reason in self.broken.items() if re.search(pattern, command)), None)

    def run(self, command, text=""):
        self.done.append(command)
        return self.reason(" ".join(command))

    def ip(self, words, text=""):
        """A batch stops at its first error, as ip(8) does."""
        for command in text.splitlines() or [" ".join(words)]:
            if self.reason(command):
                return self.reason(command)
            self.done.append(command)
        return None

    def addresses(self):
        return self.there

    def in_use(self, interface):
        return interface in self.used

    def has_fou(self, words):
        return list(words) in self.fou

    def table(self):
        return self.text

    def mac(self, interface):
        return None if interface == "lo" else MAC

    def forwards(self, interface):
        return interface == "eth1"

    def send(self, interface, frames):
        self.sent.append((interface, frames))
        return self.reason(f"send {interface}")

    def pause(self):
        self.pauses += 1


def up(text, node):
    return [(failure.line.text, failure.reason) for failure in network.up(network.parse(text), node)]


def down(text, node):
    return [(failure.line.text, failure.reason) for failure in network.down(network.parse(text), node)]


def test_a_director_comes_up_in_the_order_of_its_lines():
    node = Node()
    assert up(DIRECTOR, node) == []
    assert node.done == [
        ["sysctl", "-q", "a b"],
        "address replace 203.0.113.80/32 dev eth0",
        "address replace 2001:db8::80/128 dev eth0 nodad preferred_lft 0",
        "address replace 198.51.100.1/24 dev eth1",
    ]


def test_nothing_is_nothing():
    node = Node()
    assert up("# nothing\n\n", node) == down("# nothing\n", node) == []
    assert (node.done, node.sent, node.pauses) == ([], [], 0)


@pytest.mark.parametrize(
    ("table", "waiting"),
    [
        ("", {"203.0.113.80/32", "2001:db8::80/128", "198.51.100.1/24"}),
        (TABLE.split("TCP", maxsplit=1)[0], {"203.0.113.80/32", "2001:db8::80/128", "198.51.100.1/24"}),
        ("FWM  00000007 rr\n", {"203.0.113.80/32", "2001:db8::80/128"}),
        ("SCTP  CB007150:0050 rr\n", {"2001:db8::80/128"}),
        ("UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 rr\n", {"203.0.113.80/32"}),
        (TABLE, set()),
    ],
)
def test_addresses_wait_for_their_services(table, waiting):
    node = Node(table)
    failures = up(DIRECTOR, node)
    assert {text.split()[1] for text, _reason in failures} == waiting
    assert all("IPVS table has no service" in reason for _text, reason in failures)
    assert sum("address replace" in command for command in node.done) == 3 - len(waiting)
    assert len(node.sent) == network.ROUNDS * (3 - len(waiting))


def test_without_await_no_address_waits():
    node = Node(table="")
    assert up("address 203.0.113.80/32 dev eth0\n", node) == []
    assert node.done == ["address replace 203.0.113.80/32 dev eth0"]


def test_the_table_is_read_after_the_commands_that_fill_it():
    node = Node(table="")
    node.run = lambda command: setattr(node, "text", TABLE)
    assert up(DIRECTOR, node) == []


def test_every_line_is_tried_and_what_failed_is_named():
    node = Node(broken={"^sysctl": "no such key", "203.0.113.80": "Cannot find device"})
    assert up(DIRECTOR, node) == [
        ("run sysctl -q 'a b'", "no such key"),
        ("address 203.0.113.80/32 dev eth0 announce", "Cannot find device"),
    ]
    assert {"address replace 2001:db8::80/128 dev eth0 nodad preferred_lft 0", "address replace 198.51.100.1/24 dev eth1"} <= set(node.done[1:])
    assert len(node.sent) == 2 * network.ROUNDS


def test_a_failure_among_many_costs_its_batch_alone():
    text = "".join(f"address 203.0.113.{number}/32 dev eth{block}\n" for block in range(8) for number in range(250))
    calls = []
    node = Node(broken={"203.0.113.77/32 dev eth2": "no"})
    ip, node.ip = node.ip, lambda words, text="": calls.append(words) or ip(words, text)
    assert up(text, node) == [("address 203.0.113.77/32 dev eth2", "no")]
    assert len(set(node.done)) == 8 * 250 - 1
    assert len(calls) == 4 + network.BATCH


def test_an_announcement_that_fails_is_a_failure_once():
    failures = up(DIRECTOR, Node(broken={"send eth1": "Network is down"}))
    assert failures == [("address 198.51.100.1/24 dev eth1 announce", "it is up, and its neighbors do not know: Network is down")]


def test_what_is_up_already_is_not_announced_and_nothing_is_waited_for():
    node = Node(there={"203.0.113.80/32 dev eth0", "2001:db8::80/128 dev eth0", "198.51.100.1/24 dev eth1"})
    assert up(DIRECTOR, node) == []
    assert (node.sent, node.pauses) == ([], 0)
    node = Node(there={"203.0.113.80/32 dev eth0", "2001:db8::80/128 dev eth0"})
    assert up(DIRECTOR, node) == []
    assert [interface for interface, _frames in node.sent] == ["eth1"] * network.ROUNDS
    assert node.pauses == network.ROUNDS - 1


def test_only_addresses_that_say_so_are_announced_and_only_where_neighbors_resolve():
    node = Node()
    assert up("address 203.0.113.80/32 dev eth0\naddress 203.0.113.81/32 dev lo announce\n", node) == []
    assert node.sent == []


def test_a_real_server_up_and_down():
    node = Node()
    assert up(REAL_SERVER, node) == []
    assert node.done == [
        "link add ipvs0 type dummy",
        ["systemd-sysctl", "FILE"],
        "link set ipvs0 up",
        "link set tunl0 up",
        "-4 fou add port 6080 gue",
        "-4 route replace default via 198.51.100.11 table 5198",
        "-4 rule add priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198",
        "-6 rule add priority 5198 from 2001:db8::12 lookup 5198",
        "address replace 203.0.113.80/32 dev ipvs0",
    ]
    assert node.sent == []
    node = Node(fou=[["-4", "port", "6080", "gue"]], used=["tunl0"])
    assert down(REAL_SERVER, node) == []
    assert node.done == [
        "address delete 203.0.113.80/32 dev ipvs0",
        "-6 rule del priority 5198 from 2001:db8::12 lookup 5198",
        "-4 rule del priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198",
        "-4 route del default via 198.51.100.11 table 5198",
        "-4 fou del port 6080",
        "link set ipvs0 down",
        "link delete ipvs0",
    ]


def test_what_is_there_or_gone_already_is_fine():
    again = {"link add|rule add": "RTNETLINK answers: File exists"}
    assert up(REAL_SERVER, Node(broken=again, fou=[["-4", "port", "6080", "gue"]])) == []
    gone = {
        "address delete": "Cannot find device \"ipvs0\"",
        "rule del": "RTNETLINK answers: No such file or directory",
        "route del": "RTNETLINK answers: No such process",
        "link": "Cannot find device \"ipvs0\"",
    }
    assert down(REAL_SERVER, Node(broken=gone)) == []
    assert down(DIRECTOR, Node(broken={"address delete": "RTNETLINK answers: Cannot assign requested address"})) == []
    assert [text for text, _reason in down(DIRECTOR, Node(broken={"delete 203": "RTNETLINK answers: Operation not permitted"}))] == [
        "address 203.0.113.80/32 dev eth0 announce"
    ]


@pytest.mark.parametrize("line", ["adress 203.0.113.80/32 dev eth0", "address"])
def test_an_unknown_line_is_an_error(line):
    with pytest.raises(network.BadLine, match="unknown line 'adr?d?ress.*there are address, await"):
        network.parse(line)


def test_gratuitous_arp():
    request, reply = network.gratuitous_arp(MAC, "203.0.113.80")
    assert request.hex() == "ffffffffffff" "020000000011" "0806" "0001080006040001" "020000000011" "cb007150" "000000000000" "cb007150"
    assert reply.hex() == "ffffffffffff" "020000000011" "0806" "0001080006040002" "020000000011" "cb007150" "020000000011" "cb007150"


@pytest.mark.parametrize(("router", "flags"), [(False, "20000000"), (True, "a0000000")])
def test_neighbor_advertisement(router, flags):
    (frame,) = network.neighbor_advertisement(MAC, "2001:db8::80", router)
    source, everybody = "20010db8000000000000000000000080", "ff020000000000000000000000000001"
    assert frame[:14].hex() == "333300000001" "020000000011" "86dd"
    assert frame[14:54].hex() == "60000000" "0020" "3a" "ff" + source + everybody
    assert frame[54:56].hex() == "8800" and frame[58:].hex() == flags + source + "0201" "020000000011"
    words = bytes.fromhex(source + everybody) + struct.pack("!II", 32, 58) + frame[54:]
    assert sum(struct.unpack(f"!{len(words) // 2}H", words)) % 0xFFFF == 0  # as a receiver sums it up
