# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the text of a KubeProxyConfiguration says, where it is not edited. Pure."""

from __future__ import annotations

import yaml
from ansible.errors import AnsibleFilterError

KIND = "KubeProxyConfiguration"


def configurations(name, text):
    """The configurations in the text, and parts of one, which have no kind: dicts. name: of the filter, for its errors."""
    try:
        return [each for each in yaml.safe_load_all(text) if isinstance(each, dict) and each.get("kind", KIND) == KIND]
    except yaml.YAMLError as error:
        raise AnsibleFilterError("{0}: the configuration is not YAML: {1}".format(name, error)) from error


def ipvs_sections(name, text):
    """The mapping ``ipvs`` of each configuration in the text, {} where there is none."""
    sections = [document.get("ipvs") for document in configurations(name, text)]
    return [section if isinstance(section, dict) else {} for section in sections]


def at(value, path):
    """What stands at a path of keys; None where nothing does."""
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return value
