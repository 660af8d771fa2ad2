# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The virtual servers in a configuration of keepalived, as data. Pure.

Read is what names services and their servers outright. Groups and definitions of keepalived's own are passed over.
Source: keepalived.conf(5) of versions 2.2.7 and 2.3.3.
"""

from __future__ import annotations

import re
from typing import Dict, NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_WITHOUT_COMMENT = re.compile(r'(?:\\.|\\$|"(?:\\.|\\$|[^"\\])*(?:"|$)|[^"\\#!])*')
_WORD = re.compile(r'"(?:\\.|[^"\\])*"?|[{}]|[^\s{}"]+')
_FAMILIES = {"inet": ("ipv4",), "inet6": ("ipv6",)}


class Server(NamedTuple):
    """What keepalived does with a real server. ``has_file``: whether it adds the content of a file to its weight."""

    weight: int
    has_file: bool


class Service(NamedTuple):
    """A virtual server of keepalived. ``sorry_server``: what it adds to the table while no server is healthy, None: nothing."""

    servers: Dict[_model.ServerId, Server]
    sorry_server: Optional[_model.ServerId]


def without_comment(line):
    """The line up to its comment, without the spaces around it."""
    return _WITHOUT_COMMENT.match(line).group().strip()


def services(lines):
    """{ServiceId: Service} of the lines, which have no comments any more."""
    found = {}
    for words, inner in _blocks(lines):
        if words[:1] == ["virtual_server"]:
            try:
                found.update({ident: _service(ident, inner) for ident in _idents(words[1:], inner)})
            except (ValueError, KeyError, IndexError, IpvsError):
                continue  # a group, a definition of its own, or what keepalived refuses
    return found


def _blocks(lines):
    """[(words, [(words, ...)])]: statements, of which those that are no blocks have None in place of a list."""
    stack = [[]]
    for line in lines:
        words = []
        for word in _WORD.findall(line):
            if word == "{":
                if not words and stack[-1] and stack[-1][-1][1] is None:
                    words = stack[-1].pop()[0]  # the brace stands on a line of its own
                stack[-1].append((words, []))
                stack.append(stack[-1][-1][1])
                words = []
            elif word == "}":
                if words:
                    stack[-1].append((words, None))
                    words = []
                if len(stack) > 1:
                    stack.pop()
            elif words or not word.startswith("@"):  # a condition: in doubt it holds
                words.append(word)
        if words:
            stack[-1].append((words, None))
    return stack[0]


def _values(inner):
    """{first word: the others} of a block; a word that comes twice has its last value, as keepalived has it."""
    return {words[0]: words[1:] for words, _inner in inner if words}


def _idents(words, inner):
    """The ServiceIds of a virtual server. A firewall mark whose family is not said may be of both."""
    values = _values(inner)
    if words[0] == "fwmark":
        families = _FAMILIES[values["ip_family"][0]] if "ip_family" in values else ("ipv4", "ipv6")
        return [_model.service_id({"fwmark": int(words[1]), "family": family}) for family in families]
    protocol = values["protocol"][0].lower() if "protocol" in values else "tcp"
    return [_model.service_id(dict(_endpoint(words), port=_endpoint(words)["port"] or 0, protocol=protocol))]


def _endpoint(words):
    return {"address": words[0], "port": int(words[1]) if len(words) > 1 else None}


def _service(ident, inner):
    servers, sorry_server = {}, None
    for words, block in inner:
        if words[:1] == ["real_server"]:
            values = _values(block)
            server = Server(int(values["weight"][0]) if "weight" in values else 1, "FILE_CHECK" in values)
            servers[_model.server_id(_endpoint(words[1:]), ident)] = server
        elif words[:1] == ["sorry_server"]:
            sorry_server = _model.server_id(_endpoint(words[1:]), ident)
    return Service(servers, sorry_server)
