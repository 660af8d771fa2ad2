# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings of a KubeProxyConfiguration replaced in its text, everything else left as it is. Pure."""

from __future__ import annotations

import json
import re

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_settings import as_network

LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
# Go's YAML takes these for booleans, PyYAML for strings.
GO_BOOLEANS = ("y", "n")


def is_null(node):
    return node.tag == "tag:yaml.org,2002:null"


def _content_end(node):
    """Where the last scalar in a node ends: a block collection's own end lies behind the comments that follow it."""
    if isinstance(node, yaml.ScalarNode) or node.flow_style:
        return node.end_mark.index
    last = node.value[-1]
    if isinstance(last, tuple):
        return max(last[0].end_mark.index, _content_end(last[1]))
    return _content_end(last)


def _scalar(value, style):
    """A value as YAML, in quotes of the given style where it is a string."""
    if isinstance(value, (bool, list)):
        return json.dumps(value)
    if style == "'":
        return "'{0}'".format(value)
    if style == '"' or value in GO_BOOLEANS or yaml.safe_load(value) != value:
        return json.dumps(value, ensure_ascii=False)
    return value


def _block_lines(name, value, style):
    """A key and its value, a scalar, a list or a dict of those, as lines of a block mapping."""
    if isinstance(value, dict):
        members = [line for key, member in value.items() for line in _block_lines(key, member, style)]
        return [_scalar(name, style) + ":"] + ["  " + line for line in members]
    return ["{0}: {1}".format(_scalar(name, style), _scalar(value, None))]


def _flow_member(name, value, style):
    return "{0}: {1}".format(_scalar(name, style), _flow_value(value, style))


def _flow_value(value, style):
    if isinstance(value, dict):
        return "{{{0}}}".format(", ".join(_flow_member(key, member, style) for key, member in value.items()))
    return _scalar(value, style)


# What goes in at one position, in the order in which it comes.
VALUE = 0
ITEMS = 1
SECTION = 2
ROOT = 3


class Editor:
    """Collects replacements in one text. All positions are those of the text as it was."""

    def __init__(self, text):
        self.text = text
        line_break = LINE_BREAK.search(text)
        self.newline = line_break.group() if line_break else "\n"
        self.edits = []

    def replace(self, start, end, new, place=VALUE):
        self.edits.append((start, end > start, place, end, new))

    def result(self):
        """The edited text, worked out from its end, so that no position moves."""
        text = self.text
        for start, _replaces, _place, end, new in sorted(self.edits, reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def set_settings(self, root, top, section):
        """Set the values in top, a dict, in the root mapping, and those in section, a dict, in its mapping ipvs."""
        nodes = {key.value: (key, node) for key, node in root.value}
        missing = self._replace_members(root, top)
        if section and "ipvs" not in nodes:
            missing["ipvs"] = section
        self._add_members(root, missing, ROOT)
        if section and "ipvs" in nodes:
            key, mapping = nodes["ipvs"]
            if mapping.value and not is_null(mapping):
                self._add_members(mapping, self._replace_members(mapping, section), SECTION)
            else:
                self._fill_section(root, key, mapping, section)

    def _replace_members(self, mapping, wanted):
        """Replace the values of the keys that are there. Returns the other members of wanted."""
        missing = dict(wanted)
        for key, node in mapping.value:
            if key.value in missing:
                self._replace_value(key, node, missing.pop(key.value))
        return missing

    def _add_members(self, mapping, members, place):
        if not members:
            return
        # Keys are written as their neighbours are. What has no neighbours is written as JSON.
        style = mapping.value[0][0].style if mapping.value else '"'
        if not mapping.flow_style:
            lines = [line for name, value in members.items() for line in _block_lines(name, value, style)]
            self._insert_lines(_content_end(mapping), mapping.start_mark.column, lines, place)
            return
        new = ", ".join(_flow_member(name, value, style) for name, value in members.items())
        if mapping.value:
            position = _content_end(mapping.value[-1][1])
            self.replace(position, position, ", " + new, place)
        else:
            position = mapping.start_mark.index + 1
            self.replace(position, position, new, place)

    def _fill_section(self, root, key, node, members):
        """Put members into a section that is there and empty: null, {} or nothing behind its colon."""
        start, end = node.start_mark.index, node.end_mark.index
        self._refuse_comment(key, node)
        if root.flow_style:
            self.replace(start, end, _flow_value(members, key.style))
            return
        colon = self._colon(key)
        start = colon + len(self.text[colon:start].rstrip(" \t"))
        self.replace(start, end, "")
        lines = [line for name, value in members.items() for line in _block_lines(name, value, key.style)]
        self._insert_lines(end, root.start_mark.column + 2, lines, SECTION)

    def _replace_value(self, key, node, value):
        start, end = node.start_mark.index, node.end_mark.index
        style = getattr(node, "style", None)
        if isinstance(value, list) and isinstance(node, yaml.SequenceNode) and not node.flow_style:
            self._set_items(key, node, value)
            return
        self._refuse_comment(key, node)
        new = _scalar(value, style)
        if start == end:
            new = " " + new
        if style in ("|", ">"):
            new += self.newline
        self.replace(start, end, new)

    def _refuse_comment(self, key, node):
        inside = self.text[node.start_mark.index : node.end_mark.index]
        if isinstance(node, yaml.CollectionNode) and "#" in inside:
            raise AnsibleFilterError(
                "kube_proxy_config: line {0}: {1} holds a comment within its brackets, which would be lost: move the comment out of the brackets".format(
                    node.start_mark.line + 1, key.value
                )
            )

    def _set_items(self, key, sequence, wanted):
        """Set the scalars of a block sequence: those that stay keep their lines and comments."""
        networks = [as_network(item) for item in wanted]
        column, first = sequence.start_mark.column, sequence.start_mark.index - sequence.start_mark.column
        behind = first
        staying, present = [], []
        for node in sequence.value:
            network = as_network(node.value)
            if network in networks and network not in present:
                staying.append(node)
                present.append(network)
            else:
                self.replace(self._item_start(node, column, behind), self._line_end(node), "")
            behind = node.end_mark.index
        new = ["- " + _scalar(item, None) for item in wanted if as_network(item) not in present]
        if staying:
            self._insert_lines(_content_end(staying[-1]), column, new, ITEMS)
        elif new:
            self.replace(first, first, "".join(" " * column + line + self.newline for line in new))
        else:
            colon = self._colon(key)
            self.replace(colon, colon, " []")

    def _item_start(self, node, column, behind):
        """Where the line starts that holds an item's dash, which may stand above the item. behind: where the item before it ends."""
        dash = re.compile("(?<![^\n\r\x85\u2028\u2029]) {{{0}}}-(?=\\s)".format(column))
        starts = [match.start() for match in dash.finditer(self.text, behind, node.start_mark.index)]
        return starts[-1] if starts else node.start_mark.index - node.start_mark.column

    def _line_end(self, node):
        """Where the line behind the one that holds a scalar's end starts."""
        if LINE_BREAK.match(self.text, node.end_mark.index - 1):
            # A block scalar ends there.
            return node.end_mark.index
        line_break = LINE_BREAK.search(self.text, node.end_mark.index)
        return line_break.end() if line_break else len(self.text)

    def _colon(self, key):
        """The position behind the colon of a key."""
        return self.text.index(":", key.end_mark.index) + 1

    def _insert_lines(self, position, column, lines, place):
        """Insert lines behind the line that holds position."""
        new = [" " * column + line for line in lines]
        if LINE_BREAK.match(self.text, position - 1):
            # A block scalar ends where the next line starts.
            self.replace(position, position, "".join(line + self.newline for line in new), place)
        else:
            line_break = LINE_BREAK.search(self.text, position)
            end = line_break.start() if line_break else len(self.text)
            self.replace(end, end, "".join(self.newline + line for line in new), place)
