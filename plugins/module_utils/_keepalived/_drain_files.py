# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files by which real servers are drained under keepalived: one for each address that its configuration tracks.

They belong to who drains. Here they are made where they are missing, and removed where nobody has drained.
"""

from __future__ import annotations

import contextlib
import os

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

_IN_USE = "0"
_MODE = 0o644


def missing(addresses):
    """The paths of those addresses that have no file yet, a sorted list."""
    paths = [_configuration.drain_file(address) for address in sorted(addresses)]
    return [path for path in paths if not os.path.lexists(path)]


def unused(addresses):
    """The paths of files for other addresses than these that drain nobody, a sorted list. Raises IpvsError where one cannot be read."""
    kept = set(addresses)
    try:
        names = sorted(os.listdir(_configuration.DRAIN_FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = [_configuration.drain_file(name) for name in names if name not in kept]
    return [path for path in paths if _drains_nobody(path)]


def make(paths):
    """Make files that drain nobody. One that somebody else makes at the same time is left as it is. Raises IpvsError."""
    for path in paths:
        try:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                with open(path, "x", encoding="utf-8") as stream:
                    os.fchmod(stream.fileno(), _MODE)
                    stream.write(_IN_USE + "\n")
        except OSError as error:
            raise IpvsError("%s: %s" % (path, error.strerror)) from error


def remove(paths):
    """Remove those of these files that still drain nobody. Raises IpvsError."""
    for path in paths:
        if not _drains_nobody(path):
            continue
        try:
            os.unlink(path)
        except OSError as error:
            raise IpvsError("%s: %s" % (path, error.strerror)) from error


def _drains_nobody(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip() in ("", _IN_USE)
    except (FileNotFoundError, IsADirectoryError):
        return False
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error
