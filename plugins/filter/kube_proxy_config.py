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
version_added: 1.0.0
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

import json
import math
import re

import yaml
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_editor import Editor
from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_settings import DEFAULT_SYNC_PERIOD, SETTINGS, boolean, check_sync_periods, equal_cidrs
from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_text import KIND, at

HINT = (
    ". Set partial=true to edit the configuration values of the EKS add-on, which have no kind. "
    "On k3s and RKE2 the settings of kube-proxy are arguments (kube-proxy-arg), and RKE and Talos have files of their own"
)
# A tab where the line has nothing but indentation and indicators before it stands for indentation, which has to be spaces.
INDENTATION = re.compile(r"[ \t?:-]*\Z")


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
        mark = error.problem_mark
        raise AnsibleFilterError(
            "kube_proxy_config: the configuration is not valid YAML: line {0}, column {1}: {2}".format(
                mark.line + 1, mark.column + 1, ": ".join(filter(None, (error.context, error.problem)))
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


def _check_shape(root, value):
    """Refuse what kube-proxy itself refuses, before anything is edited."""
    section = value.get("ipvs")
    if section is not None and not isinstance(section, dict):
        raise AnsibleFilterError("kube_proxy_config: ipvs is {0!r}, it has to be a mapping".format(section))
    nodes = [("", root)] + [("ipvs.", node) for key, node in root.value if key.value == "ipvs"]
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
    lists = [at(value, ("ipvs", "excludeCIDRs")) for value in (edited, expected)]
    if isinstance(lists[0], list) and isinstance(lists[1], list):
        if not equal_cidrs(*lists):
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
    partial = boolean("partial", partial)
    root, value = _compose(text, partial)
    _check_shape(root, value)
    changes = {SETTINGS[option][0]: new for option, new in wanted.items() if not SETTINGS[option][2](at(value, SETTINGS[option][0]), new)}
    expected = _merged(value, changes)
    # What a part leaves out may stand in another part.
    check_sync_periods(expected.get("ipvs") or {}, wanted, None if partial else DEFAULT_SYNC_PERIOD)
    if not changes:
        return text
    editor = Editor(text)
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
