# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that the boot runs, in a real kernel: a director and a neighbor on one link. ip(8) is the oracle."""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _addresses, _boot, _netns, _network, _network_lines, _network_node
from tests.support import eventually

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
    """``run(COMMAND, TEXT)``: the installed program on a file with this text; exit status, and what it printed on either output."""
    for file in _boot.files(_addresses.OWNER, "x\n"):
        if file.text and file.path.endswith(".py"):
            path = tmp_path / file.path.lstrip("/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(file.text)
    program = tmp_path / _addresses.OWNER.program.lstrip("/")

    def run(command, text, stdin=""):
        (tmp_path / "lines").write_text(text)
        words = [sys.executable, "-B", program, command, tmp_path / "lines"]
        done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return run


def ip(*words, netns=None):
    prefix = ["ip", "-n", netns] if netns else ["ip"]
    done = subprocess.run([*prefix, "-json", *words], capture_output=True, text=True, check=True)
    return json.loads(done.stdout or "[]")


def sh(*commands):
    for words in commands:
        subprocess.run(words.split(), check=True)


def have(interface="up0"):
    return {each["local"] for link in ip("address", "show", "dev", interface) for each in link["addr_info"] if each["scope"] == "global"}


@pytest.fixture
def neighbor(netns):
    """A namespace on the other end of up0, which knows another machine by the virtual addresses."""
    name = f"{netns}-neighbor"
    sh(
        f"ip netns add {name}",
        f"ip link add up0 address {MAC} type veth peer name e0 netns {name}",
        "ip link set up0 up",
        f"ip -n {name} link set e0 up",
        f"ip -n {name} neighbor replace {VIP} lladdr {OLD} dev e0 nud stale",
        f"ip -n {name} neighbor replace {VIP6} lladdr {OLD} dev e0 nud stale",
    )
    yield name
    sh(f"ip netns del {name}")


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


@pytest.mark.once
@pytest.mark.long
def test_neighbors_learn_where_an_address_has_moved(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    with _netns.inside(neighbor):
        sniffer = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        sniffer.bind(("e0", 0))
    with sniffer:
        assert known(neighbor) == {VIP: OLD, VIP6: OLD}
        assert run("up", GOOD) == (0, "")
        assert have() == {VIP, VIP6, "203.0.113.99"}
        eventually(lambda: known(neighbor) == {VIP: MAC, VIP6: MAC})
        kinds = [(frame[12:14].hex(), frame[20:22].hex() if frame[12:14].hex() == "0806" else frame[54]) for frame in sniff(sniffer)]
        assert sorted(set(kinds), key=str) == [("0806", "0001"), ("0806", "0002"), ("86dd", 136)]
        assert {kind: kinds.count(kind) for kind in kinds} == dict.fromkeys(kinds, 3)
        # What is up already stays as it is, and nobody is told again. Down takes it away, also where it is gone.
        assert run("up", GOOD) == (0, "") and sniff(sniffer) == []
    assert run("down", GOOD) == (0, "") and have() == set()
    assert run("down", GOOD) == (0, "") and have() == set()


@pytest.mark.once
def test_addresses_wait_for_the_table(ipvs, neighbor, run):
    status, said = run("up", QUIET)
    assert status == 1 and said.splitlines() == [
        f"FAILED: address {VIP}/32 dev up0: the IPVS table has no service of this address",
        f"FAILED: address {VIP6}/128 dev up0: the IPVS table has no service of this address",
    ]
    assert have() == {"203.0.113.99"}
    status, said = run("up", "await table\naddress 203.0.113.98/32 dev up0\n")
    assert status == 1 and "dev up0: the IPVS table has no services" in said
    ipvs.restore(TABLE.splitlines()[1] + "\n")
    assert run("up", QUIET)[0] == 1 and have() == {"203.0.113.99", VIP6}
    ipvs.restore(TABLE.splitlines()[0] + "\n")
    assert run("up", QUIET) == (0, "") and have() == {"203.0.113.99", VIP6, VIP}


@pytest.mark.once
def test_a_line_that_fails_is_named_and_the_others_are_tried(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    status, said = run("up", FILE.replace(" announce", ""))
    assert status == 1 and said.splitlines() == ["FAILED: address 203.0.113.99/32 dev nosuch: there is no interface nosuch"]
    assert have() == {VIP, VIP6}
    (link,) = ip("address", "show", "dev", "up0")
    assert [each.get("deprecated") for each in link["addr_info"] if each["local"] == VIP6] == [True]
    status, said = run("up", f"address {VIP6}/64 dev up0\n")
    assert (status, said) == (1, f"FAILED: address {VIP6}/64 dev up0: the interface has this address with another prefix length\n")


@pytest.mark.once
@pytest.mark.parametrize("setting", ["sysctl net.ipv4.conf.nosuch.arp_ignore 1", "run false"])
@pytest.mark.long
def test_an_address_stays_away_when_a_setting_before_it_fails(neighbor, run, setting):
    status, said = run("up", f"{setting}\nlink up0\naddress {VIP}/32 dev up0\n")
    held = f"FAILED: address {VIP}/32 dev up0: held back, because what has to be set before it failed"
    assert status == 1 and said.splitlines()[0].startswith(f"FAILED: {setting}: ") and said.splitlines()[1:] == [held]
    assert have() == set()
    assert run("up", f"sysctl net.ipv4.conf.up0.arp_ignore 1\naddress {VIP}/32 dev up0\n") == (0, "") and have() == {VIP}
    with open("/proc/sys/net/ipv4/conf/up0/arp_ignore") as stream:
        assert stream.read() == "1\n"


@pytest.mark.once
def test_a_link_that_is_down_cannot_announce(ipvs, neighbor, run):
    ipvs.restore(TABLE)
    sh("ip link set up0 down")
    status, said = run("up", f"address {VIP}/32 dev up0 announce\n")
    assert status == 1 and "its neighbors do not know" in said and "Network is down" in said
    assert have() == {VIP}


REAL_SERVER = """\
dummy ipvs0
sysctl net.ipv4.conf.all.arp_ignore 1
link ipvs0
link tunl0
fou -4 port 6080 gue
fou -6 port 6081 gue
route -4 default via 198.51.100.11 table 5198
route -6 default via 2001:db8::11 table 5198
rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198
rule -4 priority 5199 from 198.51.100.0/24 lookup 254 suppress_prefixlength 0
rule -6 priority 5198 from 2001:db8::12 lookup 5198
rule -6 priority 5199 from all lookup 5198
address 203.0.113.80/32 dev ipvs0
address 203.0.113.81/32 dev tunl0
address 2001:db8::80/128 dev ipvs0
"""


@pytest.fixture
def server(netns):
    sh("modprobe -a ipip fou fou6 dummy", "ip link add up0 type veth peer name e0", "ip link set up0 up", "ip link set e0 up")
    sh("ip address add 198.51.100.12/24 dev up0", "ip address add 2001:db8::12/64 dev up0 nodad")


def state():
    """What the lines of a real server change, without what the kernel does by itself."""
    commands = ["-o link", "address show scope global", "-N rule", "-N -6 rule", "route show table 5198", "-6 route show table 5198", "fou show"]
    shown = [subprocess.run(["ip", *words.split()], capture_output=True, text=True, check=False).stdout for words in commands]
    # An interface that has been up once keeps its queue.
    return [" ".join(word for word in text.split() if word not in ("noqueue", "noop", "qdisc", "qlen", "1000")) for text in shown]


@pytest.mark.long
def test_a_real_server_up_again_pruned_and_down(server, run):
    before = state()
    assert run("up", REAL_SERVER) == (0, "")
    standing = state()
    assert standing != before and all(one != other for one, other in zip(before, standing, strict=True))
    for words in (
        "5198: from 198.51.100.12 ipproto ipproto-6 sport 80 lookup 5198",
        "5199: from 198.51.100.0/24 lookup 254 suppress_prefixlength 0",
    ):
        assert words in standing[2]
    assert "5198: from 2001:db8::12 lookup 5198" in standing[3] and "5199: from all lookup 5198" in standing[3]
    assert standing[4].startswith("default via 198.51.100.11 dev up0") and standing[5].startswith("default via 2001:db8::11 dev up0")
    assert {"6080 gue", "6081 gue -6"} == {text.strip() for text in standing[6].split("port")} - {""}
    assert run("up", REAL_SERVER) == (0, "") and state() == standing

    kept = REAL_SERVER.replace("address 203.0.113.81/32 dev tunl0\n", "").replace("link tunl0\n", "").replace("fou -4 port 6080 gue\n", "")
    assert run("prune", REAL_SERVER, kept) == (0, "link tunl0\nfou -4 port 6080 gue\naddress 203.0.113.81/32 dev tunl0\n")
    assert [one == other for one, other in zip(standing, state(), strict=True)] == [False, False, True, True, True, True, False]
    assert run("prune", kept, kept) == (0, "")

    sh("ip address add 203.0.113.82/32 dev ipvs0")
    assert run("up", REAL_SERVER) == (0, "") and run("down", REAL_SERVER) == (0, "")
    assert state() == before
    assert run("down", REAL_SERVER) == (0, "") and state() == before


def test_what_is_read_is_what_was_written(server):
    node = _boot.new_node()
    lines = _network_lines.parse(REAL_SERVER)
    assert len(_network.missing(lines, node.there(lines))) == len(lines)
    assert _network.up(lines, node) == []
    assert _network.missing(lines, node.there(lines)) == []
    shown = {"%s/%d dev %s" % (each["local"], each["prefixlen"], link["ifname"]) for link in ip("address") for each in link["addr_info"]}
    assert {"%s/%d dev %s" % each[:3] for each in node.addresses()} == shown
    assert node.links() == {link["ifname"]: "UP" in link["flags"] for link in ip("link")}
    for address in ("198.51.100.77", "2001:db8::77"):
        assert node.routes_to([address]) == {address: ip("route", "get", address)[0]["dev"]}
    assert node.routes_to(["127.0.0.9", "203.0.113.7"]) == {}
    node.close()


@pytest.mark.once
@pytest.mark.long
def test_a_link_with_an_address_of_somebody_else_stays_up(server, run):
    lines = "link tunl0\naddress 203.0.113.81/32 dev tunl0\n"
    assert run("up", lines) == (0, "")
    sh("ip address add 203.0.113.82/32 dev tunl0")
    assert run("down", lines) == (0, "")
    assert have("tunl0") == {"203.0.113.82"} and "UP" in ip("link", "show", "dev", "tunl0")[0]["flags"]
    sh("ip address delete 203.0.113.82/32 dev tunl0")
    assert run("down", lines) == (0, "")
    assert "UP" not in ip("link", "show", "dev", "tunl0")[0]["flags"]
    assert run("down", "link up0\n") == (0, "") and "UP" in ip("link", "show", "dev", "up0")[0]["flags"]


@pytest.mark.once
def test_an_address_that_goes_takes_no_other_of_its_network_with_it(netns, run):
    """The first address of a network is the kernel's primary one, and the others go with it unless they are promoted."""
    sh("ip link add up0 type dummy", "ip link set up0 up", "sysctl -qw net.ipv4.conf.up0.promote_secondaries=0")
    lines = "address 203.0.113.80/24 dev up0\n"
    assert run("up", lines) == (0, "")
    sh("ip address add 203.0.113.81/24 dev up0")
    assert run("down", lines) == (0, "") and have() == {"203.0.113.81"}
    with open("/proc/sys/net/ipv4/conf/up0/promote_secondaries") as stream:
        assert stream.read() == "0\n"


@pytest.mark.once
def test_an_unknown_line_changes_nothing(ipvs, neighbor, run):
    status, said = run("up", f"address 203.0.113.99/32 dev up0\nadress {VIP}/32 dev up0\n")
    assert status == 1 and "unknown line 'adress 203.0.113.80/32 dev up0'" in said
    assert have() == set()


@pytest.mark.once
@pytest.mark.slow
def test_ten_thousand_addresses(netns):
    node, count = _network_node.Node(), 5_000
    literals = [f"203.0.{100 + number // 250}.{number % 250}/32" for number in range(count)] + [f"2001:db8::{number:x}/128" for number in range(1, count + 1)]
    lines = _network_lines.parse("".join(f"address {each} dev lo\n" for each in literals))
    assert _network.up(lines, node) == []
    assert len(have("lo")) == 2 * count
    assert _network.up(lines, node) == []
    assert _network.down(lines, node) == [] and have("lo") == set()
    node.close()
