# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What modprobe and systemd are told of kernel modules: modprobe.d(5). No module is loaded here.

``root``: the directory that the node's file system starts at.
"""

from __future__ import annotations

import os
import re

NAME = re.compile(r"[A-Za-z0-9_-]+\Z")


def normal(name):
    """A module's name as the kernel writes it."""
    return name.replace("-", "_")


def read_text(path):
    """The text of a file of the system; empty where it isn't there or can't be read."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            return stream.read()
    except OSError:
        return ""


def settings(root):
    """The lines of modprobe.d(5) as (file, words). A file in /etc hides one of the same name further back."""
    files = {}
    for directory in ("lib", "usr/lib", "usr/local/lib", "run", "etc"):
        folder = os.path.join(root, directory, "modprobe.d")
        if os.path.isdir(folder):
            files.update({name: os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".conf")})
    for name in sorted(files):
        for line in read_text(files[name]).splitlines():
            yield files[name], line.split()


BARS = ("/bin/true", "/bin/false", "/usr/bin/true", "/usr/bin/false")
"""What an ``install`` line runs to load nothing."""


def setting(keyword, name, root, but=()):
    """The file with a line ``keyword name``, or None. Lines whose next word is among ``but`` do not count."""
    for path, words in settings(root):
        if len(words) > 1 and words[0] == keyword and normal(words[1]) == name and words[2:3] not in [[word] for word in but]:
            return path
    return None
