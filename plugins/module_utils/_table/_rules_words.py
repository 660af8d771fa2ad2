# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The words of rule text: which options there are, where each may stand, and a line taken apart into them."""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


class RuleError(IpvsError):
    """Rule text that cannot be taken. ``line`` and ``column`` count from 1, ``word`` stands there, ``remedy`` is what would be right."""

    def __init__(self, line, column, word, remedy):
        super().__init__("rules, line %d, column %d: %r: %s" % (line, column, word, remedy))
        self.line = line
        self.column = column
        self.word = word
        self.remedy = remedy


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
    options += [(_Option(name, field, _NEEDED), None) for field, name in _rules.DAEMON_OPTIONS]
    spellings = {option.name: option for option, _long in options}
    spellings.update((long, option) for option, long in options if long)
    return spellings


_WORDS = _spellings()
_SERVICE_FIELDS = frozenset(("service", "six"))
_SERVICE_RULE_FIELDS = _SERVICE_FIELDS | frozenset(_model.Service._fields[1:])
_SERVER_RULE_FIELDS = _SERVICE_FIELDS | frozenset(("server",) + _model.Server._fields[1:])
DAEMON_FIELDS = frozenset(field for field, _name in _rules.DAEMON_OPTIONS)
_ALLOWED = {
    "-A": _SERVICE_RULE_FIELDS,
    "-E": _SERVICE_RULE_FIELDS,
    "-D": _SERVICE_FIELDS,
    "-a": _SERVER_RULE_FIELDS,
    "-e": _SERVER_RULE_FIELDS,
    "-d": _SERVICE_FIELDS | frozenset(("server",)),
    "-C": frozenset(),
    "--set": frozenset(),
    "--start-daemon": DAEMON_FIELDS,
    "--stop-daemon": frozenset(),
}
NO_COMMAND = "a rule begins with its command, which is one of %s" % ", ".join(_ALLOWED)


class Line:
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
        index = next(self.found[field][2] for field in (error.option, fallback, "command") if field in self.found)
        return self.error(index, _in_rule_words(error.remedy))


def _in_rule_words(remedy):
    """What the model advises, with options as rules write them."""
    remedy = re.sub(r"forward_method (nat|dr|tun)", lambda match: "%s (%s)" % (_rules.FORWARD_OPTIONS[match[1]], match[1]), remedy)
    return remedy.replace("persistence_timeout", "-p").replace("upper_threshold", "-x")


def scan(line):
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
        name, _equals, value = word.partition("=")  # without a value it would have been known
        option = _WORDS.get(name)
        if option is None:
            raise line.error(index, "there is no such option in rules; see ipvsadm(8)")
        if option.argument == _NONE:
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
        raise line.error(first, NO_COMMAND)
    if field != "command" and field not in _ALLOWED[line.command.name]:
        raise line.error(index, "%s has no place in a rule with %s" % (option.name, line.command.name))
    if field in line.found and field != "six":
        other = line.found[field][0].name
        raise line.error(index, "give %s once" % other if other == option.name else "%s and %s exclude each other" % (other, option.name))
