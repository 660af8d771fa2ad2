# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the node's programs are, and the text of our own."""

from __future__ import annotations

import os
import shutil

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


def find(name):
    """The path of a program, or None. The PATH of a user who became root may lack the sbin folders."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"]))


def need(name, purpose, context):
    """Raise IpvsError where a program, whose package has its name, is not installed. In check mode an earlier task may install it: a warning."""
    if find(name):
        return
    if not context.check_mode:
        raise IpvsError("%s, which %s, is not installed: install the package %s" % (name, purpose, name))
    context.warn("%s is not installed yet; an earlier task may install it" % name)


def source(module):
    """The text of a Python module, which may lie in the archive that Ansible has made."""
    return module.__spec__.loader.get_data(module.__file__).decode()
