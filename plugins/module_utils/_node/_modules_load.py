# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file that is read at boot: text of modules-load.d(5), and what it becomes. Pure."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node._modprobe import normal

HEADER = "# Kernel modules to load at boot, see modules-load.d(5).\n# Made by the Ansible module lvs.ipvs.ipvs_modules; lines that others add stay.\n"


def names_in(text):
    """The modules that a file of modules-load.d lists, in order; none where ``text`` is None."""
    lines = [line.strip() for line in (text or "").splitlines()]
    return [normal(line) for line in lines if line and line[0] not in "#;"]


def with_modules(text, wanted, outdated):
    """``text`` with every module of ``wanted`` listed; those of ``outdated`` make room. Other lines stay as they are.

    ``text``: None where there is no such file yet. ``wanted``: names in order. ``outdated``: a dict of name -> the name
    in ``wanted`` that comes in its place.
    """
    lines = (HEADER if text is None else text).splitlines()
    listed = set(names_in(text))
    result = []
    for line in lines:
        successor = outdated.get(normal(line.strip()))
        if successor is None:
            result.append(line)
        elif successor not in listed:
            listed.add(successor)
            result.append(successor)
    result += [name for name in wanted if name not in listed]
    return text if result == lines else "".join(line + "\n" for line in result)


def without_modules(text, unwanted):
    """``text`` without the modules of ``unwanted``; None where nothing but our own header would be left, or no file is there."""
    lines = (text or "").splitlines()
    rest = [line for line in lines if normal(line.strip()) not in unwanted]
    if rest == lines:
        return text
    return None if rest == HEADER.splitlines() else "".join(line + "\n" for line in rest)
