# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lines that say what an IPVS node needs of the network; the head of _network.py says what each means. No I/O."""

from __future__ import annotations

import os
import shlex
import socket
from collections import namedtuple

KINDS = ("address", "await", "dummy", "fou", "link", "route", "rule", "run", "sysctl")
NO_STATE = ("run", "await")  # nothing of these lines can be looked up
FAMILIES = {"-4": int(socket.AF_INET), "-6": int(socket.AF_INET6)}
_WORDS = {
    "route": {"via": str, "type": str, "table": int},
    "rule": {"priority": int, "from": str, "ipproto": int, "sport": int, "lookup": int, "suppress_prefixlength": int},
}

Line = namedtuple("Line", "text kind words")
Failure = namedtuple("Failure", "line reason")


class BadLine(Exception):
    """A line that this file does not know."""


def parse(text):
    """The lines of a file as [Line]. Raises BadLine."""
    lines = []
    for line in text.splitlines():
        words = shlex.split(line) if line.startswith("run ") else line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] not in KINDS or len(words) < 2:
            raise BadLine("unknown line %r: there are %s" % (line, ", ".join(KINDS)))
        lines.append(Line(line.strip(), words[0], tuple(words[1:])))
        try:
            identity(lines[-1])
        except (IndexError, KeyError, OSError, ValueError) as error:
            raise BadLine("unknown line %r: see the head of %s" % (line, os.path.basename(__file__))) from error
    return lines


def spelled(literal):
    """The one spelling of an IP literal; any other text as it is."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, literal))
        except (OSError, ValueError):
            pass
    return literal


def settings_of(line):
    """The words of a route or rule behind the family as a dict. A route's destination is its "to"."""
    words = list(line.words[1:])
    found = {"to": words.pop(0)} if line.kind == "route" else {}
    found.update((name, _WORDS[line.kind][name](value)) for name, value in zip(words[::2], words[1::2]))
    if len(words) % 2 or line.words[0] not in FAMILIES:
        raise ValueError(line.text)
    return found


def identity(line):
    """The text of a line that says the same as any other line for the same thing."""
    if line.kind == "address":
        address, length = line.words[0].split("/")
        if line.words[1] != "dev" or line.words[3:] not in ((), ("announce",)):
            raise ValueError(line.text)
        return "address %s/%d dev %s" % (spelled(address), int(length), line.words[2])
    if line.kind in _WORDS:
        settings = settings_of(line)
        given = ["%s %s" % (name, settings[name]) for name in _WORDS[line.kind] if name in settings]
        return " ".join([line.kind, line.words[0]] + ([settings["to"]] if "to" in settings else []) + given)
    return " ".join((line.kind,) + line.words)
