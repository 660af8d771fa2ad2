# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rule language of ipvsadm(8): the model as rule text and back. No I/O save the services database, for port names.

What is written is what ``ipvsadm --restore`` reads. It says more than ``ipvsadm --save`` does: thresholds, timeouts and sync
daemons. What it cannot say is ``forward_method: local``: ipvsadm has no word for it and writes ``-g``, and so do we.

What is read is what ``ipvsadm --restore`` of version 1.31 takes, and besides: comments, and options in any order. Refused
where ipvsadm would guess: ``-M 24`` for IPv4 (to it: 0.0.0.24), a port that ``-g`` and ``-i`` would not use, host names.
"""

from __future__ import annotations

import re
import socket
from typing import Any, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_PROTOCOL_OPTIONS = {_model.PROTOCOLS["tcp"]: "-t", _model.PROTOCOLS["udp"]: "-u", _model.PROTOCOLS["sctp"]: "--sctp-service"}
_FORWARD_OPTIONS = {"nat": "-m", "tun": "-i", "dr": "-g", "local": "-g"}
_CHECKSUM_OPTIONS = {"none": "--tun-nocsum", "csum": "--tun-csum", "remcsum": "--tun-remcsum"}

# A scheduler flag is a bit to the kernel; ipvsadm names it after what the scheduler makes of it.
_COMMON_FLAGS = dict(zip(_model.SCHEDULER_FLAGS, ("flag-1", "flag-2", "flag-3")))
_NAMED_FLAGS = {
    "sh": dict(_COMMON_FLAGS, fallback="sh-fallback", port="sh-port"),
    "mh": dict(_COMMON_FLAGS, fallback="mh-fallback", port="mh-port"),
}

_DAEMON_OPTIONS = (
    ("interface", "--mcast-interface"),
    ("sync_id", "--syncid"),
    ("max_length", "--sync-maxlen"),
    ("multicast_group", "--mcast-group"),
    ("multicast_port", "--mcast-port"),
    ("multicast_ttl", "--mcast-ttl"),
)


# ---------------------------------------------------------------------------------------------------------------------
# writing


def service_words(ident):
    """The words that name a virtual service (a ServiceId): ``-t 198.51.100.1:80``, ``-f 7 -6``."""
    if ident.fwmark:
        return "-f %d%s" % (ident.fwmark, " -6" if ident.family == _literals.IPV6 else "")
    # the kernel takes services of any protocol; --xxx-service is how ipvsadm writes one that it has no option for
    return "%s %s" % (_PROTOCOL_OPTIONS.get(ident.protocol, "--xxx-service"), _literals.join_port(ident.address, ident.port))


def render_service(service):
    """A whole Service as the words after ``-A`` or ``-E``."""
    words = [service_words(service.id), "-s", service.scheduler]
    if service.persistence_timeout:
        words += ["-p", str(service.persistence_timeout)]
        if service.persistence_netmask != _literals.host_mask(service.id.family):
            words += ["-M", _netmask_word(service)]
    if service.scheduler_flags:
        names = _NAMED_FLAGS.get(service.scheduler, _COMMON_FLAGS)
        words += ["-b", ",".join(names[flag] for flag in service.scheduler_flags)]
    if service.persistence_engine:
        words += ["--pe", service.persistence_engine]
    if service.one_packet:
        words.append("-o")
    return " ".join(words)


def _netmask_word(service):
    if service.id.family == _literals.IPV6:
        return service.persistence_netmask
    return socket.inet_ntoa(_literals.netmask_number(service.persistence_netmask).to_bytes(4, "big"))


def render_server(service_id, server):
    """A whole Server as the words after ``-a`` or ``-e``; ``service_id``: the ServiceId it belongs to."""
    return "%s %s" % (service_words(service_id), _server_words(server))


def _server_words(server):
    words = "-r %s %s -w %d" % (_literals.join_port(*server.id), _FORWARD_OPTIONS[server.forward_method], server.weight)
    if server.upper_threshold:
        words += " -x %d" % server.upper_threshold
    if server.lower_threshold:
        words += " -y %d" % server.lower_threshold
    if server.forward_method == "tun":
        words += " --tun-type " + server.tunnel_type
        if server.tunnel_type == "gue":
            words += " --tun-port %d" % server.tunnel_port
        if server.tunnel_type != "ipip":
            words += " " + _CHECKSUM_OPTIONS[server.tunnel_checksum]
    return words


def render_entry(entry):
    """A whole Entry as a list of lines: the service, then its servers in the order of ``server_order``."""
    head = "-a %s " % service_words(entry.service.id)
    lines = ["-A " + render_service(entry.service)]
    lines += [head + _server_words(entry.servers[ident]) for ident in sorted(entry.servers, key=_model.server_order)]
    return lines


def render_table(table):
    """A Table of whole entries as rule text in the order of ``service_order``; an empty table as the empty string."""
    lines = []
    for ident in sorted(table, key=_model.service_order):
        lines += render_entry(table[ident])
    return "".join([line + "\n" for line in lines])


def render_timeouts(timeouts):
    """Timeouts as ``--set 900 120 300``; one that is None (keep) is written 0, which means the same to ipvsadm."""
    return "--set %d %d %d" % tuple(seconds or 0 for seconds in timeouts)


def render_daemon(daemon):
    """A Daemon as ``--start-daemon master --mcast-interface eth0 --syncid 7``; a field that is None is left out."""
    words = ["--start-daemon", daemon.role]
    for field, option in _DAEMON_OPTIONS:
        value = getattr(daemon, field)
        if value is not None:
            words += [option, str(value)]
    return " ".join(words)


# ---------------------------------------------------------------------------------------------------------------------
# reading


class RuleError(IpvsError):
    """Rule text that cannot be taken. ``line`` and ``column`` count from 1, ``word`` stands there, ``remedy`` is what would be right."""

    def __init__(self, line, column, word, remedy):
        super().__init__("rules, line %d, column %d: %r: %s" % (line, column, word, remedy))
        self.line = line
        self.column = column
        self.word = word
        self.remedy = remedy


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


_NONE, _NEEDED, _OPTIONAL = range(3)


class _Option(NamedTuple):
    """``name``: the shortest spelling; ``field``: what it sets; ``argument``: whether a value follows; ``constant``: what it sets it to."""

    name: str
    field: str
    argument: int
    constant: Any = None


def _spellings():
    """Every word of the language, short and long -> its _Option."""
    flags = (
        ("-A", "--add-service", "command", None),
        ("-E", "--edit-service", "command", None),
        ("-D", "--delete-service", "command", None),
        ("-a", "--add-server", "command", None),
        ("-e", "--edit-server", "command", None),
        ("-d", "--delete-server", "command", None),
        ("-C", "--clear", "command", None),
        ("--set", None, "command", None),
        ("-6", "--ipv6", "six", True),
        ("-o", "--ops", "one_packet", True),
        ("-m", "--masquerading", "forward_method", "nat"),
        ("-g", "--gatewaying", "forward_method", "dr"),
        ("-i", "--ipip", "forward_method", "tun"),
        ("--tun-nocsum", None, "tunnel_checksum", "none"),
        ("--tun-csum", None, "tunnel_checksum", "csum"),
        ("--tun-remcsum", None, "tunnel_checksum", "remcsum"),
    )
    valued = (
        ("-t", "--tcp-service", "service"),
        ("-u", "--udp-service", "service"),
        ("--sctp-service", None, "service"),
        ("-f", "--fwmark-service", "service"),
        ("-s", "--scheduler", "scheduler"),
        ("-M", "--netmask", "persistence_netmask"),
        ("-b", "--sched-flags", "scheduler_flags"),
        ("--pe", None, "persistence_engine"),
        ("-r", "--real-server", "server"),
        ("-w", "--weight", "weight"),
        ("-x", "--u-threshold", "upper_threshold"),
        ("-y", "--l-threshold", "lower_threshold"),
        ("--tun-type", None, "tunnel_type"),
        ("--tun-port", None, "tunnel_port"),
        ("--start-daemon", None, "command"),
        ("--stop-daemon", None, "command"),
    )
    options = [(_Option("-p", "persistence_timeout", _OPTIONAL), "--persistent")]
    options += [(_Option(name, field, _NONE, constant), long) for name, long, field, constant in flags]
    options += [(_Option(name, field, _NEEDED), long) for name, long, field in valued]
    options += [(_Option(name, field, _NEEDED), None) for field, name in _DAEMON_OPTIONS]
    spellings = {option.name: option for option, _long in options}
    spellings.update((long, option) for option, long in options if long)
    return spellings


_WORDS = _spellings()

_SERVICE_FIELDS = frozenset(("service", "six"))
_SERVICE_RULE_FIELDS = _SERVICE_FIELDS | frozenset(_model.Service._fields[1:])
_SERVER_RULE_FIELDS = _SERVICE_FIELDS | frozenset(("server",) + _model.Server._fields[1:])
_DAEMON_FIELDS = frozenset(field for field, _name in _DAEMON_OPTIONS)
_ALLOWED = {
    "-A": _SERVICE_RULE_FIELDS,
    "-E": _SERVICE_RULE_FIELDS,
    "-D": _SERVICE_FIELDS,
    "-a": _SERVER_RULE_FIELDS,
    "-e": _SERVER_RULE_FIELDS,
    "-d": _SERVICE_FIELDS | frozenset(("server",)),
    "-C": frozenset(),
    "--set": frozenset(),
    "--start-daemon": _DAEMON_FIELDS,
    "--stop-daemon": frozenset(),
}
_NO_COMMAND = "a rule begins with its command, which is one of %s" % ", ".join(_ALLOWED)
_NUMBERS = frozenset(
    "persistence_timeout weight upper_threshold lower_threshold tunnel_port sync_id max_length multicast_port multicast_ttl".split()
)
_DEFAULT_PERSISTENCE = 360  # IPVS_SVC_PERSISTENT_TIMEOUT
_DEFAULT_INTERFACE = "eth0"  # DEF_MCAST_IFN

_DOTTED = re.compile(r"[0-9]+(\.[0-9]+){3}\Z")
_FLAG_BITS = {name: flag for flag, name in _COMMON_FLAGS.items()}
_ALL_FLAGS = {name for names in _NAMED_FLAGS.values() for name in names.values()}


def parse(text):
    """Rule text as a Ruleset. Raises RuleError at the first word that is not right."""
    reader = _Reader()
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if "#" in line:
            comment = [index for index, word in enumerate(words) if word[0] == "#"]
            words = words[: comment[0]] if comment else words
        if words:
            reader.read(_Line(number, line, words))
    return Ruleset(reader.table, reader.timeouts, tuple(reader.daemons.values()), reader.clears)


class _Line:
    """A line of rule text. ``command``: its _Option; ``found``: field -> (_Option, value, index of the word with the value)."""

    __slots__ = ("command", "found", "number", "text", "words")

    def __init__(self, number, text, words):
        self.number = number
        self.text = text
        self.words = words
        self.command = None
        self.found = {}

    def error(self, index, remedy, word=None):
        """The RuleError for the word with this index; ``word``: the part of it that is meant."""
        place = [match.start() for match in re.finditer(r"\S+", self.text)][index]
        whole = self.words[index]
        return RuleError(self.number, place + 1 + (whole.find(word) if word else 0), word or whole, remedy)

    def refuse(self, error, fallback):
        """The RuleError for what the model says (an OptionError); ``fallback``: the field it speaks of, where the rule lacks that."""
        index = next((self.found[field][2] for field in (error.option, fallback, "command") if field in self.found), 0)
        return self.error(index, _in_rule_words(error.remedy))


def _in_rule_words(remedy):
    """What the model advises, with options as rules write them."""
    remedy = re.sub(r"forward_method (nat|dr|tun)", lambda match: "%s (%s)" % (_FORWARD_OPTIONS[match[1]], match[1]), remedy)
    return remedy.replace("persistence_timeout", "-p").replace("upper_threshold", "-x")


def _scan(line):
    """Take the line's words apart: fill in ``command`` and ``found``, return the indexes of words that belong to no option."""
    words, found, loose = line.words, line.found, []
    index = 1 if words[0] == "ipvsadm" else 0
    first, count = index, len(words)
    while index < count:
        word, here = words[index], index
        index += 1
        option = _WORDS.get(word)
        value = None
        if option is None:
            if word[0] != "-" or word == "-":
                loose.append(here)
                continue
            *cluster, option, value = _split(line, here)
            for flag in cluster:
                _check_place(line, flag, here, first)
                line.found[flag.field] = (flag, flag.constant, here)
        _check_place(line, option, here, first)
        if option.argument == _NONE:
            value = option.constant
        elif value is None and index < count and (option.argument == _NEEDED or words[index][0] != "-"):
            value, here = words[index], index
            index += 1
        if value is None and option.argument == _NEEDED:
            raise line.error(here, "this option needs a value")
        found[option.field] = (option, value, here)
    return loose


def _split(line, index):
    """The options that a word joins together, and at last the value that it joins to them, or None."""
    word = line.words[index]
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        option = _WORDS.get(name)
        if option is None:
            raise line.error(index, "there is no such option in rules; see ipvsadm(8)")
        if option.argument == _NONE and equals:
            raise line.error(index, "this option takes no value")
        return [option, value]
    options = []
    for place, letter in enumerate(word[1:], 2):
        option = _WORDS.get("-" + letter)
        if option is None:
            raise line.error(index, "there is no option -%s in rules; see ipvsadm(8)" % letter)
        options.append(option)
        if option.argument != _NONE:
            rest = word[place:]
            return options + [rest[1:] if rest[:1] == "=" else rest or None]
    return options + [None]


def _check_place(line, option, index, first):
    """Raise RuleError where the option may not stand: commands come first and alone, the others once and where they belong."""
    field = option.field
    if field == "command":
        if line.command is not None:
            raise line.error(index, "a line has one command, and this one has %s already" % line.command.name)
        if index == first:
            line.command = option
    if line.command is None:
        raise line.error(first, _NO_COMMAND)
    if field != "command" and field not in _ALLOWED[line.command.name]:
        raise line.error(index, "%s has no place in a rule with %s" % (option.name, line.command.name))
    if field in line.found and field != "six":
        other = line.found[field][0].name
        raise line.error(index, "give %s once" % other if other == option.name else "%s and %s exclude each other" % (other, option.name))


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
                raise line.error(quoted[0], "rules have no quotes, and ipvsadm takes them for part of the word: leave them out")
        loose = _scan(line)
        if line.command is None:
            raise line.error(0, _NO_COMMAND)
        if line.command.name == "--set":
            self._set(line, loose)
            return
        if loose:
            raise line.error(loose[0], "this word belongs to no option")
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
            service = _model.overlay_service(_model.service_wish(options))
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
            wish = _model.server_wish(options, ident)
            server = _model.overlay_server(wish)
            _model.check_server(server, ident, wish)
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
            wish = _settings.timeouts_wish(options)
        except OptionError as error:
            raise line.refuse(error, "command") from error
        self.timeouts = _settings.overlay_timeouts(wish, self.timeouts or _settings.Timeouts())

    def _role(self, line):
        role, index = line.found["command"][1:]
        if role not in _settings.DAEMON_ROLES:
            raise line.error(index, "a sync daemon is master or backup")
        return role

    def _start_daemon(self, line):
        role = self._role(line)
        if role in self.daemons:
            raise line.error(line.found["command"][2], "a line above starts this daemon already")
        options = {field: _value(line, field) for field in line.found if field in _DAEMON_FIELDS}
        options.setdefault("interface", _DEFAULT_INTERFACE)
        try:
            self.daemons[role] = _settings.overlay_daemon(_settings.daemon_wish(dict(options, role=role)))
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
    names = {name: flag for flag, name in _NAMED_FLAGS.get(scheduler, {}).items()}
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
        raise line.error(six[2], "-6 goes with -f; an address tells its family itself")
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
