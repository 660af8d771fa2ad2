# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the text goes that is to be written to a path, and the ways there that root must not take."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple, Optional

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_MAX_LINKS = 40  # of the kernel


class NewFile(NamedTuple):
    """A file to write. ``mode``, ``owner`` ("UID:GID"): None for those of the file that is there; a new one gets 0644 and our own user."""

    path: str
    text: str
    mode: Optional[int] = None
    owner: Optional[str] = None


def target(path):
    """The file to replace when ``path`` is to be written: what its symbolic link leads to, if it is one. The file need not exist.

    Replacing the link itself would cut off whoever put it there. Raises IpvsError where something other than a regular file is in
    the way, such as the /dev/null that masks a file of systemd, and where ``check_links`` does.
    """
    check_links(path)
    real = os.path.realpath(path)
    if os.path.lexists(real) and not os.path.isfile(real):
        if os.path.islink(path):
            raise IpvsError("%s is a symbolic link to %s, which is not a regular file: remove the link, or use another path" % (path, os.readlink(path)))
        raise IpvsError("%s is not a regular file: use another path" % path)
    return real


def check_links(path):
    """Raise IpvsError where the way to ``path`` leads over a symbolic link of another user, who could lead root to any file.

    The kernel does so in folders such as /tmp only, and not where the setting fs.protected_symlinks is off.
    """
    way, rest, links = "/" if path.startswith("/") else os.getcwd(), path.split("/")[::-1], 0
    while rest and links < _MAX_LINKS:
        name = rest.pop()
        here = os.path.dirname(way) if name == ".." else os.path.join(way, name)
        try:
            status = os.lstat(here)
        except (OSError, ValueError):
            return  # whoever opens it finds out
        if not stat.S_ISLNK(status.st_mode):
            way = here if name not in ("", ".") else way
            continue
        if status.st_uid not in (0, os.geteuid()):
            raise IpvsError(
                "%s: %s is a symbolic link that belongs to another user (UID %d): remove the link, or use another path" % (path, here, status.st_uid)
            )
        links += 1
        to = os.readlink(here)
        way, rest = "/" if to.startswith("/") else way, rest + to.split("/")[::-1]


def check_folder(path, option):
    """Raise OptionError where others than root, or than us, may put files into the folder ``path``. It need not exist."""
    try:
        check_links(path)
    except IpvsError as error:
        raise OptionError(option, path, str(error)) from error
    try:
        status = os.stat(path)
    except OSError:
        return
    if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH or (status.st_gid and status.st_mode & stat.S_IWGRP):
        raise OptionError(option, path, "other users may write there: give a folder that only root may write")
