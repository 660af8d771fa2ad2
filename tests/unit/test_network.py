# SPDX-License-Identifier: GPL-3.0-or-later
"""What an IPVS node needs of the network: the decisions, held against a node of the test's own."""

from __future__ import annotations

import io
import socket
import struct
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network as network
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_frames as frames
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_lines as lines
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _network_node

from .network_host import MAC, TABLE, Node

DIRECTOR = """\
# a comment
run ipvsadm -R 'a b'
await table
await 203.0.113.80
await 2001:DB8:0::80
address 203.0.113.80/32 dev eth0 announce
address 2001:DB8::80/128 dev eth0 announce
address 198.51.100.1/24 dev eth1 announce
"""
REAL_SERVER = """\
dummy ipvs0
sysctl net.ipv4.conf.all.arp_ignore 1
link ipvs0
link tunl0
fou -4 port 6080 gue
route -4 default via 198.51.100.11 table 5198
rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198
rule -6 priority 5198 from 2001:db8::12 lookup 5198
address 203.0.113.80/32 dev ipvs0
"""
UP = [line for line in REAL_SERVER.splitlines() if not line.startswith("sysctl")]
THERE = {lines.identity(line) for line in lines.parse(DIRECTOR + REAL_SERVER)}


def up(text, node):
    return [(failure.line.text, failure.reason) for failure in network.up(lines.parse(text), node)]


def down(text, node):
    return [(failure.line.text, failure.reason) for failure in network.down(lines.parse(text), node)]


def test_a_director_comes_up_in_the_order_of_its_lines():
    node = Node()
    assert up(DIRECTOR, node) == []
    assert node.done == [
        "ipvsadm -R a b",
        "address 203.0.113.80/32 dev eth0",
        "address 2001:db8::80/128 dev eth0",
        "address 198.51.100.1/24 dev eth1",
    ]


def test_nothing_is_nothing():
    node = Node()
    assert up("# nothing\n\n", node) == down("# nothing\n", node) == []
    assert (node.done, node.sent, node.pauses) == ([], [], 0)


@pytest.mark.parametrize(
    ("table", "waiting"),
    [
        ("", {"203.0.113.80/32", "2001:DB8::80/128", "198.51.100.1/24"}),
        (TABLE.split("TCP", maxsplit=1)[0], {"203.0.113.80/32", "2001:DB8::80/128", "198.51.100.1/24"}),
        ("\nFWM  00000007 rr\n", {"203.0.113.80/32", "2001:DB8::80/128"}),
        ("SCTP  CB007150:0050 rr\n", {"2001:DB8::80/128"}),
        ("UDP  [2001:0db8:0000:0000:0000:0000:0000:0080]:0035 rr\n", {"203.0.113.80/32"}),
        (TABLE, set()),
    ],
)
def test_addresses_wait_for_their_services(table, waiting):
    node = Node(table)
    failures = up(DIRECTOR, node)
    assert {text.split()[1] for text, _reason in failures} == waiting
    assert all("IPVS table has no service" in reason for _text, reason in failures)
    assert len(node.done) == 1 + 3 - len(waiting)
    assert len(node.sent) == network.ROUNDS * (3 - len(waiting))


def test_without_await_no_address_waits():
    node = Node(table="")
    assert up("address 203.0.113.80/32 dev eth0\n", node) == []
    assert node.done == ["address 203.0.113.80/32 dev eth0"]


def test_the_table_is_read_after_the_commands_that_fill_it():
    node = Node(table="")
    node.run = lambda command: setattr(node, "text", TABLE)
    assert up(DIRECTOR, node) == []


def test_every_line_is_tried_and_what_failed_is_named():
    node = Node(broken={"203.0.113.80": "no such device", "tunl0": "not permitted"})
    assert up("link tunl0\n" + DIRECTOR, node) == [("link tunl0", "not permitted"), ("address 203.0.113.80/32 dev eth0 announce", "no such device")]
    assert node.done[1:] == ["address 2001:db8::80/128 dev eth0", "address 198.51.100.1/24 dev eth1"]
    assert len(node.sent) == 2 * network.ROUNDS


@pytest.mark.parametrize(("text", "broken"), [(REAL_SERVER, "arp_ignore"), (DIRECTOR, "ipvsadm")])
def test_an_address_stays_away_when_what_is_set_before_it_has_failed(text, broken):
    """A real server that answers ARP for a virtual address takes it from the director."""
    node = Node(broken={broken: "read-only"})
    failures = up(text, node)
    assert failures[0][1] == "read-only"
    assert {reason for _line, reason in failures[1:]} == {"held back, because what has to be set before it failed"}
    assert [line for line, _reason in failures[1:]] == [line for line in text.splitlines() if line.startswith("address")]
    assert not [line for line in node.done if line.startswith("address")] and node.sent == []


def test_an_address_that_is_there_stays_whatever_failed():
    node = Node(broken={"arp_ignore": "read-only"}, there=THERE, table="")
    assert [line for line, _reason in up(REAL_SERVER, node)] == ["sysctl net.ipv4.conf.all.arp_ignore 1"]
    assert up(DIRECTOR, node) == []


def test_an_announcement_that_fails_is_a_failure_once():
    failures = up(DIRECTOR, Node(broken={"send eth1": "Network is down"}))
    assert failures == [("address 198.51.100.1/24 dev eth1 announce", "it is up, and its neighbors do not know: Network is down")]


def test_what_is_up_already_is_not_announced_and_nothing_is_waited_for():
    node = Node(there=THERE)
    assert up(DIRECTOR, node) == []
    assert (node.sent, node.pauses) == ([], 0)
    node = Node(there={line for line in THERE if "eth1" not in line})
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
    assert node.done == [UP[0], "net.ipv4.conf.all.arp_ignore = 1", *UP[1:]]
    node = Node(there=THERE, used=["tunl0"])
    assert down(REAL_SERVER, node) == []
    assert node.done == ["- " + line for line in reversed(UP) if not line.startswith("link")]  # a dummy goes with its own line
    assert down("link tunl0\nlink eth0\n", Node(there={"link tunl0", "link eth0"}, broken={"eth0": "the way to this node"})) == []
    node = Node()
    assert down(REAL_SERVER, node) == [] and node.done == []
    assert down(DIRECTOR, Node(there=THERE, broken={"203": "not permitted"})) == [("address 203.0.113.80/32 dev eth0 announce", "not permitted")]


def test_a_line_is_known_by_what_it_says_not_by_how():
    for one, other in (
        ("address 2001:DB8:0::80/128 dev eth0 announce", "address 2001:db8::80/128 dev eth0"),
        ("rule -4 lookup 5198 from all priority 7", "rule -4 priority 7 from all lookup 5198"),
        ("sysctl net.ipv4.ip_local_port_range 1024\t2048", "sysctl net.ipv4.ip_local_port_range 1024 2048"),
    ):
        (parsed,) = lines.parse(one)
        assert lines.identity(parsed) == other
        assert network.missing([parsed], {other}) == [] and network.missing([parsed], set()) == [parsed]
        assert network.superfluous([parsed], lines.parse(other)) == []


def test_what_goes_is_what_is_no_longer_listed():
    """An address that is no longer announced stays; commands and settings are not taken down."""
    before = lines.parse(DIRECTOR + REAL_SERVER)
    wanted = lines.parse(DIRECTOR.replace(" announce", "") + "link tunl0\n")
    assert [line.text for line in network.superfluous(before, wanted)] == [line for line in UP if line != "link tunl0"]
    assert network.superfluous(before, before) == []


@pytest.mark.parametrize(
    ("coming", "moving", "in_the_way"),
    [
        ("address 203.0.113.80/32 dev eth1", ["link tunl0", "address 203.0.113.80/32 dev tunl0"], []),
        ("address 203.0.113.80/24 dev tunl0", ["link tunl0", "address 203.0.113.80/32 dev tunl0"], []),
        ("address 2001:DB8::80/128 dev eth1 announce", ["dummy d0", "address 2001:db8::80/64 dev d0"], []),
        ("address 2001:DB8::80/128 dev d0", [], ["address 2001:db8::80/64 dev d0"]),
        ("address 203.0.113.81/32 dev tunl0\naddress 2001:db8::81/64 dev d0\nlink d0\nrule -4 priority 1 from all lookup 2", [], []),
    ],
)  # fmt: skip
def test_what_goes_after_what_comes_or_right_before(coming, moving, in_the_way):
    leaving = lines.parse(
        "dummy d0\ndummy d1\nlink tunl0\nrule -4 priority 1 from 203.0.113.80 lookup 3\naddress 203.0.113.80/32 dev tunl0\naddress 2001:db8::80/64 dev d0\n"
    )
    coming = lines.parse(coming)
    assert [line.text for line in network.moving(leaving, coming)] == moving
    assert [line.text for line in network.in_the_way(leaving, coming)] == in_the_way


def test_a_route_to_somewhere_else_is_another_one():
    before, wanted = (lines.parse(f"route -4 {where} via 198.51.100.1 table 7\n") for where in ("198.51.100.0/24", "203.0.113.0/24"))
    assert network.superfluous(before, wanted) == before


def test_of_commands_and_waiting_there_is_nothing_to_be_seen():
    assert network.missing(lines.parse("run a\nawait table\n"), set()) == []
    assert [line.words for line in lines.parse("# the team's\nrun a 'b c'\n")] == [("a", "b c")]


@pytest.mark.parametrize(
    "line",
    [
        "adress 203.0.113.80/32 dev eth0", "address", "address 203.0.113.80 dev eth0", "address 203.0.113.80/32 eth0 dev", "address 203.0.113.80/32 dev",
        "address 203.0.113.80/x dev eth0", "address 203.0.113.80/32 dev eth0 loudly", "rule -5 priority 1 from all lookup 2", "rule -4 priority 1 from",
        "rule -4 to 7 lookup 2", "rule -4 priority x", "route -4 default via",
    ],
)  # fmt: skip
def test_an_unknown_line_is_an_error(line):
    with pytest.raises(lines.BadLine, match="unknown line '"):
        lines.parse(line)


def test_gratuitous_arp():
    request, reply = frames.gratuitous_arp(MAC, "203.0.113.80")
    assert request.hex() == "ffffffffffff" "020000000011" "0806" "0001080006040001" "020000000011" "cb007150" "000000000000" "cb007150"
    assert reply.hex() == "ffffffffffff" "020000000011" "0806" "0001080006040002" "020000000011" "cb007150" "020000000011" "cb007150"


@pytest.mark.parametrize(("router", "flags"), [(False, "20000000"), (True, "a0000000")])
def test_neighbor_advertisement(router, flags):
    (frame,) = frames.neighbor_advertisement(MAC, "2001:db8::80", router)
    source, everybody = "20010db8000000000000000000000080", "ff020000000000000000000000000001"
    assert frame[:14].hex() == "333300000001" "020000000011" "86dd"
    assert frame[14:54].hex() == "60000000" "0020" "3a" "ff" + source + everybody
    assert frame[54:56].hex() == "8800" and frame[58:].hex() == flags + source + "0201" "020000000011"
    words = bytes.fromhex(source + everybody) + struct.pack("!II", 32, 58) + frame[54:]
    assert sum(struct.unpack(f"!{len(words) // 2}H", words)) % 0xFFFF == 0  # as a receiver sums it up


@given(st.dictionaries(st.integers(0, 0x3FFF), st.binary(max_size=40), max_size=8))
def test_attributes_come_back_from_the_wire(attributes):
    packed = b"head" + b"".join(_network_node._attribute(kind, value) for kind, value in attributes.items())
    assert _network_node._attributes(packed, 4) == attributes


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_an_address_has_one_spelling(address):
    assert lines.spelled(address.exploded.upper()) == lines.spelled(str(address))
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    assert socket.inet_pton(family, lines.spelled(str(address))) == address.packed


@given(st.text(max_size=20).filter(lambda text: "." not in text and ":" not in text))
def test_what_is_no_address_stays_as_it_is(text):
    assert lines.spelled(text) == text


# the program


def program(monkeypatch, tmp_path, command, text, recorded=""):
    """(status, what it printed, complaints, Node) of the program, run with a made-up node."""
    there = set(map(lines.identity, lines.parse(text))) if text.startswith("address") else set()
    node, printed, complaints = Node(broken={"203.0.113.80": "no such device"}, there=there), io.StringIO(), io.StringIO()
    (tmp_path / "network").write_text(text)
    monkeypatch.setattr(network, "Node", lambda: node)
    monkeypatch.setattr(sys, "argv", ["network", command, str(tmp_path / "network")])
    for name, stream in (("stdin", io.StringIO(recorded)), ("stdout", printed), ("stderr", complaints)):
        monkeypatch.setattr(sys, name, stream)
    return network.main(), printed.getvalue(), complaints.getvalue(), node


def test_the_program_prunes_what_is_no_longer_listed(monkeypatch, tmp_path):
    listed = "address 203.0.113.80/32 dev eth0\naddress 203.0.113.81/32 dev eth0\naddress 203.0.113.82/32 dev eth0\n"
    listing = "address 203.0.113.81/32 dev eth0\n"
    status, printed, complaints, node = program(monkeypatch, tmp_path, "prune", listed, listing)
    assert (status, printed) == (1, listed.replace(listing, ""))
    assert complaints == "FAILED: address 203.0.113.80/32 dev eth0: no such device\n"
    assert node.done == ["- address 203.0.113.82/32 dev eth0"]


def test_the_program_brings_up_and_takes_down(monkeypatch, tmp_path):
    lines_of = "address 203.0.113.82/32 dev lo\n"
    assert program(monkeypatch, tmp_path, "up", lines_of)[:3] == (0, "", "")
    status, printed, complaints, node = program(monkeypatch, tmp_path, "down", lines_of)
    assert (status, printed, complaints, node.done) == (0, "", "", ["- address 203.0.113.82/32 dev lo"])


def test_the_program_brings_up_what_is_not_there(monkeypatch, tmp_path):
    status, _printed, complaints, node = program(monkeypatch, tmp_path, "up", "\naddress 203.0.113.82/32 dev lo\n")
    assert (status, complaints, node.done) == (0, "", ["address 203.0.113.82/32 dev lo"])


AWAITED = "await table\nawait 203.0.113.82\naddress 203.0.113.82/32 dev lo\n"
WITH_A_SERVICE = "IP Virtual Server version 1.2.1 (size=4096)\nTCP  CB007152:0050 rr\n"


def test_the_program_waits_for_the_services_that_keepalived_makes(monkeypatch, tmp_path):
    """At boot it is run when keepalived has been started, which has its services a moment later."""
    tables, slept = [WITH_A_SERVICE, "", ""], []
    monkeypatch.setattr(Node, "table", lambda node: tables.pop() if len(tables) > 1 else tables[0])
    monkeypatch.setattr(network.time, "sleep", slept.append)
    status, _printed, complaints, node = program(monkeypatch, tmp_path, "up", AWAITED)
    assert (status, complaints, node.done) == (0, "", ["address 203.0.113.82/32 dev lo"]) and slept == [network._LOOK] * 2


def test_the_program_does_not_wait_without_end(monkeypatch, tmp_path):
    clock = iter(range(1000))
    monkeypatch.setattr(Node, "table", lambda node: "")
    monkeypatch.setattr(network, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda seconds: None))
    status, _printed, complaints, node = program(monkeypatch, tmp_path, "up", AWAITED)
    assert (status, node.done) == (1, []) and complaints.endswith("the IPVS table has no service of this address\n")
    assert next(clock) == pytest.approx(network.PATIENCE, abs=2)
    assert program(monkeypatch, tmp_path, "down", AWAITED)[0] == 0 and next(clock) == pytest.approx(network.PATIENCE, abs=3)


def test_the_program_refuses_what_it_cannot_read(monkeypatch, tmp_path):
    assert program(monkeypatch, tmp_path, "up", "addres 203.0.113.82/32\n")[0].startswith(f"{tmp_path}/network: ")


def test_a_checksum_whose_sum_is_one_more_than_16_bits_hold():
    assert frames._internet_checksum(b"\xff\xff\x00\x01") == 0xFFFE


def test_the_address_itself_is_announced():
    line = lines.parse("address 198.51.100.1/24 dev eth1 announce\n")[0]
    node = Node()
    assert network.frames_for(line, node) == frames.gratuitous_arp(node.mac("eth1"), "198.51.100.1")
