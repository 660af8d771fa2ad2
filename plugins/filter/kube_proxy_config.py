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
  - The configuration values of the EKS add-on, JSON or YAML, have the same form but no C(kind). Set O(partial) to edit them.
  - The filter does not edit the files of k3s, RKE, RKE2 and Talos. On k3s and RKE2 the settings of kube-proxy are arguments, C(kube-proxy-arg).
positional: _input
options:
  _input:
    description:
      - YAML or JSON. Of several YAML documents, the one with C(kind=KubeProxyConfiguration) is edited.
      - A text without a C(kind) is an error unless O(partial) is set.
    type: string
    required: true
  partial:
    description:
      - The text is a part of a configuration, for example the configuration values of the EKS add-on. It needs no C(kind).
      - What a part leaves out is not known. O(min_sync_period) is only compared with a sync period that is in the text or in O(sync_period).
    type: bool
    default: false
  mode:
    description: How kube-proxy forwards, C(mode).
    type: string
    choices: [ipvs, nftables, iptables]
  scheduler:
    description: IPVS scheduler, C(ipvs.scheduler), for example V(rr).
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
    description:
      - Longest time between two refreshes of the rules, C(ipvs.syncPeriod), a duration, for example V(30s) or V(1m30s).
      - V(0s) means the default of kube-proxy, 30 seconds.
    type: string
  min_sync_period:
    description:
      - Shortest time between two refreshes of the rules, C(ipvs.minSyncPeriod), a duration. It cannot be longer than the longest time.
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

- name: The configuration values of the EKS add-on
  ansible.builtin.set_fact:
    wanted: "{{ addon.configurationValues | lvs.ipvs.kube_proxy_config(partial=true, mode='ipvs', scheduler='lc') }}"
"""

RETURN = r"""
_value:
  description: The text with the wanted settings.
  type: string
"""

import ipaddress
import json
import math
import re

import yaml
from ansible.errors import AnsibleFilterError

KIND = "KubeProxyConfiguration"
HINT = (
    ". Set partial=true to edit the configuration values of the EKS add-on, which have no kind. "
    "On k3s and RKE2 the settings of kube-proxy are arguments (kube-proxy-arg), and RKE and Talos have files of their own"
)
MODES = ("ipvs", "nftables", "iptables")
# kube-proxy's own default for a sync period that is absent or zero (k8s.io/kube-proxy config/v1alpha1 defaults).
DEFAULT_SYNC_PERIOD = "30s"
LINE_BREAK = re.compile(r"\r\n|[\n\r\x85\u2028\u2029]")
# Go's time.ParseDuration, without signs: kube-proxy refuses a negative period or timeout.
DURATION_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?(h|ms|us|\u00b5s|\u03bcs|ns|m|s)")
NANOSECONDS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "\u00b5s": 10**3, "\u03bcs": 10**3, "ns": 1}
# A duration is a signed number of nanoseconds with 64 bits.
LONGEST_DURATION = 2**63 - 1
# Go's net.ParseCIDR takes no zone, and a prefix length but no mask.
CIDR = re.compile(r"[0-9A-Fa-f:.]+/(?:0|[1-9][0-9]*)\Z")
# Go's YAML takes these for booleans, PyYAML for strings.
GO_BOOLEANS = ("y", "n")
# A tab where the line has nothing but indentation and indicators before it stands for indentation, which has to be spaces.
INDENTATION = re.compile(r"[ \t?:-]*\Z")


# --- What is wanted: checks and comparisons -----------------------------------------------------------------------


def _bad(option, value, right):
    return AnsibleFilterError("kube_proxy_config: {0}: {1!r} is not valid: {2}".format(option, value, right))


def _mode(option, value):
    if value not in MODES:
        raise _bad(option, value, "give one of {0}".format(", ".join(MODES)))
    return str(value)


def _scheduler(option, value):
    if not isinstance(value, str) or not re.match(r"[a-z][a-z0-9_]*\Z", value):
        raise _bad(option, value, "give the name of an IPVS scheduler, for example rr, wrr, lc, wlc, sh or mh")
    return str(value)


def _boolean(option, value):
    if not isinstance(value, bool):
        raise _bad(option, value, "give true or false")
    return bool(value)


def _cidrs(option, value):
    if not isinstance(value, (list, tuple)):
        raise _bad(option, value, "give a list of networks, for example [198.51.100.0/24]")
    for cidr in value:
        if _network(cidr) == cidr:
            raise _bad(option, cidr, "give a network with its prefix length, for example 198.51.100.0/24 or 2001:db8::/32")
    networks = [_network(cidr) for cidr in value]
    for index, network in enumerate(networks):
        if network in networks[:index]:
            raise _bad(option, value[index], "it is in the list twice")
    return [str(cidr) for cidr in value]


def _duration(option, value):
    nanoseconds = _nanoseconds(value)
    if nanoseconds is None or value == "0":
        raise _bad(option, value, "give a duration with its unit, for example 30s, 15m or 1h30m")
    if nanoseconds > LONGEST_DURATION:
        raise _bad(option, value, "the longest duration is 2562047h47m16.854775807s")
    return str(value)


def _network(text):
    """The network that text names, or text itself where it names none. Host bits do not matter to kube-proxy."""
    try:
        return ipaddress.ip_network(text, strict=False) if isinstance(text, str) and CIDR.match(text) else text
    except ValueError:
        return text


def _nanoseconds(text):
    """The nanoseconds in a Go duration, None where text is none. A fraction of a nanosecond is cut off, as Go does it."""
    if text == "0":
        return 0
    if not isinstance(text, str) or not text:
        return None
    total, position = 0, 0
    while position < len(text):
        part = DURATION_PART.match(text, position)
        whole, fraction, unit = part.groups() if part else ("", "", "")
        if not whole and not fraction:
            return None
        # A fraction of more than 18 digits changes nothing, and a number of thousands of digits takes long.
        if len(whole.lstrip("0")) > 19:
            return LONGEST_DURATION + 1
        digits = (fraction or "")[:18]
        total += int(whole or "0") * NANOSECONDS[unit] + int(digits or "0") * NANOSECONDS[unit] // 10 ** len(digits)
        position = part.end()
    return total


def _equal(current, wanted):
    return type(current) is type(wanted) and current == wanted


def _equal_durations(current, wanted):
    return isinstance(current, str) and _nanoseconds(current) == _nanoseconds(wanted)


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


def _check_sync_periods(ipvs, wanted, default):
    """kube-proxy does not start when the shortest time between refreshes is above the longest.

    ipvs: the section as it would be. default: the longest time where the section has none, None where that is not known.
    """
    if not {"sync_period", "min_sync_period"} & set(wanted):
        return
    text = ipvs.get("syncPeriod") or default
    if _nanoseconds(text) == 0:
        text = DEFAULT_SYNC_PERIOD
    longest, shortest = _nanoseconds(text), _nanoseconds(ipvs.get("minSyncPeriod") or "0s")
    if longest is not None and shortest is not None and shortest > longest:
        raise AnsibleFilterError(
            "kube_proxy_config: minSyncPeriod would be {0}, above syncPeriod {1}, and kube-proxy would not start: "
            "set min_sync_period and sync_period together".format(ipvs["minSyncPeriod"], text)
        )


# --- Reading ------------------------------------------------------------------------------------------------------


def _is_json(text):
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _without_tabs(text):
    """The text with spaces for the tabs between tokens, which YAML allows and PyYAML does not know. No position moves."""
    if "\t" not in text:
        return text
    if _is_json(text):
        # A string in JSON cannot hold a tab.
        return text.replace("\t", " ")
    while True:
        try:
            # What stands behind a tab is only read once the tab is gone.
            for _token in yaml.scan(text, Loader=yaml.SafeLoader):
                pass
        except yaml.scanner.ScannerError as error:
            start = error.problem_mark.index
            line = start - error.problem_mark.column
            if text[start : start + 1] != "\t" or INDENTATION.match(text[line:start]):
                return text
            end = start + len(text[start:]) - len(text[start:].lstrip("\t "))
            text = text[:start] + " " * (end - start) + text[end:]
        except Exception:
            # Whatever is wrong with the text, reading it names it.
            return text
        else:
            return text


def _compose(text, partial=False):
    """The root node of the KubeProxyConfiguration among the documents in text, and its value."""
    text = _without_tabs(text)
    mark = text.find("\ufeff", 1)
    if mark > 0:
        # PyYAML passes over it where Go's YAML does not.
        line = text.count("\n", 0, mark) + 1
        raise AnsibleFilterError("kube_proxy_config: line {0} has a byte order mark (U+FEFF), which only the beginning may have: remove it".format(line))
    try:
        # Read twice: what makes a value of a node writes the members of its merge keys into the node.
        documents = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
        values = list(yaml.load_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise AnsibleFilterError(
            "kube_proxy_config: the configuration is not valid YAML: line {0}, column {1}: {2}".format(
                mark.line + 1, mark.column + 1, error.problem or error.context
            )
        ) from error
    except RecursionError as error:
        raise AnsibleFilterError("kube_proxy_config: the configuration is not valid YAML: it is nested too deeply") from error
    except Exception as error:
        # PyYAML fails in many ways on a value that does not fit its tag, as KeyError and IndexError.
        raise AnsibleFilterError(
            "kube_proxy_config: the configuration is not valid YAML: {0}".format(error if isinstance(error, (yaml.YAMLError, ValueError)) else repr(error))
        ) from error
    pairs = [(node, value) for node, value in zip(documents, values) if _kind(value) == KIND]
    without = [(node, value) for node, value in zip(documents, values) if isinstance(value, dict) and "kind" not in value]
    if partial and not pairs and len(documents) == 1:
        pairs = without
    if len(pairs) != 1:
        raise AnsibleFilterError(
            "kube_proxy_config: expected one {0} in the text, found {1}{2}".format(
                KIND, _found([_kind(value) for value in values]) if not pairs else len(pairs), HINT if without and not pairs else ""
            )
        )
    return pairs[0]


def _kind(value):
    return value.get("kind") if isinstance(value, dict) else None


def _found(kinds):
    return ", ".join(str(kind or "a document without a kind") for kind in kinds) or "nothing"


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


class _Editor:
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
            if mapping.value and not _is_null(mapping):
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
        networks = [_network(item) for item in wanted]
        column, first = sequence.start_mark.column, sequence.start_mark.index - sequence.start_mark.column
        behind = first
        staying, present = [], []
        for node in sequence.value:
            network = _network(node.value)
            if network in networks and network not in present:
                staying.append(node)
                present.append(network)
            else:
                self.replace(self._item_start(node, column, behind), self._line_end(node), "")
            behind = node.end_mark.index
        new = ["- " + _scalar(item, None) for item in wanted if _network(item) not in present]
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
    return _alike(edited, expected)


def _alike(one, other):
    """Equal with all types; Python alone takes true for 1, and .nan for something else than .nan."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_alike(value, other[key]) for key, value in one.items())
    if isinstance(one, list):
        return len(one) == len(other) and all(_alike(*pair) for pair in zip(one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


def kube_proxy_config(text, partial=False, **settings):
    """The text of a KubeProxyConfiguration with the wanted settings, and nothing else changed.

    text: YAML or JSON. partial: whether a text without a kind is taken, as a part of a configuration.
    settings: those of SETTINGS; None leaves a setting alone. Raises AnsibleFilterError.
    """
    if not isinstance(text, str):
        raise AnsibleFilterError("kube_proxy_config: expected the text of a {0}, got {1}".format(KIND, type(text).__name__))
    text = str(text)
    unknown = sorted(set(settings) - set(SETTINGS))
    if unknown:
        raise AnsibleFilterError("kube_proxy_config: unknown setting {0}: give {1}".format(", ".join(unknown), ", ".join(SETTINGS)))
    wanted = {option: SETTINGS[option][1](option, settings[option]) for option in SETTINGS if settings.get(option) is not None}
    partial = _boolean("partial", partial)
    root, value = _compose(text, partial)
    _check_shape(root, value)
    changes = {SETTINGS[option][0]: new for option, new in wanted.items() if not SETTINGS[option][2](_get(value, SETTINGS[option][0]), new)}
    expected = _merged(value, changes)
    # What a part leaves out may stand in another part.
    _check_sync_periods(expected.get("ipvs") or {}, wanted, None if partial else DEFAULT_SYNC_PERIOD)
    if not changes:
        return text
    editor = _Editor(text)
    editor.set_settings(
        root,
        top={path[0]: new for path, new in changes.items() if len(path) == 1},
        section={path[1]: new for path, new in changes.items() if len(path) == 2},
    )
    edited = editor.result()
    if not _says(edited, expected, partial):
        raise AnsibleFilterError(
            "kube_proxy_config: this text cannot be edited in place without changing something else. "
            "Write out its anchors, aliases, tags and merge keys at mode and ipvs, and give each key its own line"
        )
    return edited


def _says(text, expected, partial):
    try:
        return _same(_compose(text, partial)[1], expected)
    except (AnsibleFilterError, RecursionError):
        # An anchor may stand for a value that holds itself.
        return False


class FilterModule:
    """The collection's filter for kube-proxy's configuration."""

    def filters(self):
        return {"kube_proxy_config": kube_proxy_config}
