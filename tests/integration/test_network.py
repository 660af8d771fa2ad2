# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that puts up what a node needs of the network, in a real kernel: a director and a neighbor on one link."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from tests.support import eventually

pytestmark = pytest.mark.once

PROGRAM = Path(__file__).resolve().parents[2] / "roles/director/files/network.py"
VIP, VIP6 = "203.0.113.80", "2001:db8::80"
MAC, OLD = "02:00:00:00:00:11", "02:00:00:00:00:99"
FILE = f"""\
await {VIP}
await {VIP6}
address {VIP}/32 dev up0 announce
address 203.0.113.99/32 dev nosuch announce
address {VIP6}/128 dev up0 announce
"""
GOOD = FILE.replace("nosuch", "up0")
QUIET = GOOD.replace(" announce", "")  # without the pauses between announcements
TABLE = f"-A -t {VIP}:80 -s rr\n-A -u [{VIP6}]:53 -s rr\n"


@pytest.fixture
def run(tmp_path):
    """``run(COMMAND, TEXT)``: the program on a file with this text; what it printed on either output, status first."""

    def run(command, text, stdin=""):
        (tmp_path / "lines").write_text(text)
        done = subprocess.run([sys.executable, PROGRAM, command, tmp_path / "lines"], input=stdin, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def ip(*words, netns=None):
    prefix = ["ip", "-n", netns] if netns else ["ip"]
    done = subprocess.run([*prefix, "-json", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def have(interface="up0"):
    return {each["local"] for link in ip("address", "show", "dev", interface) for each in link["addr_info"] if each["scope"] == "global"}


@pytest.fixture
def neighbor(netns):
    """A namespace on the other end of up0, which knows another machine by the virtual addresses."""
    name = f"{netns}-neighbor"
    for words in (
        f"netns add {name}",
        f"link add up0 address {MAC} type veth peer name e0 netns {name}",
        "link set up0 up",
        f"-n {name} link set e0 up",
        f"-n {name} neighbor replace {VIP} lladdr {OLD} dev e0 nud stale",
        f"-n {name} neighbor replace {VIP6} lladdr {OLD} dev e0 nud stale",
    ):
        subprocess.run(["ip", *words.split()], check=True)
    yield name
    subprocess.run(["ip", "netns", "del", name], check=True)


def known(neighbor):
    return {each["dst"]: each.get("lladdr") for each in ip("neighbor", "show", netns=neighbor) if each["dst"] in (VIP, VIP6)}


def sniff(sniffer):
    """The frames about the virtual addresses that have come so far."""
    frames = []
    while select.select([sniffer], [], [], 0)[0]:
        frame = sniffer.recv(2048)
        if socket.inet_pton(socket.AF_INET, VIP) in frame or socket.inet_pton(socket.AF_INET6, VIP6) in frame:
            frames.append(frame)
    return frames


def test_neighbors_learn_where_an_address_has_moved(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    with _netns.inside(neighbor):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    with sniffer:
        assert known(neighbor) == {VIP: OLD, VIP6: OLD}
        assert run("up", GOOD) == (0, "")
        eventually(lambda: known(neighbor) == {VIP: MAC, VIP6: MAC})
        kinds = [(frame[12:14].hex(), frame[20:22].hex() if frame[12:14].hex() == "0806" else frame[54]) for frame in sniff(sniffer)]
        assert sorted(set(kinds), key=str) == [("0806", "0001"), ("0806", "0002"), ("86dd", 136)]
        assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(kinds, 3)
        # An address that stays has nothing to tell.
        assert run("up", GOOD) == (0, "")
        assert sniff(sniffer) == []
    assert run("down", GOOD) == (0, "") and have() == set()


def test_addresses_wait_for_the_table(ipvs, neighbor, run):
    status, said = run("up", QUIET)
    assert status == 1 and said.splitlines() == [
        f"FAILED: address {VIP}/32 dev up0: the IPVS table has no service of this address",
        f"FAILED: address {VIP6}/128 dev up0: the IPVS table has no service of this address",
    ]
    assert have() == {"203.0.113.99"}
    status, said = run("up", "await table\n" + QUIET)
    assert status == 1 and "dev up0: the IPVS table has no services" in said
    ipvs.restore(TABLE.splitlines()[1] + "\n")
    assert run("up", QUIET)[0] == 1 and have() == {"203.0.113.99", VIP6}
    ipvs.restore(TABLE.splitlines()[0] + "\n")
    assert run("up", QUIET) == (0, "") and have() == {"203.0.113.99", VIP6, VIP}


def test_a_line_that_fails_is_named_and_the_others_are_tried(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    status, said = run("up", "run false\n" + FILE.replace(" announce", ""))
    assert status == 1 and said.splitlines() == [
        "FAILED: run false: exit status 1",
        'FAILED: address 203.0.113.99/32 dev nosuch: Cannot find device "nosuch"',
    ]
    assert have() == {VIP, VIP6}
    (link,) = ip("address", "show", "dev", "up0")
    assert [each.get("deprecated") for each in link["addr_info"] if each["local"] == VIP6] == [True]


def test_a_link_that_is_down_cannot_announce(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    subprocess.run(["ip", "link", "set", "up0", "down"], check=True)
    status, said = run("up", f"address {VIP}/32 dev up0 announce\n")
    assert status == 1 and "its neighbors do not know" in said and "Network is down" in said
    assert have() == {VIP}


REAL_SERVER = """\
dummy ipvs0
run sysctl -qw net.ipv4.conf.all.arp_ignore=1
link ipvs0
link tunl0
fou -4 port 6080 gue
route -4 default via 198.51.100.11 table 5198
rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198
rule -6 priority 5198 from 2001:db8::12 lookup 5198
address 203.0.113.80/32 dev ipvs0
address 203.0.113.81/32 dev tunl0
address 2001:db8::80/128 dev ipvs0
"""


def state():
    """What the lines of a real server change, without what the kernel does by itself."""
    commands = ["-o link", "address show scope global", "-N rule", "-N -6 rule", "route show table 5198", "fou show"]
    shown = [subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False).stdout for words in commands]
    # An interface that has been up once keeps its queue.
    return [" ".join(word for word in text.split() if word not in ("noqueue", "noop", "qdisc", "qlen", "1000")) for text in shown]


def test_a_real_server_up_again_pruned_and_down(netns, run):
    subprocess.run(["modprobe", "-a", "ipip", "fou", "dummy"], check=True)
    for words in ("link add up0 type veth peer name e0", "link set up0 up", "link set e0 up", "address add 198.51.100.12/24 dev up0"):
        subprocess.run(["ip", *words.split()], check=True)
    before = state()
    assert run("up", REAL_SERVER) == (0, "")
    standing = state()
    assert standing != before and all(one != other for one, other in zip(before, standing, strict=True))
    assert run("up", REAL_SERVER) == (0, "") and state() == standing

    kept = REAL_SERVER.replace("address 203.0.113.81/32 dev tunl0\n", "").replace("link tunl0\n", "").replace("fou -4 port 6080 gue\n", "")
    assert run("prune", REAL_SERVER, kept) == (0, "link tunl0\nfou -4 port 6080 gue\naddress 203.0.113.81/32 dev tunl0\n")
    assert [one == other for one, other in zip(standing, state(), strict=True)] == [False, False, True, True, True, False]
    assert run("prune", kept, kept) == (0, "")

    subprocess.run(["ip", "address", "add", "203.0.113.82/32", "dev", "ipvs0"], check=True)
    assert run("up", REAL_SERVER) == (0, "") and run("down", REAL_SERVER) == (0, "")
    assert state() == before
    assert run("down", REAL_SERVER) == (0, "") and state() == before


def test_a_link_with_an_address_of_somebody_else_stays_up(netns, run):
    subprocess.run(["modprobe", "ipip"], check=True)
    assert run("up", "link tunl0\naddress 203.0.113.81/32 dev tunl0\n") == (0, "")
    subprocess.run(["ip", "address", "add", "203.0.113.82/32", "dev", "tunl0"], check=True)
    assert run("down", "link tunl0\naddress 203.0.113.81/32 dev tunl0\n") == (0, "")
    assert have("tunl0") == {"203.0.113.82"} and "UP" in ip("link", "show", "dev", "tunl0")[0]["flags"]
    subprocess.run(["ip", "address", "delete", "203.0.113.82/32", "dev", "tunl0"], check=True)
    assert run("down", "link tunl0\naddress 203.0.113.81/32 dev tunl0\n") == (0, "")
    assert "UP" not in ip("link", "show", "dev", "tunl0")[0]["flags"]


def test_an_unknown_line_changes_nothing(ipvs, neighbor, run):
    status, said = run("up", f"address 203.0.113.99/32 dev up0\nadress {VIP}/32 dev up0\n")
    assert status == 1 and "unknown line 'adress 203.0.113.80/32 dev up0'" in said
    assert have() == set()
