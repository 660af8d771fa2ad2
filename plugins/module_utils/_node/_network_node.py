# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The node's side of _network.py: what is read from this machine's network, and done to it.

Links, routes and rules are read and written with pyroute2. Addresses, which can be many thousands, are packed here: of 10,000,
pyroute2 takes ten times as long to read them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import struct
import subprocess
import time
from collections import namedtuple

from ._network_lines import FAMILIES, NO_STATE, Failure, settings_of

PAUSE = 1  # seconds between two announcements: RFC 4861, RETRANS_TIMER
_PROC_SYS = "/proc/sys/"
_GENERIC = 16  # NETLINK_GENERIC
_THROW = 9  # RTN_THROW
_REPLACE = 0x500  # NLM_F_CREATE, NLM_F_REPLACE
_FOREVER = 0xFFFFFFFF  # INFINITY_LIFE_TIME
_NODAD, _NOPREFIXROUTE = 0x2, 0x200
_SWAP = str.maketrans("./", "/.")
# What has come, or gone, between looking and doing is fine.
_FINE = {True: (errno.EEXIST,), False: (errno.EADDRNOTAVAIL, errno.ENODEV, errno.ESRCH, errno.ENOENT)}

Address = namedtuple("Address", "address prefix_length interface scope")  # as the kernel has it; scope 0 is global


def _attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def _attributes(payload, start):
    """The attributes of a netlink message as a dict of octets."""
    found = {}
    while start + 4 <= len(payload):
        length, kind = struct.unpack_from("=HH", payload, start)
        if length < 4:
            break
        found[kind & 0x3FFF] = payload[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


class Netlink:
    """A netlink socket that carries many messages in one send. From include/uapi/linux/netlink.h."""

    NOOP, ERROR, DONE, REQUEST, ACK, CREATE_EXCLUSIVE, DUMP = 1, 2, 3, 1, 4, 0x600, 0x300
    INTERRUPTED, TRIES, LIMIT = 0x10, 5, 30  # LIMIT: seconds; it ends a wait that would never end

    def __init__(self, protocol):
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, protocol)
        self.socket.settimeout(self.LIMIT)
        self.socket.setsockopt(270, 10, 1)  # SOL_NETLINK, NETLINK_CAP_ACK: no request comes back with its error
        self.sequence = 0

    def ask(self, kind, bodies, flags=0, at_once=32):
        """Send requests of one kind; {index: errno, or the answer's octets} of those that were refused or answered.

        The kernel speaks of those that failed by itself, and goes on; a closing no-op asks it to say that it is through.
        """
        answers = {}
        for start in range(0, len(bodies), at_once):
            part, first = bodies[start : start + at_once], self.sequence + 1
            last = self.sequence = first + len(part)
            requests = [self._message(kind, flags | self.REQUEST, first + number, body) for number, body in enumerate(part)]
            self.socket.send(b"".join(requests) + self._message(self.NOOP, self.REQUEST | self.ACK, last, b""))
            for answer, _flags, sequence, payload in self._receive(lambda _kind, sequence, last=last: sequence == last):
                if first <= sequence < last:
                    answers[start + sequence - first] = -struct.unpack_from("=i", payload)[0] if answer == self.ERROR else payload
        return answers

    @staticmethod
    def _message(kind, flags, sequence, body):
        return struct.pack("=IHHII", 16 + len(body), kind, flags, sequence, 0) + body

    def dump(self, kind, body):
        """The payloads of all that the kernel has of a kind. A dump that was disturbed is done again."""
        for _try in range(self.TRIES):
            self.sequence += 1
            self.socket.send(self._message(kind, self.REQUEST | self.DUMP, self.sequence, body))
            found, disturbed = [], False
            for answer, flags, _sequence, payload in self._receive(lambda kind, _sequence: kind in (self.DONE, self.ERROR)):
                disturbed = disturbed or bool(flags & self.INTERRUPTED)
                number = -struct.unpack_from("=i", payload)[0] if answer in (self.DONE, self.ERROR) else 0
                if number:
                    raise OSError(number, os.strerror(number))
                if answer not in (self.DONE, self.ERROR):
                    found.append(payload)
            if not disturbed:
                break
        return found

    def _receive(self, last):
        """(kind, flags, sequence, payload) of the messages that come, up to the one that is the last."""
        while True:
            octets, start = self.socket.recv(1 << 17), 0
            while start < len(octets):
                length, kind, flags, sequence = struct.unpack_from("=IHHI", octets, start)
                yield kind, flags, sequence, octets[start + 16 : start + length]
                if last(kind, sequence):
                    return
                start += (length + 3) & ~3


def _reason(error):
    return os.strerror(error.errno) if error.errno else str(error)


def _index(name):
    try:
        return socket.if_nametoindex(name)
    except OSError as error:  # before Python 3.14 without a number
        raise OSError(errno.ENODEV, os.strerror(errno.ENODEV)) from error


def _pyroute2():
    from pyroute2 import IPRoute

    return IPRoute()


class Node:
    """All that is read from and done to this machine. ``iproute``: makes pyroute2's IPRoute, when it is needed."""

    def __init__(self, iproute=None):
        self._make, self._made = iproute or _pyroute2, None
        self._macs, self._sockets, self._netlinks = {}, {}, {}

    def _iproute(self):
        if self._made is None:
            self._made = self._make()
        return self._made

    def _netlink(self, protocol):
        if protocol not in self._netlinks:
            self._netlinks[protocol] = Netlink(protocol)
        return self._netlinks[protocol]

    # reading

    def there(self, lines):
        """The identities of those lines that are there, and of others. Looks only for the kinds of things that the lines name."""
        found = set()
        for kind in {line.kind for line in lines}.difference(NO_STATE):
            found |= getattr(self, "_" + kind)([line for line in lines if line.kind == kind])
        return found

    def _address(self, _lines):
        return {"address %s/%d dev %s" % each[:3] for each in self.addresses()}

    def _sysctl(self, lines):
        return {"sysctl %s %s" % (line.words[0], " ".join(text_of(path_of(line.words[0])).split())) for line in lines}

    def _dummy(self, _lines):
        return {"dummy " + name for name in self.links()}

    def _link(self, _lines):
        return {"link " + name for name, is_up in self.links().items() if is_up}

    def _route(self, lines):
        found = set()
        for option, table in {(line.words[0], settings_of(line)["table"]) for line in lines}:
            for route in self._iproute().get_routes(family=FAMILIES[option], table=table):
                prefix = "%s/%d" % (route.get_attr("RTA_DST"), route["dst_len"]) if route["dst_len"] else "default"
                way = "type throw" if route["type"] == _THROW else "via %s" % route.get_attr("RTA_GATEWAY")
                found.add("route %s %s %s table %d" % (option, prefix, way, table))
        return found

    def _rule(self, lines):
        found = set()
        for option in {line.words[0] for line in lines}:
            host = 128 if option == "-6" else 32
            for rule in self._iproute().get_rules(family=FAMILIES[option]):
                source = rule.get_attr("FRA_SRC") or "all"
                ports, suppressed = rule.get_attr("FRA_SPORT_RANGE"), rule.get_attr("FRA_SUPPRESS_PREFIXLEN")
                words = [
                    ("priority", rule.get_attr("FRA_PRIORITY") or 0),
                    ("from", source if rule["src_len"] in (0, host) else "%s/%d" % (source, rule["src_len"])),
                    ("ipproto", rule.get_attr("FRA_IP_PROTO")),
                    ("sport", ports and (ports.split(":")[0] if len(set(ports.split(":"))) == 1 else ports)),
                    ("lookup", rule.get_attr("FRA_TABLE")),
                    ("suppress_prefixlength", None if suppressed == 0xFFFFFFFF else suppressed),
                ]
                found.add("rule %s %s" % (option, " ".join("%s %s" % each for each in words if each[1] is not None)))
        return found

    def links(self):
        """{name: whether it is up} of all interfaces."""
        return {link.get_attr("IFLA_IFNAME"): bool(link["flags"] & 1) for link in self._iproute().get_links()}

    @staticmethod
    def interfaces():
        """The names of all interfaces."""
        return [name for _index, name in socket.if_nameindex()]

    def addresses(self):
        """[Address] of all interfaces."""
        names, found = dict(socket.if_nameindex()), []
        for payload in self._netlink(socket.NETLINK_ROUTE).dump(22, bytes(8)):  # RTM_GETADDR
            family, length, _flags, scope, index = struct.unpack_from("=BBBBI", payload)
            attributes = _attributes(payload, 8)
            octets = attributes.get(2, attributes.get(1))  # IFA_LOCAL, IFA_ADDRESS
            if family in FAMILIES.values() and octets and index in names:
                found.append(Address(socket.inet_ntop(family, octets), length, names[index], scope))
        return found

    def routes_to(self, addresses):
        """{address: the interface by which this node would reach it, as it isn't its own}, without those that no interface leads to."""
        names, bodies = dict(socket.if_nameindex()), []
        for address in addresses:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            octets = socket.inet_pton(family, address)
            bodies.append(struct.pack("=BBBBBBBBI", family, 8 * len(octets), 0, 0, 0, 0, 0, 0, 0) + _attribute(1, octets))
        found = {}
        for index, answer in self._netlink(socket.NETLINK_ROUTE).ask(26, bodies).items():  # RTM_GETROUTE
            out = _attributes(answer, 12).get(4) if isinstance(answer, bytes) else None  # RTA_OIF
            name = names.get(struct.unpack("=I", out)[0]) if out else None
            if name not in (None, "lo"):
                found[addresses[index]] = name
        return found

    def in_use(self, interface):
        """Whether an interface has addresses but those that the kernel gives to the end of a tunnel by itself."""
        return any(each.interface == interface and each.scope == 0 and not each.address.startswith("::") for each in self.addresses())

    def table(self):
        return text_of("/proc/thread-self/net/ip_vs")

    def mac(self, interface):
        """The address of an Ethernet interface as octets; None of one whose neighbors do not resolve addresses."""
        if interface not in self._macs:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                try:
                    flags, link = [fcntl.ioctl(probe, code, struct.pack("=16s16x", interface.encode()))[16:] for code in (0x8913, 0x8927)]
                except OSError:
                    return None
            resolves = not struct.unpack_from("=H", flags)[0] & 0x80 and struct.unpack_from("=H", link)[0] == 1  # IFF_NOARP, ARPHRD_ETHER
            self._macs[interface] = link[2:8] if resolves else None
        return self._macs[interface]

    def forwards(self, interface):
        return text_of("%snet/ipv6/conf/%s/forwarding" % (_PROC_SYS, interface)).strip() not in ("", "0")

    # writing

    def run(self, command):
        """Why a command failed, None where it did not."""
        path = os.environ.get("PATH", "/usr/sbin:/usr/bin") + ":/usr/sbin:/sbin"
        pipe = subprocess.PIPE
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=dict(os.environ, LC_ALL="C", PATH=path), check=False)
        except OSError as error:
            return str(error)
        said = (done.stderr or done.stdout).decode("utf-8", "replace")
        return " ".join(said.split()) or "exit status %d" % done.returncode if done.returncode else None

    def set(self, key, value):
        """Why a kernel setting could not be set, None where it was."""
        return _write(path_of(key), value)

    def change(self, lines, is_up):
        """Put these lines, all of one kind, up or down; [Failure]."""
        if not lines:
            return []
        if lines[0].kind == "address":
            return self._change_addresses(lines, is_up)
        failures = []
        for line in lines:
            try:
                getattr(self, "_change_" + line.kind)(line, is_up)
            except Exception as error:  # pylint: disable=broad-except
                number = getattr(error, "code", None) or getattr(error, "errno", None)
                if number not in _FINE[is_up]:
                    failures.append(Failure(line, os.strerror(number) if number else str(error)))
        return failures

    def _change_dummy(self, line, is_up):
        if is_up:
            self._iproute().link("add", ifname=line.words[0], kind="dummy")
        else:
            self._iproute().link("del", index=_index(line.words[0]))

    def _change_link(self, line, is_up):
        self._iproute().link("set", index=_index(line.words[0]), state="up" if is_up else "down")

    def _change_route(self, line, is_up):
        settings = settings_of(line)
        where = {} if settings["to"] == "default" else {"dst": settings["to"]}
        where.update({"type": _THROW} if settings.get("type") == "throw" else {"gateway": settings["via"]})
        self._iproute().route("replace" if is_up else "del", family=FAMILIES[line.words[0]], table=settings["table"], **where)

    def _change_rule(self, line, is_up):
        settings = settings_of(line)
        wanted = {"family": FAMILIES[line.words[0]], "priority": settings["priority"], "table": settings["lookup"]}
        address, _slash, length = settings["from"].partition("/")
        if address != "all":
            wanted.update(src=address, src_len=int(length or (128 if ":" in address else 32)))
        if "ipproto" in settings:
            wanted["FRA_IP_PROTO"] = settings["ipproto"]
        if "sport" in settings:
            wanted["FRA_SPORT_RANGE"] = "%d:%d" % (settings["sport"], settings["sport"])
        if "suppress_prefixlength" in settings:
            wanted["FRA_SUPPRESS_PREFIXLEN"] = settings["suppress_prefixlength"]
        self._iproute().rule("add" if is_up else "del", **wanted)

    def lend(self, lines, seconds, again=False):
        """Put up addresses that the kernel removes after so many seconds, unless they are lent ``again`` before that; [Failure]."""
        return self._change_addresses(lines, True, _REPLACE if again else Netlink.CREATE_EXCLUSIVE, seconds)

    def _change_addresses(self, lines, is_up, flags=Netlink.CREATE_EXCLUSIVE, seconds=_FOREVER):
        failures, indexes, sent, bodies = [], {}, [], []
        for line in lines:
            name = line.words[2]
            if name not in indexes:
                try:
                    indexes[name] = socket.if_nametoindex(name)
                except OSError:
                    indexes[name] = None
            if indexes[name] is not None:
                sent.append(line)
                bodies.append(_address_body(line, indexes[name], is_up, seconds))
            elif is_up:
                failures.append(Failure(line, "there is no interface %s" % name))
        with _promoting({line.words[2] for line in lines if not is_up}):
            refused = self._netlink(socket.NETLINK_ROUTE).ask(20 if is_up else 21, bodies, flags if is_up else 0, 100)
        for index, number in sorted(refused.items()):
            if number == errno.EEXIST and is_up and ":" in sent[index].words[0]:
                failures.append(Failure(sent[index], "the interface has this address with another prefix length"))
            elif number not in _FINE[is_up]:
                failures.append(Failure(sent[index], os.strerror(number)))
        return failures

    # foo-over-UDP, from include/uapi/linux/fou.h

    def _fou_family(self):
        """The number of the generic netlink family; None where the kernel has not loaded it."""
        answer = self._netlink(_GENERIC).ask(16, [struct.pack("=BBH", 3, 1, 0) + _attribute(2, b"fou\0")]).get(0)
        return struct.unpack("=H", _attributes(answer, 4)[1])[0] if isinstance(answer, bytes) else None

    def _fou(self, _lines):
        family, found = self._fou_family(), set()
        for payload in self._netlink(_GENERIC).dump(family, struct.pack("=BBH", 3, 1, 0)) if family else ():
            port, address_family, kind = [_attributes(payload, 4).get(number, b"") for number in (1, 2, 4)]
            if kind == b"\x02":  # GUE
                found.add("fou %s port %d gue" % ("-6" if address_family[0] == socket.AF_INET6 else "-4", struct.unpack("!H", port)[0]))
        return found

    def _change_fou(self, line, is_up):
        family = self._fou_family()
        if family is None:
            raise OSError("the kernel module fou is not loaded")
        body = struct.pack("=BBH", 1 if is_up else 2, 1, 0) + _attribute(1, struct.pack("!H", int(line.words[2])))
        body += _attribute(2, bytes([FAMILIES[line.words[0]]])) + _attribute(4, b"\x02")
        number = self._netlink(_GENERIC).ask(family, [body]).get(0)
        if number:
            raise OSError(number, os.strerror(number))

    def send(self, interface, frames):
        """Why frames could not be sent, None where they were."""
        try:
            if interface not in self._sockets:
                self._sockets[interface] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
                self._sockets[interface].bind((interface, 0))
            for frame in frames:
                self._sockets[interface].send(frame)
        except OSError as error:
            return _reason(error)
        return None

    def pause(self):
        time.sleep(PAUSE)

    def close(self):
        for each in [*self._sockets.values(), *[netlink.socket for netlink in self._netlinks.values()], *([self._made] if self._made else [])]:
            each.close()
        self._sockets, self._netlinks, self._made = {}, {}, None


def _address_body(line, index, is_up, seconds):
    """ifaddrmsg and its attributes. ``seconds``: for how long it is valid.

    NODAD and a preferred lifetime of 0 keep an IPv6 address from waiting and from being a source. The kernel would leave the route to an
    address that is not for ever behind when the address goes: NOPREFIXROUTE.
    """
    address, length = line.words[0].split("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    octets = socket.inet_pton(family, address)
    flags = (_NODAD if ":" in address else 0) | (_NOPREFIXROUTE if seconds != _FOREVER else 0)
    body = struct.pack("=BBBBI", family, int(length), flags & 0xFF, 0, index) + _attribute(2, octets) + _attribute(1, octets)
    if is_up and (":" in address or seconds != _FOREVER):
        body += _attribute(6, struct.pack("=IIII", 0, seconds, 0, 0)) + _attribute(8, struct.pack("=I", flags))
    return body


@contextlib.contextmanager
def _promoting(interfaces):
    """An address that goes takes those of its network with it that came later, unless the kernel is told to keep them."""
    paths = ["%snet/ipv4/conf/%s/promote_secondaries" % (_PROC_SYS, name) for name in interfaces]
    changed = [path for path in paths if text_of(path).strip() == "0" and _write(path, "1") is None]
    try:
        yield
    finally:
        for path in changed:
            _write(path, "0")


def _write(path, text):
    """Why a file of /proc/sys could not be written, None where it was."""
    try:
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
    except OSError as error:
        return _reason(error)
    return None


def text_of(path):
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


def path_of(key):
    """A key has dots where the path has slashes, and the other way round, as sysctl.d(5) says."""
    return _PROC_SYS + key.translate(_SWAP)
