# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Being in another network namespace for a moment."""

from __future__ import annotations

import ctypes
import errno
import os
import stat
from contextlib import contextmanager

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

_RUN = "/run/netns"
_OWN = "/proc/thread-self/ns/net"
_CLONE_NEWNET = 0x40000000


@contextmanager
def inside(netns):
    """Run the block in a network namespace: a name under /run/netns, a path, or None for the current one.

    Sockets opened in the block stay in that namespace. Raises OptionError where there is no such namespace.
    """
    if netns is None:
        yield
        return
    if netns in ("", ".", "..") or "/" in netns and not netns.startswith("/"):
        raise OptionError("netns", netns, "give a name that 'ip netns list' shows, or the full path of a namespace")
    path = os.path.join(_RUN, netns)
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):  # to open a pipe would wait, and a device may act
            raise OptionError("netns", netns, "not a network namespace: it is no file of that kind")
        target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        names = ", ".join(sorted(os.listdir(_RUN))) if os.path.isdir(_RUN) else ""
        raise OptionError(
            "netns",
            netns,
            "%s: %s; give a name that 'ip netns list' shows (here: %s) or the path of a namespace"
            % (path, os.strerror(error.errno) if isinstance(error, OSError) else "this cannot be a path", names or "none"),
        ) from error
    own = os.open(_OWN, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _enter(target, netns)
        try:
            yield
        finally:
            _enter(own, netns)
    finally:
        os.close(own)
        os.close(target)


def _enter(descriptor, netns):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        if number == errno.EPERM:
            raise IpvsError("netns: %r: entering a network namespace needs root (CAP_SYS_ADMIN): use become" % netns)
        raise OptionError("netns", netns, "not a network namespace: %s" % os.strerror(number))
