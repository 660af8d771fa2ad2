# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The texts that keepalived's processes write about themselves, as plain data. Pure.

keepalived(8) calls them its data: ``keepalived.data`` of the VRRP process, ``keepalived_check.data`` of the checker. Its JSON says less
(no sync groups, and no file at all where there is no instance), so it is not used. The form of the texts is fixed by no document:
tests/unit/keepalived has them of 2.2.7 and of 2.3.3.
"""

from __future__ import annotations

import re
from typing import Dict, List, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

UP, DOWN, UNKNOWN = "up", "down", "unknown"
FILE = "file"
_TYPES = {
    "TCP_CHECK": "tcp",
    "HTTP_GET": "http",
    "SSL_GET": "https",
    "SMTP_CHECK": "smtp",
    "DNS_CHECK": "dns",
    "UDP_CHECK": "udp",
    "PING_CHECK": "ping",
    "MISC_CHECK": "script",
    "BFD_CHECK": "bfd",
    "FILE_CHECK": FILE,
}
_TITLE = re.compile(r"( *)------< (.*) >------$")
_NAMED = (
    ("instance", re.compile(r" VRRP Instance = (.*)$")),
    ("track file", re.compile(r" Track file = (.*)$")),
    ("check", re.compile(r" (\S.* -> \S+)$")),
)
_ENTRY = re.compile(r" (?:  |VS )?(\S.*?) = (.*)$")
_HEADING = re.compile(r"   (\S.*?)(?: \(\d+\))? ?:$")
_PLACE = re.compile(r"     ([0-9a-f.:]+)(?:/\d+)? dev (\S+) (?:.* )?scope \S+(.*)$")
_MOVED = ("Virtual IP", "Virtual IP Excluded")  # headings under which addresses stand


class Place(NamedTuple):
    """An address that an instance moves. ``present``: whether keepalived has put it on its interface."""

    address: str
    interface: str
    present: bool


class Instance(NamedTuple):
    """A VRRP instance. ``state``: init, backup, master or fault; ``since``: when it came into it, or was last reloaded in it, in
    seconds since the epoch; ``sync_group``: None where it is in none; ``priority``: the configured one; ``effective_priority``: with what
    tracking adds; ``preempt_delay``: seconds, None where it does not preempt."""

    name: str
    state: str
    since: float
    interface: str
    router_id: int
    priority: int
    effective_priority: int
    sync_group: Optional[str]
    preempt_delay: Optional[float]
    places: Tuple[Place, ...]


class TrackFile(NamedTuple):
    """A file whose content, times ``weight``, is added to the priority. ``content``: as it was last read."""

    name: str
    path: str
    content: int
    weight: int


class Check(NamedTuple):
    """One check of a real server. ``type``: tcp, http, https, smtp, dns, udp, ping, script, bfd or file; ``ran``: whether it has had a
    result since it was set up; ``weight``: what it adds to the server's weight."""

    type: str
    up: bool
    ran: bool
    weight: int


class Server(NamedTuple):
    """A real server. ``weight``: the configured one; ``effective_weight``: with what its checks add, below 0 too."""

    id: _model.ServerId
    up: bool
    weight: int
    effective_weight: int
    checks: Tuple[Check, ...]

    @property
    def health(self):
        """UP; DOWN; or UNKNOWN: not in use yet because a check has not run."""
        if self.up:
            return UP
        failed = [check for check in self.checks if not check.up]
        return UNKNOWN if failed and not any(check.ran for check in failed) else DOWN

    @property
    def drained(self):
        """Whether a file takes all of its weight."""
        return self.effective_weight <= 0 and any(check.type == FILE and check.weight < 0 for check in self.checks)


class Service(NamedTuple):
    """A virtual service. ``id``: None for a group of services, which keepalived has by a name; ``quorum_up``: whether enough servers are
    up, by their weight."""

    id: Optional[_model.ServiceId]
    name: str
    quorum_up: bool
    servers: Tuple[Server, ...]


class _Block(NamedTuple):
    """A part of a text. ``section``: the title that it stands under; ``kind``: its own title, "instance", "track file", "check", or None
    at the section's beginning; ``name``: of such a part; ``entries``: {name: value}. A name that comes twice has its first value: what users may
    choose, such as a script's arguments, comes later. ``places``: the addresses under the headings ``_MOVED``."""

    section: str
    kind: Optional[str]
    name: Optional[str]
    entries: Dict[str, str]
    places: List[Place]


def router_id(text):
    """The ``router_id`` of the global definitions, with which every text begins. Raises IpvsError."""
    with _Reading("its global definitions"):
        return [block.entries for block in _blocks(text) if block.section == "Global definitions"][0]["Router ID"]


def instances(text):
    """[Instance] that the VRRP process tells of. Raises IpvsError."""
    with _Reading("VRRP instances"):
        return [_instance(block) for block in _blocks(text) if block.kind == "instance"]


def track_files(text):
    """[TrackFile] that the VRRP process tells of. Raises IpvsError."""
    with _Reading("track files"):
        return [
            TrackFile(block.name, block.entries["File"], int(block.entries["Status"]), int(block.entries["Weight"]))
            for block in _blocks(text)
            if block.kind == "track file"
        ]


def services(text):
    """[Service] that the checker tells of, in the order of its configuration. Raises IpvsError."""
    with _Reading("services"):
        found, checks = [], {}
        for block in _blocks(text):
            if block.kind == "Virtual server":
                found.append((block.entries, []))
            elif block.kind == "Real server":
                found[-1][1].append(block.entries)
            elif block.kind == "check" and block.section == "Health checkers":
                checks.setdefault(block.name, []).append(_check(block.entries))
        return [_service(entries, servers, checks) for entries, servers in found]


class _Reading:
    """Turns what a text lacks into an IpvsError. ``what`` was to be read."""

    def __init__(self, what):
        self.what = what

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, (KeyError, ValueError, IndexError)):
            text = "what keepalived tells of %s cannot be read (%s: %s); this collection knows the form of 2.2.7 to 2.3.3"
            raise IpvsError(text % (self.what, type(error).__name__, error)) from error


def _blocks(text):
    """[_Block] in the text's order."""
    blocks, heading = [], None
    for line in text.splitlines():
        title = _TITLE.match(line)
        if title and not title.group(1):
            blocks.append(_Block(title.group(2), None, None, {}, []))
            continue
        if not blocks:
            continue
        section = blocks[-1].section
        if title:
            blocks.append(_Block(section, title.group(2), None, {}, []))
            continue
        for kind, pattern in _NAMED:
            named = pattern.match(line)
            if named:
                blocks.append(_Block(section, kind, named.group(1), {}, []))
                break
        else:
            entry, started, place = _ENTRY.match(line), _HEADING.match(line), _PLACE.match(line)
            if entry:
                blocks[-1].entries.setdefault(*entry.groups())
            if started:
                heading = started.group(1)
            if place and heading in _MOVED:
                address, interface, rest = place.groups()
                blocks[-1].places.append(Place(_literals.normal_address(address), interface, "set" in rest.split()))
    return blocks


def _instance(block):
    entries = block.entries
    delay = float(entries.get("Preempt delay", "0").split()[0])
    return Instance(
        name=block.name,
        state=entries["State"].lower(),
        since=float(entries["Last transition"].split()[0]),
        interface=entries["Interface"],
        router_id=int(entries["Virtual Router ID"]),
        priority=int(entries["Priority"]),
        effective_priority=int(entries["Effective priority"]),
        sync_group=entries.get("Sync group"),
        preempt_delay=delay if entries["Preempt"] == "enabled" else None,
        places=tuple(block.places),
    )


def _check(entries):
    method = entries["Keepalive method"].partition(",")[0]
    return Check(_TYPES.get(method, method), entries["Up"] == "yes", entries["Has run"] == "yes", int(entries["Current weight"]))


def _service(entries, servers, checks):
    protocol = entries["protocol"].lower()
    if "FWMARK" in entries:
        ident = _model.service_id({"fwmark": int(entries["FWMARK"]), "family": "ipv6" if entries["Address family"] == "inet6" else "ipv4"})
        name = "FWM %s" % entries["FWMARK"]
    elif "GROUP" in entries:
        ident, name = None, entries["GROUP"]
    else:
        address, port = entries["VIP"].split(", VPORT = ")
        ident = _model.service_id({"address": address, "port": int(port), "protocol": protocol})
        name = _trio(address, protocol, port)
    return Service(ident, name, entries["quorum_state_up"] == "1", tuple(_server(each, name, protocol, checks) for each in servers))


def _server(entries, service, protocol, checks):
    address, _name, rest = entries["RIP"].partition(", RPORT = ")
    port = rest.partition(",")[0]
    return Server(
        _model.ServerId(_literals.normal_address(address), int(port)),
        entries["alive"] == "1",
        int(entries["initial weight"]),
        int(entries["effective weight"]),
        tuple(checks.get("%s -> %s" % (service, _trio(address, protocol, port)), ())),
    )


def _trio(address, protocol, port):
    """An address, a protocol and a port as the checks' headings have them."""
    return "[%s]:%s:%s" % (address, protocol, port)
