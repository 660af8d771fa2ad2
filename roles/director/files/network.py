# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts up what an IPVS node needs of the network, at boot and when Ansible changes it, and takes it down again.

    python3 network.py up FILE          put up every line of FILE; a line that is up stays up
    python3 network.py down FILE        take down every line, the last first; a line that is down is fine
    python3 network.py prune FILE       take down the lines of FILE that the text on standard input does not have, and print them

Every line is tried. Those that fail are named on standard error with the reason, and the exit status is 1. The lines, which are put
up in their order; those that begin with # are comments:

run COMMAND...                          a command that can be repeated; down leaves it alone
dummy NAME                              a dummy interface
link NAME                               an interface that is up; down sets it down unless it has addresses left
fou -4|-6 port PORT ...                 a port for foo-over-UDP, as ip-fou(8) takes it
route -4|-6 ...                         a route, as ip-route(8) takes it
rule -4|-6 ...                          a routing rule, as ip-rule(8) takes it
await ADDRESS                           ADDRESS waits until the IPVS table has a service of it
await table                             every other address waits until the IPVS table has a service
address ADDRESS/LENGTH dev NAME [announce]
                                        an address, IPv6 without duplicate address detection and never a source by itself. With
                                        announce, neighbors hear of it when it comes up: gratuitous ARP or neighbor advertisements.
"""

from __future__ import annotations

import ipaddress
import itertools
import json
import os
import re
import shlex
import socket
import struct
import subprocess
import sys
import time
from collections import namedtuple

# Frames can get lost, above all on a link that has just come up: RFC 4861, MAX_NEIGHBOR_ADVERTISEMENT and RETRANS_TIMER.
ROUNDS, PAUSE = 3, 1
# So many lines are one process of ip(8). Where one of them fails, each is tried by itself.
BATCH = 500

THERE = re.compile("File exists")
GONE = re.compile("Cannot assign requested address|Cannot find device|No such process|No such file or directory|No such device")

Line = namedtuple("Line", "text kind words")
Failure = namedtuple("Failure", "line reason")


class BadLine(Exception):
    """A line that this program does not know."""


# -- the lines ------------------------------------------------------------------------------------------------------------------


def parse(text):
    """The lines of a file as [Line]."""
    lines = []
    for line in text.splitlines():
        words = shlex.split(line) if line.startswith("run ") else line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in KINDS or len(words) < 2:
            raise BadLine("unknown line %r: there are %s" % (line, ", ".join(sorted(KINDS))))
        lines.append(Line(line.strip(), words[0], tuple(words[1:])))
    return lines


def place(line):
    """Of an address: "ADDRESS/LENGTH dev NAME"."""
    return " ".join(line.words[:3])


def address_of(line):
    return line.words[0].split("/")[0]


def no_command(_line):
    return None


def up_address(line):
    return ["address", "replace", *line.words[:3], *(["nodad", "preferred_lft", "0"] if ":" in line.words[0] else [])]


def in_family(*words):
    """The words of ip(8) for a line whose first word is the family."""
    return lambda line: [line.words[0], *words, *line.words[1:]]


# kind: (up, down), each a function from a line to the words of ip(8), or to None.
KINDS = {
    "run": (no_command, no_command),
    "await": (no_command, no_command),
    "dummy": (lambda line: ["link", "add", line.words[0], "type", "dummy"], lambda line: ["link", "delete", line.words[0]]),
    "link": (lambda line: ["link", "set", line.words[0], "up"], lambda line: ["link", "set", line.words[0], "down"]),
    "fou": (in_family("fou", "add"), lambda line: [line.words[0], "fou", "del", *line.words[1:3]]),
    "route": (in_family("route", "replace"), in_family("route", "del")),
    "rule": (in_family("rule", "add"), in_family("rule", "del")),
    "address": (up_address, lambda line: ["address", "delete", *line.words[:3]]),
}


# -- the IPVS table ---------------------------------------------------------------------------------------------------------------


def services(table):
    """What the services in the text of /proc/net/ip_vs are known by: addresses in the kernel's spelling, and None for firewall marks."""
    found = set()
    for line in table.splitlines():
        words = line.split()
        if words and words[0] in ("TCP", "UDP", "SCTP"):
            address = words[1].rpartition(":")[0]
            found.add(str(ipaddress.ip_address(address[1:-1] if address.startswith("[") else int(address, 16))))
        elif words and words[0] == "FWM":
            found.add(None)
    return found


def withheld(lines, table):
    """{line: reason} of the addresses that have to wait for the table, which is the text of /proc/net/ip_vs."""
    awaited = {spelled(line.words[0]) for line in lines if line.kind == "await"}
    found = services(table)
    reasons = {}
    for line in lines:
        if line.kind == "address" and spelled(address_of(line)) in awaited:
            if spelled(address_of(line)) not in found:
                reasons[line] = "the IPVS table has no service of this address"
        elif line.kind == "address" and "table" in awaited and not found:
            reasons[line] = "the IPVS table has no services"
    return reasons


def spelled(literal):
    return literal if literal == "table" else str(ipaddress.ip_address(literal))


# -- announcements ----------------------------------------------------------------------------------------------------------------


def gratuitous_arp(mac, address):
    """RFC 5227: the frames of an announcement, as a request and as a reply, since some neighbors listen to one of them alone."""
    packed = ipaddress.ip_address(address).packed
    frames = []
    for operation, target in ((1, bytes(6)), (2, mac)):
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + packed + target + packed
        frames.append(b"\xff" * 6 + mac + b"\x08\x06" + arp)
    return frames


def neighbor_advertisement(mac, address, router):
    """RFC 4861, 7.2.6: the frame of an unsolicited advertisement to all nodes. router: whether the interface forwards."""
    source, everybody = ipaddress.ip_address(address).packed, ipaddress.ip_address("ff02::1").packed
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000 | (0x80000000 if router else 0)) + source + b"\x02\x01" + mac
    checksum = internet_checksum(source + everybody + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6) + body)
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + source + everybody
    return [b"\x33\x33\x00\x00\x00\x01" + mac + b"\x86\xdd" + header + body]


def internet_checksum(octets):
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def announcement(line, node):
    """(interface, frames) for an address; None where its interface has no neighbors that resolve addresses."""
    interface, address = line.words[2], address_of(line)
    mac = node.mac(interface)
    if mac is None:
        return None
    if ":" in address:
        return interface, neighbor_advertisement(mac, address, node.forwards(interface))
    return interface, gratuitous_arp(mac, address)


# -- up and down --------------------------------------------------------------------------------------------------------------------


def up(lines, node):
    """Put every line up; [Failure]."""
    failures, came = [], []
    for kind, group in itertools.groupby(lines, lambda line: line.kind):
        group = list(group)
        if kind == "run":
            failures += [Failure(line, reason) for line in group for reason in [node.run(list(line.words))] if reason]
        elif kind == "address":
            reasons = withheld(lines, node.table())
            failures += [Failure(line, reasons[line]) for line in group if line in reasons]
            before = node.addresses()
            failed = perform([line for line in group if line not in reasons], 0, THERE, node)
            failures += failed
            missed = {failure.line for failure in failures}
            came += [line for line in group if line.words[3:] == ("announce",) and line not in missed and place(line) not in before]
        else:
            failures += perform([line for line in group if not (kind == "fou" and node.has_fou(line.words))], 0, THERE, node)
    return failures + announce(came, node)


def down(lines, node):
    """Take every line down, the last first; [Failure]."""
    failures = []
    for kind, group in itertools.groupby(reversed(lines), lambda line: line.kind):
        group = list(group)
        if kind == "link":
            group = [line for line in group if not node.in_use(line.words[0])]
        elif kind == "fou":
            group = [line for line in group if node.has_fou(line.words)]
        failures += perform(group, 1, GONE, node)
    return failures


def perform(lines, direction, fine, node):
    """Put these lines up (direction 0) or down (1), errors that match the pattern fine aside; [Failure]."""
    failures = []
    for start in range(0, len(lines), BATCH):
        commands = [(line, KINDS[line.kind][direction](line)) for line in lines[start : start + BATCH]]
        commands = [(line, words) for line, words in commands if words]
        plain = all(words[0] not in ("-4", "-6") for _line, words in commands)
        if commands and plain and node.ip(["-batch", "-"], "".join(" ".join(words) + "\n" for _line, words in commands)) is None:
            continue
        for line, words in commands:
            reason = node.ip(words)
            if reason is not None and not fine.search(reason):
                failures.append(Failure(line, reason))
    return failures


def announce(lines, node):
    """Tell the neighbors of addresses; [Failure]."""
    frames = [(line, found) for line in lines for found in [announcement(line, node)] if found]
    failures = {}
    for turn in range(ROUNDS if frames else 0):
        if turn:
            node.pause()
        for line, (interface, each) in frames:
            reason = node.send(interface, each)
            if reason:
                failures[line] = Failure(line, "it is up, and its neighbors do not know: " + reason)
    return list(failures.values())


# -- the node -----------------------------------------------------------------------------------------------------------------------


class Node:
    """All that is read from and done to this machine."""

    def __init__(self):
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin") + ":/usr/sbin:/sbin"
        self.environment = dict(os.environ, LC_ALL="C", PATH=path)
        self.macs, self.sockets = {}, {}

    def execute(self, command, text=""):
        """(exit status, standard output, standard error)"""
        pipe = subprocess.PIPE
        try:
            done = subprocess.run(command, input=text.encode(), stdout=pipe, stderr=pipe, env=self.environment, check=False)
        except OSError as error:
            return 127, "", str(error)
        return done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace")

    def run(self, command, text=""):
        """Why a command failed, None where it did not."""
        status, output, errors = self.execute(command, text)
        return " ".join((errors or output).split()) or "exit status %d" % status if status else None

    def ip(self, words, text=""):
        return self.run(["ip"] + words, text)

    def listed(self, words):
        status, output, _errors = self.execute(["ip", "-json"] + words)
        return json.loads(output or "[]") if status == 0 else []

    def addresses(self):
        """{"ADDRESS/LENGTH dev NAME"} of all that this machine has."""
        return {
            "%s/%d dev %s" % (address["local"], address["prefixlen"], link["ifname"])
            for link in self.listed(["address", "show"])
            for address in link.get("addr_info", [])
            if "local" in address
        }

    def in_use(self, interface):
        """Whether an interface has addresses but those that the kernel gives to the end of a tunnel by itself."""
        return any(
            address.get("scope") == "global" and not address.get("local", "").startswith("::")
            for link in self.listed(["address", "show", "dev", interface])
            for address in link.get("addr_info", [])
        )

    def has_fou(self, words):
        _status, output, _errors = self.execute(["ip", "fou", "show"])
        wanted = " ".join([*words[1:], *(["-6"] if words[0] == "-6" else [])])
        return wanted in [" ".join(line.split()) for line in output.splitlines()]

    def table(self):
        return text_of("/proc/net/ip_vs")

    def mac(self, interface):
        """The address of an Ethernet interface as octets; None of one whose neighbors do not resolve addresses."""
        if interface not in self.macs:
            link = (self.listed(["link", "show", "dev", interface]) or [{}])[0]
            resolved = link.get("link_type") == "ether" and "NOARP" not in link["flags"]
            self.macs[interface] = bytes.fromhex(link["address"].replace(":", "")) if resolved else None
        return self.macs[interface]

    def forwards(self, interface):
        return text_of("/proc/sys/net/ipv6/conf/%s/forwarding" % interface).strip() not in ("", "0")

    def send(self, interface, frames):
        """Why frames could not be sent, None where they were."""
        try:
            if interface not in self.sockets:
                self.sockets[interface] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self.sockets[interface].bind((interface, 0))
            for frame in frames:
                self.sockets[interface].send(frame)
        except OSError as error:
            return str(error)
        return None

    def pause(self):
        time.sleep(PAUSE)


def text_of(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def main():
    command, path = sys.argv[1:]
    node = Node()
    try:
        with open(path, encoding="utf-8") as stream:
            lines = parse(stream.read())
        if command == "prune":
            kept = {line.text for line in parse(sys.stdin.read())}
            lines = [line for line in lines if line.text not in kept]
    except (BadLine, OSError) as error:
        sys.exit("%s: %s" % (path, error))
    failures = up(lines, node) if command == "up" else down(lines, node)
    if command == "prune":
        sys.stdout.write("".join(line.text + "\n" for line in lines))
    for failure in failures:
        sys.stderr.write("FAILED: %s: %s\n" % (failure.line.text, failure.reason))
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
