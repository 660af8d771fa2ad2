# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which settings of kube-proxy an edit changes."""

from __future__ import annotations

DOCUMENTATION = r"""
name: kube_proxy_changes
short_description: Name the settings that differ between two texts of a KubeProxyConfiguration
version_added: 1.0.0
author:
  - Contributors to the lvs.ipvs project (@lvs-project)
description:
  - Compares the settings that P(lvs.ipvs.kube_proxy_config#filter) can change.
positional: _input, after
options:
  _input:
    description: The configuration, or the configuration values of the EKS add-on, before the edit.
    type: string
    required: true
  after:
    description: The same after the edit.
    type: string
    required: true
seealso:
  - plugin: lvs.ipvs.kube_proxy_config
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show what changes
  ansible.builtin.debug:
    # ["mode: iptables -> ipvs", "ipvs.scheduler: null -> lc"]
    msg: "{{ text | lvs.ipvs.kube_proxy_changes(text | lvs.ipvs.kube_proxy_config(mode='ipvs', scheduler='lc')) }}"
"""

RETURN = r"""
_value:
  description: One text for each setting, with its path, its old value and its new value.
  type: list
  elements: string
"""

import json

from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_settings import SETTINGS
from ansible_collections.lvs.ipvs.plugins.plugin_utils._kube_proxy_text import at, configurations


def kube_proxy_changes(before, after):
    """A list of texts, one a setting. Raises AnsibleFilterError."""
    old, new = ((configurations("kube_proxy_changes", text) or [{}])[0] for text in (before, after))
    paths = [path for path, _check, _same in SETTINGS.values()]
    return [
        "{0}: {1} -> {2}".format(".".join(path), _shown(at(old, path)), _shown(at(new, path)))
        for path in paths
        if at(old, path) != at(new, path)
    ]  # fmt: skip


def _shown(value):
    return value if value and isinstance(value, str) else json.dumps(value)


class FilterModule:
    """What an edit of kube-proxy's configuration changes."""

    def filters(self):
        return {"kube_proxy_changes": kube_proxy_changes}
