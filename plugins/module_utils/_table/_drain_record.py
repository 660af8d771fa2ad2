# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The weights that drained real servers had, on disk until they are put back.

One file holds them for all servers of a network namespace, so that servers which are drained one after the other, together, or by
different people are put back in any order. It is replaced in one step and synced: a crash leaves the old one or the new one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import tempfile
from urllib.parse import quote

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _places
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

FOLDER = "/var/lib/ipvs-director"
MODE = 0o644


def replace(path, text, scratch_folder):
    """Put the text into the file in one step, and on the disk. ``scratch_folder``: in the same file system. Raises IpvsError."""
    try:
        handle, scratch = tempfile.mkstemp(dir=scratch_folder, prefix=".drained")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            os.chmod(scratch, MODE)
            os.replace(scratch, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(scratch)
            raise
        _sync(os.path.dirname(path))
    except OSError as error:
        raise IpvsError("%s: %s" % (path, error.strerror)) from error


def _sync(folder):
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Record:
    """``folder``: where the file lies; ``netns``: the namespace that it is about, as the option names it."""

    def __init__(self, folder, netns=None):
        self.folder = folder
        self.path = os.path.join(folder, "drained%s.json" % ("-" + quote(netns, safe="") if netns else ""))

    def read(self):
        """{Place: weight}, empty where nothing is recorded. Raises IpvsError where the file says something else, or others may write it."""
        _files.check_folder(self.folder, "state_directory")
        _files.check_links(self.path)
        try:
            with open(self.path, encoding="utf-8") as stream:
                return {_places.from_options(each): int(each["weight"]) for each in json.load(stream)}
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise IpvsError("%s: %s" % (self.path, error.strerror)) from error
        except (ValueError, TypeError, KeyError, AttributeError, IpvsError) as error:
            raise IpvsError(
                "%s was not written by ipvs_drain (%s: %s). Set the weights of the drained servers by ipvs_server "
                "and remove the file." % (self.path, type(error).__name__, error)
            ) from error

    def write(self, weights):
        """Put {Place: weight} on the disk; no file where there are none."""
        if weights:
            self._replace(weights)
            return
        try:
            if os.path.exists(self.path):
                os.unlink(self.path)
                _sync(self.folder)
        except OSError as error:
            raise IpvsError("%s: %s" % (error.filename or self.path, error.strerror)) from error

    def _replace(self, weights):
        entries = [dict(_places.options(place), weight=weights[place]) for place in sorted(weights, key=_places.order)]
        replace(self.path, "[\n%s\n]\n" % ",\n".join(json.dumps(entry) for entry in entries), self.folder)

    @contextlib.contextmanager
    def locked(self):
        """Keep other drains away from the record and the weights until the block ends. Makes the folder where it is missing.

        Two that read the table at the same time could take the last two servers out of a service, each because of the other.
        """
        _files.check_folder(self.folder, "state_directory")
        try:
            os.makedirs(self.folder, mode=0o755, exist_ok=True)
            handle = os.open(self.folder, os.O_RDONLY)
        except OSError as error:
            remedy = ": use become" if error.errno in (errno.EPERM, errno.EACCES) else ""
            raise IpvsError("state_directory: %r: %s%s" % (self.folder, error.strerror, remedy)) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)
