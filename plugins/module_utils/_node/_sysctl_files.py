# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which files of sysctl.d(5) have the last word on a setting: the boot takes them in the order of their names, wherever they lie."""

from __future__ import annotations

import os
import re
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _modprobe, _sysctls

FOLDERS = ("etc/sysctl.d", "run/sysctl.d", "usr/local/lib/sysctl.d", "usr/lib/sysctl.d", "lib/sysctl.d")
"""Under the root of the file system. A name in one of them hides the same name in those after it."""
_LINE = re.compile(r"^\s*-?([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$", re.MULTILINE)


class Override(NamedTuple):
    """A file that gives a key another value than ``ours`` at boot."""

    path: str
    key: str
    value: str
    ours: str


def overrides(path, all_desired, root="/"):
    """[Override] of these desired settings, {key, with wildcards or without: value}, where they stand in the file ``path``; sorted by key.

    A file that cannot be read says nothing. One that is not among ``FOLDERS`` is not read by the boot, so nothing comes after it.
    """
    folders = [os.path.join(root, folder) for folder in FOLDERS]
    if os.path.dirname(path) not in folders:
        return []
    final = {}
    for later in _files_after(os.path.basename(path), folders):
        for key, value in _LINE.findall(_modprobe.read_text(later)):
            key = _sysctls.normal_key(key)
            for desired, ours in all_desired.items():
                if _sysctls.stands_for(desired, key):
                    final[key] = Override(later, key, _sysctls.normal_value(value), ours)
    return [final[key] for key in sorted(final) if final[key].value != final[key].ours]


def _files_after(name, folders):
    """The paths of the files that the boot reads after the one of this name, in that order."""
    found = {}
    for folder in folders:
        for each in os.listdir(folder) if os.path.isdir(folder) else ():
            if each.endswith(".conf") and each > name:
                found.setdefault(each, os.path.join(folder, each))
    return [found[each] for each in sorted(found)]
