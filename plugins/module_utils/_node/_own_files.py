# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files that a module owns whole: what they should say, how they differ, writing them. Owner root, a mode of their own.

A file that is not wanted is one whose text is None.
"""

from __future__ import annotations

import os
import stat
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


class File(NamedTuple):
    """``text``: None where there is no such file. ``mode``: its permissions; None of one that is not there."""

    path: str
    text: Optional[str]
    mode: Optional[int] = 0o644
    owner: str = "0:0"  # UID:GID


class Change(NamedTuple):
    """A File as it is found, and as it should be."""

    found: File
    wanted: File


def read(path):
    """The File at this path. Raises IpvsError where it cannot be read, or another user's symbolic link leads to it."""
    _files.check_links(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            status = os.fstat(stream.fileno())
            return File(path, stream.read(), stat.S_IMODE(status.st_mode), "%d:%d" % (status.st_uid, status.st_gid))
    except (FileNotFoundError, NotADirectoryError):
        return File(path, None, None)
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error


def plan(wanted):
    """[Change] of the wanted Files that are not as they should be. Raises IpvsError where one could not be written."""
    changes = []
    for file in wanted:
        found = read(file.path)
        if file.text is None and found.text is None or found == file:
            continue
        if file.text is not None:
            _files.target(file.path)
        changes.append(Change(found, file))
    return changes


def differences(changes):
    """One text for each Change: what is not as it should be."""
    texts = []
    for found, wanted in changes:
        if wanted.text is None:
            texts.append("%s is there and is no longer needed" % wanted.path)
        elif found.text is None:
            texts.append("%s is missing" % wanted.path)
        elif found.text != wanted.text:
            texts.append("%s is not as it should be" % wanted.path)
        else:
            texts.append("%s: mode and owner are %04o %s, not %04o %s" % (wanted.path, found.mode, found.owner, wanted.mode, wanted.owner))
    return texts


def write(changes, context):
    """Write, or remove, every file of these Changes; a folder that is missing is made. Where there is no room for all, none changes.

    Raises IpvsError.
    """
    wanted = [file for _found, file in changes]
    path = None
    try:
        for path in [file.path for file in wanted if file.text is not None]:
            os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        context.write_files([_files.NewFile(*file) for file in wanted if file.text is not None])
        for path in [file.path for file in wanted if file.text is None]:
            os.unlink(path)
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error


def put_back(changes, context):
    """Have the files of these Changes as they were found, whether or not they were written. Raises IpvsError."""
    write([Change(wanted, found) for found, wanted in changes if read(found.path) != found], context)


def shown(files):
    """Files as text for --diff: each under its name."""
    return "".join("# %s\n%s" % (file.path, file.text) for file in files if file.text is not None)
