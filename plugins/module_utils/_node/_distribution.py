# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which distribution a node runs, by os-release(5)."""

from __future__ import annotations

import os


def os_release(root="/"):
    """The fields of os-release as a dict of texts; empty where there is no such file."""
    values = {}
    for path in ("etc/os-release", "usr/lib/os-release"):
        try:
            with open(os.path.join(root, path), encoding="utf-8", errors="surrogateescape") as stream:
                text = stream.read()
        except OSError:
            continue
        for line in text.splitlines():
            key, _equals, value = line.partition("=")
            values[key] = value.strip("\"'")
        if values:
            break
    return values


def family(root="/"):
    """The distribution's ID, then those that it says it is like; [""] where nothing is known."""
    system = os_release(root)
    return [system.get("ID", "")] + system.get("ID_LIKE", "").split()
