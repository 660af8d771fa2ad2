# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an IPVS node needs of the network, one line for each thing: reading it, putting it up, taking it down.

Modules import this, and install it on the node with the files named _network_* for the boot to run, so nothing here imports
anything else of this collection:

    python3 DIRECTORY up FILE           put up every line of FILE; a line that is up stays up
    python3 DIRECTORY down FILE         take down every line, the last first; a line that is down is fine
    python3 DIRECTORY prune FILE        take down the lines of FILE that the text on standard input does not have, and print them

Every line is tried. Those that fail are named on standard error with the reason, and the exit status is 1. Lines that begin with #
are comments. The lines, which are put up in their order:

run COMMAND...                          a command that can be repeated; down leaves it alone
sysctl KEY VALUE                        a kernel setting; down leaves it alone
dummy NAME                              a dummy interface
link NAME                               an interface that is up; down sets the end of a tunnel down unless it has addresses left
fou -4|-6 port PORT gue                 a UDP port for GUE tunnels
route -4|-6 DESTINATION via GATEWAY table TABLE
route -4|-6 DESTINATION type throw table TABLE
                                        DESTINATION is looked up in the tables of the rules that follow
rule -4|-6 priority NUMBER from PREFIX [ipproto NUMBER] [sport PORT] lookup TABLE [suppress_prefixlength NUMBER]
await ADDRESS                           ADDRESS comes up if the IPVS table has a service of it; the program waits for it, for a while
await table                             every other address comes up if the IPVS table has a service
address ADDRESS/LENGTH dev NAME [announce]
                                        an address, IPv6 without duplicate address detection and never a source by itself. It does not
                                        come up after a run or sysctl line that failed. With announce, neighbors hear of it when it
                                        comes up: gratuitous ARP or neighbor advertisements.
"""

from __future__ import annotations

import itertools
import socket
import sys
import time

from ._network_frames import gratuitous_arp, neighbor_advertisement
from ._network_lines import NO_STATE, BadLine, Failure, identity, parse, settings_of, spelled
from ._network_node import Node

# Frames can get lost, above all on a link that has just come up: RFC 4861, MAX_NEIGHBOR_ADVERTISEMENT.
ROUNDS = 3
PATIENCE = 20.0  # seconds for the table to get the services that addresses wait for
_LOOK = 0.2  # seconds between two looks at the table
TUNNEL_ENDS = ("tunl0", "sit0", "ip6tnl0", "gre0", "ip6gre0")
_NO_DOWN = NO_STATE + ("sysctl",)


def missing(lines, there):
    """Those lines whose identity is not in the set ``there``; pure. Of some lines there is nothing to be seen: never these."""
    return [line for line in lines if line.kind not in NO_STATE and identity(line) not in there]


def services(table):
    """What the services in the text of /proc/net/ip_vs are known by: addresses in the kernel's spelling, and None for firewall marks."""
    found = set()
    for line in table.splitlines():
        words = line.split()
        if words and words[0] in ("TCP", "UDP", "SCTP"):
            address = words[1].rpartition(":")[0]
            found.add(spelled(address[1:-1]) if address.startswith("[") else socket.inet_ntoa(bytes.fromhex(address)))
        elif words and words[0] == "FWM":
            found.add(None)
    return found


def withheld(lines, table, unset):
    """{line: reason} of the addresses that do not come up. ``table``: the text of /proc/net/ip_vs; ``unset``: a setting has failed."""
    awaited = {spelled(line.words[0]) for line in lines if line.kind == "await"}
    found = services(table)
    reasons = {}
    for line in lines:
        if line.kind != "address":
            continue
        address = _address(line)
        if unset:
            reasons[line] = "held back, because what has to be set before it failed"
        elif address in awaited and address not in found:
            reasons[line] = "the IPVS table has no service of this address"
        elif "table" in awaited and not found:
            reasons[line] = "the IPVS table has no services"
    return reasons


def frames_for(line, node):
    """The frames that announce an address; none where the line does not ask for it, or the interface's neighbors resolve no addresses."""
    address, interface = _address(line), line.words[2]
    mac = node.mac(interface) if line.words[3:] == ("announce",) else None
    if mac is None:
        return []
    return neighbor_advertisement(mac, address, node.forwards(interface)) if ":" in address else gratuitous_arp(mac, address)


def announce(lines, node):
    """Tell the neighbors of addresses; [Failure]."""
    frames = [(line, found) for line in lines for found in [frames_for(line, node)] if found]
    failures = {}
    for turn in range(ROUNDS if frames else 0):
        if turn:
            node.pause()
        for line, each in frames:
            reason = node.send(line.words[2], each)
            if reason:
                failures[line] = Failure(line, "it is up, and its neighbors do not know: " + reason)
    return list(failures.values())


def up(lines, node):
    """Put every line up; [Failure]."""
    failures, came, unset = [], [], False
    for kind, group in itertools.groupby(lines, lambda line: line.kind):
        group = list(group)
        if kind in ("run", "sysctl"):
            reasons = [(line, node.run(list(line.words)) if kind == "run" else node.set(line.words[0], " ".join(line.words[1:]))) for line in group]
            failed = [Failure(line, reason) for line, reason in reasons if reason]
            unset = unset or bool(failed)
        else:
            group = missing(group, node.there(group))
            reasons = withheld(lines, node.table(), unset) if kind == "address" and group else {}
            failed = [Failure(line, reasons[line]) for line in group if line in reasons]
            failed += node.change([line for line in group if line not in reasons], True)
            missed = {failure.line for failure in failed}
            came += [line for line in group if kind == "address" and line not in missed]
        failures += failed
    return failures + announce(came, node)


def wait_for_services(lines, node):
    """Until the table has what addresses wait for. At boot, keepalived may just have been started, and makes the table after that."""
    end = time.monotonic() + PATIENCE
    while withheld(lines, node.table(), False) and time.monotonic() < end:
        time.sleep(_LOOK)


def down(lines, node):
    """Take every line down, the last first; [Failure]."""
    failures = []
    for kind, group in itertools.groupby(reversed(lines), lambda line: line.kind):
        if kind not in _NO_DOWN:
            group = list(group)
            there = node.there(group)
            going = [line for line in group if identity(line) in there]
            if kind == "link":  # any other may be somebody's way to this node; a dummy goes with its own line
                going = [line for line in going if line.words[0] in TUNNEL_ENDS and not node.in_use(line.words[0])]
            failures += node.change(going, False)
    return failures


def superfluous(lines, wanted):
    """Those lines that go when only the lines in ``wanted`` are to be there; pure."""
    kept = {identity(line) for line in wanted} | {_destination(line) for line in wanted if line.kind == "route"}
    return [line for line in lines if line.kind not in _NO_DOWN and identity(line) not in kept and _destination(line) not in kept]


def _destination(line):
    """Of a route: family, destination and table. Another gateway replaces it, and no packet is without a route meanwhile."""
    return (line.words[0], line.words[1], settings_of(line)["table"]) if line.kind == "route" else None


def moving(leaving, coming):
    """Those lines that go only after the ones that come: addresses that get another place, and the interfaces that hold them; pure."""
    places = _places(coming)
    found = {line for line in leaving if line.kind == "address" and _address(line) in places and not _excludes(line, places)}
    holders = {line.words[2] for line in found}
    return [line for line in leaving if line in found or (line.kind in ("dummy", "link") and line.words[0] in holders)]


def in_the_way(leaving, coming):
    """A set of those lines that go right before the ones that come: an interface has an IPv6 address with one prefix length only; pure."""
    places = _places(coming)
    return {line for line in leaving if line.kind == "address" and _excludes(line, places)}


def _address(line):
    return spelled(line.words[0].split("/")[0])


def _places(lines):
    """{address: interfaces} of the lines of kind address."""
    found = {}
    for line in lines:
        if line.kind == "address":
            found.setdefault(_address(line), set()).add(line.words[2])
    return found


def _excludes(line, places):
    return ":" in line.words[0] and line.words[2] in places.get(_address(line), ())


def main():
    """Do what the command line says; the exit status, or why there was nothing done."""
    command, path = sys.argv[1:]
    node = Node()
    try:
        with open(path, encoding="utf-8") as stream:
            lines = parse(stream.read())
        if command == "prune":
            lines = superfluous(lines, parse(sys.stdin.read()))
        if command == "up":
            wait_for_services(lines, node)
        failures = up(lines, node) if command == "up" else down(lines, node)
    except (BadLine, ImportError, OSError) as error:
        return "%s: %s" % (path, error)
    if command == "prune":
        sys.stdout.write("".join(line.text + "\n" for line in lines))
    for failure in failures:
        sys.stderr.write("FAILED: %s: %s\n" % (failure.line.text, failure.reason))
    return 1 if failures else 0
