# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rule text of ipvsadm(8) as the model. No I/O save the services database, for port names.

What is read is what ``ipvsadm --restore`` of version 1.31 takes, and besides: comments, and options in any order. Refused
where ipvsadm would guess: ``-M 24`` for IPv4 (to it: 0.0.0.24), a port that ``-g`` and ``-i`` would not use, host names.
"""

from __future__ import annotations

import re
import socket
from typing import NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _rules, _rules_words, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError


class Ruleset(NamedTuple):
    """What rule text says.

    ``table``: the Table of whole entries that the text makes of an empty table. ``timeouts``: Timeouts (None in a field: keep),
    or None where the text has no ``--set``. ``daemons``: those that the text starts, as whole as overlay_daemon makes them.
    ``clears``: whether there is a ``-C``.
    """

    table: _model.Table
    timeouts: Optional[_settings.Timeouts]
    daemons: Tuple[_settings.Daemon, ...]
    clears: bool


_NUMBERS = frozenset(
    "persistence_timeout weight upper_threshold lower_threshold tunnel_port sync_id max_length multicast_port multicast_ttl".split()
)
_DEFAULT_PERSISTENCE = 360  # IPVS_SVC_PERSISTENT_TIMEOUT
_DEFAULT_INTERFACE = "eth0"  # DEF_MCAST_IFN
_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){3}\Z")
_FLAG_BITS = {name: flag for flag, name in _rules.COMMON_FLAGS.items()}
_ALL_FLAGS = {name for names in _rules.NAMED_FLAGS.values() for name in names.values()}


def parse(text):
    """Rule text as a Ruleset. Raises RuleError at the first word that is not right."""
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if "#" in line:
            comment = [index for index, word in enumerate(words) if word[0] == "#"]
            words = words[: comment[0]] if comment else words
        if words:
            reader.read(_rules_words.Line(number, line, words))
    return Ruleset(reader.table, reader.timeouts, tuple(reader.daemons.values()), reader.clears)


class _Reader:
    """Carries out rule text, line by line, on a table that is empty at first."""

    def __init__(self):
        self.table = {}
        self.timeouts = None
        self.daemons = {}
        self.clears = False
        self._services = {}  # the words that name a service -> ServiceId; every server repeats them
        self._commands = {
            "-A": self._add_service,
            "-E": self._edit_service,
            "-D": self._delete_service,
            "-a": self._add_server,
            "-e": self._edit_server,
            "-d": self._delete_server,
            "-C": self._clear,
            "--start-daemon": self._start_daemon,
            "--stop-daemon": self._stop_daemon,
        }

    def read(self, line):
        if '"' in line.text or "'" in line.text:
            quoted = [index for index, word in enumerate(line.words) if '"' in word or "'" in word]
            if quoted:
                raise line.error(quoted[0], "rules have no quotes, and ipvsadm takes them for part of the word: remove them")
        loose = _rules_words.scan(line)
        if line.command is None:
            raise line.error(0, _rules_words.NO_COMMAND)
        if line.command.name == "--set":
            self._set(line, loose)
            return
        if loose:
            raise line.error(loose[0], "this word does not belong to any option")
        self._commands[line.command.name](line)

    # services

    def _service_id(self, line):
        if "service" not in line.found:
            raise line.error(_command_index(line), "name the virtual service: -t, -u or --sctp-service ADDRESS:PORT, or -f MARK")
        option, word, index = line.found["service"]
        key = (option.name, word, "six" in line.found)
        ident = self._services.get(key)
        if ident is None:
            try:
                ident = self._services[key] = _model.service_id(_service_options(line, option, word, index))
            except OptionError as error:
                raise line.error(index, error.remedy) from error
        return ident

    def _known_service(self, line):
        ident = self._service_id(line)
        if ident not in self.table:
            raise line.error(line.found["service"][2], "no line above adds this service (-A)")
        return ident

    def _service(self, line, ident):
        options = {field: _value(line, field) for field in line.found if field in _model.Service._fields}
        if "persistence_netmask" in options and ident.family != _literals.IPV6 and not _DOTTED.match(options["persistence_netmask"]):
            raise line.error(
                line.found["persistence_netmask"][2],
                "give the mask of an IPv4 service in dotted form, such as 255.255.255.0; ipvsadm takes a plain number for an address",
            )
        if "scheduler_flags" in options:
            options["scheduler_flags"] = _flags(line, options.get("scheduler", _model.DEFAULT_SCHEDULER))
        options.update(_model.id_options(ident))
        try:
            service = _model.overlay_service(_model.desired_service(options))
            _model.check_service(service)
        except OptionError as error:
            raise line.refuse(error, "service") from error
        return service

    def _add_service(self, line):
        ident = self._service_id(line)
        if ident in self.table:
            raise line.error(line.found["service"][2], "a line above adds this service already; -E edits it")
        self.table[ident] = _model.Entry(self._service(line, ident), {})

    def _edit_service(self, line):
        ident = self._known_service(line)
        self.table[ident] = _model.Entry(self._service(line, ident), self.table[ident].servers)

    def _delete_service(self, line):
        del self.table[self._known_service(line)]

    def _clear(self, line):
        self.table.clear()
        self.clears = True

    # servers

    def _server_id(self, line, ident):
        if "server" not in line.found:
            raise line.error(_command_index(line), "name the real server: -r ADDRESS or -r ADDRESS:PORT")
        _option, word, index = line.found["server"]
        address, port = _address_and_port(line, word, index, _model.protocol_name(ident.protocol or _model.PROTOCOLS["tcp"]))
        try:
            return _model.server_id({"address": address, "port": port}, ident)
        except OptionError as error:
            raise line.error(index, error.remedy) from error

    def _known_server(self, line, ident):
        server_id = self._server_id(line, ident)
        if server_id not in self.table[ident].servers:
            raise line.error(line.found["server"][2], f"no line above adds this server (-a) to the service {ident}")
        return server_id

    def _server(self, line, ident, server_id):
        options = {field: _value(line, field) for field in line.found if field in _model.Server._fields}
        options.update(server_id._asdict())
        try:
            desired = _model.desired_server(options, ident)
            server = _model.overlay_server(desired)
            _model.check_server(server, ident, desired)
        except OptionError as error:
            raise line.refuse(error, "tunnel_type" if error.option == "tunnel_port" else "server") from error
        return server

    def _add_server(self, line):
        ident = self._known_service(line)
        server_id = self._server_id(line, ident)
        servers = self.table[ident].servers
        if server_id in servers:
            raise line.error(line.found["server"][2], "a line above adds this server already; -e edits it")
        servers[server_id] = self._server(line, ident, server_id)

    def _edit_server(self, line):
        ident = self._known_service(line)
        server_id = self._known_server(line, ident)
        self.table[ident].servers[server_id] = self._server(line, ident, server_id)

    def _delete_server(self, line):
        ident = self._known_service(line)
        del self.table[ident].servers[self._known_server(line, ident)]

    # timeouts and sync daemons

    def _set(self, line, loose):
        if len(loose) != 3:
            raise line.error(
                loose[3] if len(loose) > 3 else _command_index(line), "--set takes three numbers: seconds for tcp, tcpfin and udp"
            )
        options = {}
        for field, index in zip(_settings.Timeouts._fields, loose):
            options[field] = _number(line, line.words[index], index)
            line.found[field] = (line.command, options[field], index)
        try:
            desired = _settings.desired_timeouts(options)
        except OptionError as error:
            raise line.refuse(error, "command") from error
        self.timeouts = _settings.overlay_timeouts(desired, self.timeouts or _settings.Timeouts())

    def _role(self, line):
        role, index = line.found["command"][1:]
        if role not in _settings.DAEMON_ROLES:
            raise line.error(index, "a sync daemon is master or backup")
        return role

    def _start_daemon(self, line):
        role = self._role(line)
        if role in self.daemons:
            raise line.error(line.found["command"][2], "a line above starts this daemon already")
        options = {field: _value(line, field) for field in line.found if field in _rules_words.DAEMON_FIELDS}
        options.setdefault("interface", _DEFAULT_INTERFACE)
        try:
            self.daemons[role] = _settings.overlay_daemon(_settings.desired_daemon(dict(options, role=role)))
        except OptionError as error:
            raise line.refuse(error, "command") from error

    def _stop_daemon(self, line):
        if self.daemons.pop(self._role(line), None) is None:
            raise line.error(line.found["command"][2], "no line above starts this daemon (--start-daemon)")


def _command_index(line):
    return 1 if line.words[0] == "ipvsadm" else 0


def _value(line, field):
    """The value of a field as the model takes it."""
    _option, value, index = line.found[field]
    if field not in _NUMBERS:
        if field == "tunnel_type" and value not in _model.TUNNEL_TYPES:
            raise line.error(index, "tunnel types are %s" % ", ".join(_model.TUNNEL_TYPES))
        return value
    if value is None:  # only -p may stand without its value
        return _DEFAULT_PERSISTENCE
    number = _number(line, value, index)
    if not number and field == "persistence_timeout":
        raise line.error(index, "give the time in seconds, 1 or more; without -p the service is not persistent")
    return number


def _number(line, word, index):
    if not (word.isdecimal() and word.isascii() and len(word) < 20):
        raise line.error(index, "a number is needed here")
    return int(word)


def _flags(line, scheduler):
    """The scheduler flags that ``-b`` names."""
    word, index = line.found["scheduler_flags"][1:]
    names = {name: flag for flag, name in _rules.NAMED_FLAGS.get(scheduler, {}).items()}
    names.update(_FLAG_BITS)
    flags = []
    for name in word.split(","):
        if name and name not in names:
            what = "the scheduler %s has no such flag" % scheduler if name in _ALL_FLAGS else "there is no such flag"
            raise line.error(index, "%s; it knows %s" % (what, ", ".join(sorted(names))), name)
        if name:
            flags.append(names[name])
    return flags


def _service_options(line, option, word, index):
    """The options of ``_model.service_id`` for the word that names a virtual service."""
    six = line.found.get("six")
    if option.name == "-f":
        digits = word[1:] if word[:1] == "-" else word
        mark = _number(line, digits, index)
        if digits != word:  # ipvsadm prints a mark as a signed number
            mark = 2**32 - mark if 0 < mark <= 2**31 else 0
        return {"fwmark": mark, "family": "ipv6" if six else "ipv4"}
    if six:
        raise line.error(six[2], "-6 is only valid with -f; the family of an address is known")
    protocol = {"-t": "tcp", "-u": "udp"}.get(option.name, "sctp")
    address, port = _address_and_port(line, word, index, protocol)
    return {"address": address, "port": port or 0, "protocol": protocol}


def _address_and_port(line, word, index, protocol):
    """(address as written, port number or None) of ``198.51.100.1:80``, ``[2001:db8::1]:80``, or an address alone."""
    address, colon, port = word.rpartition(":")
    if word[:1] == "[":
        address, bracket, rest = word[1:].partition("]")
        if not bracket or ":" not in address or (rest and rest[0] != ":"):
            raise line.error(index, "an IPv6 address with a port is written [2001:db8::1]:80")
        colon, port = rest[:1], rest[1:]
    elif not colon or word.count(":") > 1:
        address, colon = word, ""
    if not address.replace(".", "").isdecimal() and ":" not in address:
        raise line.error(index, "host names are not resolved: give the address, or save the rules with numbers (ipvsadm -S -n)")
    if not colon:
        return address, None
    if port.isdecimal():
        return address, _number(line, port, index)
    try:
        return address, socket.getservbyname(port, protocol)
    except (OSError, ValueError):
        raise line.error(
            index,
            "the services database here has no %s port %r: give its number, or save the rules with numbers (ipvsadm -S -n)" % (protocol, port),
        ) from None
