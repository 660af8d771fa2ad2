# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Edit a KubeProxyConfiguration in place.

The text is never written anew from its parsed form, which would lose comments, quoting and order. PyYAML, which
ansible-core always brings, tells where in the text each value stands, and only those places are replaced.
Whatever comes out is parsed again: a text that does not say exactly what was asked for is refused, never returned.
"""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_config
short_description: Change settings in the text of a KubeProxyConfiguration
version_added: 0.1.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Takes the text of a C(KubeProxyConfiguration) and returns it with the wanted settings.
  - Nothing but the named settings changes. Comments, unknown keys, null values, quoting and the order of keys stay.
  - A text that has all the settings already comes back unchanged, byte for byte.
  - A setting that is left out, or null, is left alone.
  - A duration that is only spelled differently (V(60s) and V(1m0s)) and a list that is only ordered differently
    count as equal.
  - The configuration values of the EKS add-on, JSON or YAML, have the same form and can be edited the same way.
positional: _input
options:
  _input:
    description:
      - YAML or JSON. Of several YAML documents, the one with C(kind=KubeProxyConfiguration) is edited.
    type: string
    required: true
  mode:
    description: How kube-proxy forwards, C(mode).
    type: string
    choices: [ipvs, nftables, iptables]
  scheduler:
    description: IPVS scheduler, C(ipvs.scheduler), as V(rr).
    type: string
  strict_arp:
    description:
      - Set arp_ignore and arp_announce so that the addresses on kube-ipvs0 are not answered for, C(ipvs.strictARP).
    type: bool
  exclude_cidrs:
    description: Networks whose virtual services kube-proxy leaves alone, C(ipvs.excludeCIDRs).
    type: list
    elements: string
  sync_period:
    description: Longest time between two refreshes of the rules, C(ipvs.syncPeriod), a duration as V(30s) or V(1m30s).
    type: string
  min_sync_period:
    description: Shortest time between two refreshes of the rules, C(ipvs.minSyncPeriod), a duration.
    type: string
  tcp_timeout:
    description: Timeout of idle TCP connections, C(ipvs.tcpTimeout), a duration. V(0s) keeps the kernel's.
    type: string
  tcp_fin_timeout:
    description: Timeout of TCP connections after a FIN, C(ipvs.tcpFinTimeout), a duration. V(0s) keeps the kernel's.
    type: string
  udp_timeout:
    description: Timeout of UDP, C(ipvs.udpTimeout), a duration. V(0s) keeps the kernel's.
    type: string
notes:
  - Anchors and aliases at the places to change, and comments within a flow list to change, are refused with an error.
"""

EXAMPLES = r"""
- name: The text that switches kube-proxy to IPVS with round robin
  ansible.builtin.set_fact:
    wanted: "{{ configmap.data['config.conf'] | lvs.ipvs.kube_proxy_config(mode='ipvs', scheduler='rr') }}"

- name: Longer timeouts, everything else as it is
  ansible.builtin.set_fact:
    wanted: "{{ text | lvs.ipvs.kube_proxy_config(tcp_timeout='1h', udp_timeout='5m') }}"
"""

RETURN = r"""
_value:
  description: The text with the wanted settings.
  type: string
"""

import ipaddress
import json
import re
from fractions import Fraction

import yaml
from ansible.errors import AnsibleFilterError

KIND = "KubeProxyConfiguration"
MODES = ("ipvs", "nftables", "iptables")
# kube-proxy's own default for a sync period that is absent or zero (k8s.io/kube-proxy config/v1alpha1 defaults).
DEFAULT_SYNC_PERIOD = "30s"
LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
# Go's time.ParseDuration, without signs: kube-proxy refuses a negative period or timeout.
DURATION = re.compile(r"(?:\d+(?:\.\d*)?(?:h|ms|us|µs|ns|m|s))+\Z")
DURATION_PART = re.compile(r"(\d+(?:\.\d*)?)(h|ms|us|µs|ns|m|s)")
SECONDS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1000),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
    "ns": Fraction(1, 10**9),
}


# --- What is wanted: checks and comparisons -----------------------------------------------------------------------


def _bad(option, value, right):
    return AnsibleFilterError("kube_proxy_config: {0}: {1!r} is not valid: {2}".format(option, value, right))


def _mode(option, value):
    if value not in MODES:
        raise _bad(option, value, "give one of {0}".format(", ".join(MODES)))
    return str(value)


def _scheduler(option, value):
    if not isinstance(value, str) or not re.match(r"[a-z0-9_]+\Z", value):
        raise _bad(option, value, "give the name of an IPVS scheduler, as rr, wrr, lc, wlc, sh or mh")
    return str(value)


def _boolean(option, value):
    if not isinstance(value, bool):
        raise _bad(option, value, "give true or false")
    return bool(value)


def _cidrs(option, value):
    if not isinstance(value, (list, tuple)):
        raise _bad(option, value, "give a list of networks, as [198.51.100.0/24]")
    for cidr in value:
        if not isinstance(cidr, str) or "/" not in cidr or _network(cidr) == cidr:
            raise _bad(option, cidr, "give a network with its prefix length, as 198.51.100.0/24 or 2001:db8::/32")
    networks = [_network(cidr) for cidr in value]
    for index, network in enumerate(networks):
        if network in networks[:index]:
            raise _bad(option, value[index], "it is in the list twice")
    return [str(cidr) for cidr in value]


def _duration(option, value):
    if not isinstance(value, str) or not DURATION.match(value):
        raise _bad(option, value, "give a duration with its unit, as 30s, 15m or 1h30m")
    return str(value)


def _network(text):
    """The network that text names, or text itself where it names none. Host bits do not matter to kube-proxy."""
    try:
        return ipaddress.ip_network(text, strict=False)
    except (TypeError, ValueError):
        return text


def _seconds(text):
    """The seconds in a Go duration, or text itself where it is none."""
    if isinstance(text, str) and DURATION.match(text):
        return sum(Fraction(number) * SECONDS[unit] for number, unit in DURATION_PART.findall(text))
    return Fraction(0) if text == "0" else text


def _equal(current, wanted):
    return type(current) is type(wanted) and current == wanted


def _equal_durations(current, wanted):
    return isinstance(current, str) and _seconds(current) == _seconds(wanted)


def _equal_cidrs(current, wanted):
    current = [] if current is None else current
    if not isinstance(current, list) or len(current) != len(wanted):
        return False
    return sorted(str(_network(cidr)) for cidr in current) == sorted(str(_network(cidr)) for cidr in wanted)


# option: path in a KubeProxyConfiguration, check of the wanted value, comparison of the current one with it
SETTINGS = {
    "mode": (("mode",), _mode, _equal),
    "scheduler": (("ipvs", "scheduler"), _scheduler, _equal),
    "strict_arp": (("ipvs", "strictARP"), _boolean, _equal),
    "exclude_cidrs": (("ipvs", "excludeCIDRs"), _cidrs, _equal_cidrs),
    "sync_period": (("ipvs", "syncPeriod"), _duration, _equal_durations),
    "min_sync_period": (("ipvs", "minSyncPeriod"), _duration, _equal_durations),
    "tcp_timeout": (("ipvs", "tcpTimeout"), _duration, _equal_durations),
    "tcp_fin_timeout": (("ipvs", "tcpFinTimeout"), _duration, _equal_durations),
    "udp_timeout": (("ipvs", "udpTimeout"), _duration, _equal_durations),
}


def _check_sync_periods(ipvs, wanted):
    """kube-proxy does not start when the shortest time between refreshes is above the longest."""
    if not {"sync_period", "min_sync_period"} & set(wanted):
        return
    longest = _seconds(ipvs.get("syncPeriod") or DEFAULT_SYNC_PERIOD) or _seconds(DEFAULT_SYNC_PERIOD)
    shortest = _seconds(ipvs.get("minSyncPeriod") or "0s")
    if isinstance(longest, Fraction) and isinstance(shortest, Fraction) and shortest > longest:
        raise AnsibleFilterError(
            "kube_proxy_config: minSyncPeriod would be {0}, above syncPeriod {1}, and kube-proxy would not start: "
            "set min_sync_period and sync_period together".format(ipvs["minSyncPeriod"], ipvs.get("syncPeriod") or DEFAULT_SYNC_PERIOD)
        )


# --- Reading ------------------------------------------------------------------------------------------------------


def _is_json(text):
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _compose(text):
    """The root node of the KubeProxyConfiguration among the documents in text."""
    if _is_json(text):
        # YAML knows no tab between tokens, JSON does; a string in JSON cannot hold one, so that no position moves.
        text = text.replace("\t", " ")
    try:
        documents = [node for node in yaml.compose_all(text, Loader=yaml.SafeLoader) if node is not None]
        values = [_construct(node) for node in documents]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise AnsibleFilterError(
            "kube_proxy_config: the configuration is not valid YAML: line {0}, column {1}: {2}".format(
                mark.line + 1, mark.column + 1, error.problem or error.context
            )
        ) from error
    except (yaml.YAMLError, ValueError) as error:
        raise AnsibleFilterError("kube_proxy_config: the configuration is not valid YAML: {0}".format(error)) from error
    pairs = [(node, value) for node, value in zip(documents, values) if _kind(value) == KIND]
    if not pairs and len(documents) == 1 and isinstance(values[0], dict) and "kind" not in values[0]:
        pairs = [(documents[0], values[0])]
    if len(pairs) != 1:
        raise AnsibleFilterError(
            "kube_proxy_config: expected one {0} in the text, found {1}{2}".format(
                KIND, len(pairs), _found([_kind(value) for value in values]) if not pairs else ""
            )
        )
    return pairs[0]


def _construct(node):
    loader = yaml.SafeLoader("")
    try:
        return loader.construct_document(node)
    finally:
        loader.dispose()


def _kind(value):
    return value.get("kind") if isinstance(value, dict) else None


def _found(kinds):
    return ", but {0}".format(", ".join(str(kind or "a document without a kind") for kind in kinds)) if kinds else ""


def _get(value, path):
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# --- Editing ------------------------------------------------------------------------------------------------------


def _is_null(node):
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
    if style == '"' or yaml.safe_load(value) != value:
        return json.dumps(value)
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


class _Editor:
    """Collects replacements in one text. All positions are those of the text as it was."""

    def __init__(self, text):
        self.text = text
        line_break = LINE_BREAK.search(text)
        self.newline = line_break.group() if line_break else "\n"
        self.edits = []

    def replace(self, start, end, new):
        self.edits.append((start, end, new))

    def result(self):
        """The edited text. Of two insertions at one position, the one asked for later comes first."""
        text = self.text
        for start, end, new in sorted(self.edits, key=lambda edit: edit[0], reverse=True):
            text = text[:start] + new + text[end:]
        return text

    def set_settings(self, root, top, section):
        """Set the values in top, a dict, in the root mapping, and those in section, a dict, in its mapping ipvs."""
        nodes = {key.value: (key, node) for key, node in root.value}
        missing = self._replace_members(root, top)
        if section and "ipvs" not in nodes:
            missing["ipvs"] = section
        # Before the section: what goes in at one position later stands first.
        self._add_members(root, missing)
        if section and "ipvs" in nodes:
            key, mapping = nodes["ipvs"]
            if mapping.value and not _is_null(mapping):
                self._add_members(mapping, self._replace_members(mapping, section))
            else:
                self._fill_section(root, key, mapping, section)

    def _replace_members(self, mapping, wanted):
        """Replace the values of the keys that are there. Returns the other members of wanted."""
        missing = dict(wanted)
        for key, node in mapping.value:
            if key.value in missing:
                self._replace_value(key, node, missing.pop(key.value))
        return missing

    def _add_members(self, mapping, members):
        if not members:
            return
        # Keys are written as their neighbours are. What has no neighbours is written as JSON.
        style = mapping.value[0][0].style if mapping.value else '"'
        if not mapping.flow_style:
            lines = [line for name, value in members.items() for line in _block_lines(name, value, style)]
            self._insert_lines(_content_end(mapping), mapping.start_mark.column, lines)
            return
        new = ", ".join(_flow_member(name, value, style) for name, value in members.items())
        if mapping.value:
            position = _content_end(mapping.value[-1][1])
            self.replace(position, position, ", " + new)
        else:
            position = mapping.start_mark.index + 1
            self.replace(position, position, new)

    def _fill_section(self, root, key, node, members):
        """Put members into a section that is there and empty: null, {} or nothing behind its colon."""
        start, end = node.start_mark.index, node.end_mark.index
        self._refuse_comment(key, node)
        if root.flow_style:
            self.replace(start, end, _flow_value(members, key.style))
            return
        colon = self._colon(key)
        start = colon + len(self.text[colon:start].rstrip(" "))
        self.replace(start, end, "")
        lines = [line for name, value in members.items() for line in _block_lines(name, value, key.style)]
        self._insert_lines(end, root.start_mark.column + 2, lines)

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
        """Set the scalars of a block sequence, one on each line: those that stay keep their lines and comments."""
        networks = [_network(item) for item in wanted]
        staying = [node for node in sequence.value if _network(node.value) in networks]
        for node in sequence.value:
            if node not in staying:
                self.replace(*self._whole_lines(node), "")
        present = [_network(node.value) for node in staying]
        new = ["- " + _scalar(item, None) for item in wanted if _network(item) not in present]
        column = sequence.start_mark.column
        if staying:
            self._insert_lines(_content_end(staying[-1]), column, new)
        elif new:
            start = self._whole_lines(sequence.value[0])[0]
            self.replace(start, start, "".join(" " * column + line + self.newline for line in new))
        else:
            colon = self._colon(key)
            self.replace(colon, colon, " []")

    def _whole_lines(self, node):
        """Where the lines that hold a scalar start, and where the line behind them starts."""
        line_break = LINE_BREAK.search(self.text, node.end_mark.index)
        return node.start_mark.index - node.start_mark.column, line_break.end() if line_break else len(self.text)

    def _colon(self, key):
        """The position behind the colon of a key."""
        return self.text.index(":", key.end_mark.index) + 1

    def _insert_lines(self, position, column, lines):
        """Insert lines behind the line that holds position."""
        new = [" " * column + line for line in lines]
        if LINE_BREAK.match(self.text, position - 1):
            # A block scalar ends where the next line starts.
            self.replace(position, position, "".join(line + self.newline for line in new))
        else:
            line_break = LINE_BREAK.search(self.text, position)
            end = line_break.start() if line_break else len(self.text)
            self.replace(end, end, "".join(self.newline + line for line in new))


def _check_shape(root, value):
    """Refuse what kube-proxy itself refuses, before anything is edited."""
    section = value.get("ipvs")
    if section is not None and not isinstance(section, dict):
        raise AnsibleFilterError("kube_proxy_config: ipvs is {0!r}, it has to be a mapping".format(section))
    nodes = [("", root)] + [("ipvs.", node) for key, node in root.value if key.value == "ipvs" and node.value]
    for prefix, mapping in nodes:
        if not isinstance(mapping, yaml.MappingNode):
            continue
        names = [key.value for key, _value in mapping.value]
        for index, name in enumerate(names):
            if name in names[:index]:
                raise AnsibleFilterError(
                    "kube_proxy_config: line {0}: the key {1}{2} is there twice".format(mapping.value[index][0].start_mark.line + 1, prefix, name)
                )


def _merged(value, changes):
    merged = dict(value)
    for (*section, name), wanted in changes.items():
        if section:
            merged[section[0]] = dict(merged.get(section[0]) or {}, **{name: wanted})
        else:
            merged[name] = wanted
    return merged


def _same(edited, expected):
    """Equal, where lists of networks may be ordered differently: items that stay keep their place."""
    lists = [_get(value, ("ipvs", "excludeCIDRs")) for value in (edited, expected)]
    if isinstance(lists[0], list) and isinstance(lists[1], list):
        if not _equal_cidrs(*lists):
            return False
        edited = _merged(edited, {("ipvs", "excludeCIDRs"): lists[1]})
    return edited == expected


def kube_proxy_config(text, **settings):
    """The text of a KubeProxyConfiguration with the wanted settings, and nothing else changed.

    text: YAML or JSON. settings: those of SETTINGS; None leaves a setting alone. Raises AnsibleFilterError.
    """
    if not isinstance(text, str):
        raise AnsibleFilterError("kube_proxy_config: expected the text of a {0}, got {1}".format(KIND, type(text).__name__))
    text = str(text)
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise AnsibleFilterError("kube_proxy_config: unknown setting {0}: give {1}".format(", ".join(unknown), ", ".join(SETTINGS)))
    wanted = {option: SETTINGS[option][1](option, settings[option]) for option in SETTINGS if settings.get(option) is not None}
    root, value = _compose(text)
    _check_shape(root, value)
    changes = {SETTINGS[option][0]: new for option, new in wanted.items() if not SETTINGS[option][2](_get(value, SETTINGS[option][0]), new)}
    expected = _merged(value, changes)
    _check_sync_periods(expected.get("ipvs") or {}, wanted)
    if not changes:
        return text
    editor = _Editor(text)
    editor.set_settings(
        root,
        top={path[0]: new for path, new in changes.items() if len(path) == 1},
        section={path[1]: new for path, new in changes.items() if len(path) == 2},
    )
    edited = editor.result()
    if not _says(edited, expected):
        raise AnsibleFilterError(
            "kube_proxy_config: this text cannot be edited in place without changing something else. "
            "Write out its anchors, aliases, tags and merge keys at mode and ipvs, and give each key its own line"
        )
    return edited


def _says(text, expected):
    try:
        return _same(_compose(text)[1], expected)
    except AnsibleFilterError:
        return False


class FilterModule:
    """The collection's filter for kube-proxy's configuration."""

    def filters(self):
        return {"kube_proxy_config": kube_proxy_config}
