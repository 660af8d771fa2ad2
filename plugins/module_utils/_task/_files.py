# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the text goes that is to be written to a path."""

from __future__ import annotations

import os

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


def target(path):
    """The file to replace when ``path`` is to be written: what its symbolic link leads to, if it is one. The file need not exist.

    Replacing the link itself would cut off whoever put it there. Raises IpvsError where something other than a regular file is in
    the way, such as the /dev/null that masks a file of systemd.
    """
    real = os.path.realpath(path)
    if os.path.lexists(real) and not os.path.isfile(real):
        if os.path.islink(path):
            raise IpvsError("%s is a symbolic link to %s, which is not a regular file: remove the link, or use another path" % (path, os.readlink(path)))
        raise IpvsError("%s is not a regular file: use another path" % path)
    return real
