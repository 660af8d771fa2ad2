# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The files by which keepalived is told to drain real servers: one for each address, whose content it adds to the server's weight.

keepalived watches the folder. It takes a file that is replaced in one step within some hundredths of a second, and does what the files
say from its start on, through reloads, and whatever becomes of the server.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_record
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

FOLDER = os.path.join(_drain_record.FOLDER, "drain")
DRAINED = -100000
"""Takes all of a server's weight, up to this much of it."""
_NUMBER = re.compile(r"\s*(-?[0-9]+)")


class Drained(NamedTuple):
    """``since``: seconds since the epoch; None: the server is not drained."""

    since: Optional[float]


def path(address):
    """The file of a real server's address, in its one spelling."""
    return os.path.join(FOLDER, address)


def text(drained):
    """What the file of a server says."""
    return "%d\n" % (DRAINED if drained else 0)


def read():
    """{address: Drained} of the files there are; empty where there is no folder. Raises IpvsError where one cannot be read."""
    try:
        names = sorted(os.listdir(FOLDER))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise IpvsError("%s: %s" % (FOLDER, error.strerror)) from error
    found = {}
    for name in names:
        try:
            with open(path(name), encoding="utf-8", errors="replace") as stream:
                number, changed = _NUMBER.match(stream.read()), os.fstat(stream.fileno()).st_mtime
        except (FileNotFoundError, IsADirectoryError):
            continue
        except OSError as error:
            raise IpvsError("%s: %s" % (path(name), error.strerror)) from error
        found[name] = Drained(changed if number and int(number.group(1)) <= DRAINED else None)
    return found


def write(address, drained):
    """Drain a real server, or take it back. Raises IpvsError."""
    # made outside the folder, in which every file is one of keepalived's
    _drain_record.replace(path(address), text(drained), os.path.dirname(FOLDER))


def missing(addresses):
    """The paths of those addresses that have no file yet, a sorted list."""
    paths = [path(address) for address in sorted(addresses)]
    return [each for each in paths if not os.path.lexists(each)]


def unused(addresses):
    """The paths of files for other addresses than these that drain nobody, a sorted list. Raises IpvsError where one cannot be read."""
    kept = set(addresses)
    try:
        names = sorted(os.listdir(FOLDER))
    except (FileNotFoundError, NotADirectoryError):
        return []
    paths = [path(name) for name in names if name not in kept]
    return [each for each in paths if _drains_nobody(each)]


def record():
    """The Record of what ipvs_drain has drained in services that nobody checks."""
    return _drain_record.Record(os.path.dirname(FOLDER))


def recorded():
    """The addresses in the record(). Raises IpvsError."""
    return {place.server.address for place in record().read()}


def make(paths, drained=()):
    """Make files that drain nobody but these addresses. One that somebody else makes at the same time is left as it is. Raises IpvsError."""
    for name in paths:
        try:
            os.makedirs(os.path.dirname(name), mode=0o755, exist_ok=True)
            # whole from the moment at which keepalived may see it
            with tempfile.NamedTemporaryFile("w", dir=os.path.dirname(os.path.dirname(name)), prefix=".drained", encoding="utf-8") as stream:
                os.fchmod(stream.fileno(), _drain_record.MODE)
                stream.write(text(os.path.basename(name) in drained))
                stream.flush()
                with contextlib.suppress(FileExistsError):
                    os.link(stream.name, name)
        except OSError as error:
            raise IpvsError("%s: %s" % (name, error.strerror)) from error


def remove(paths):
    """Remove those of these files that still drain nobody. Raises IpvsError."""
    for name in paths:
        if not _drains_nobody(name):
            continue
        try:
            os.unlink(name)
        except OSError as error:
            raise IpvsError("%s: %s" % (name, error.strerror)) from error


def forget(addresses):
    """Remove the files of these addresses, whatever they say. Raises IpvsError."""
    for address in addresses:
        try:
            os.unlink(path(address))
        except FileNotFoundError:
            pass
        except OSError as error:
            raise IpvsError("%s: %s" % (path(address), error.strerror)) from error


def _drains_nobody(name):
    try:
        with open(name, encoding="utf-8", errors="replace") as stream:
            return stream.read().strip() in ("", text(False).strip())
    except (FileNotFoundError, IsADirectoryError):
        return False
    except OSError as error:
        raise IpvsError("%s: %s" % (name, error.strerror)) from error
