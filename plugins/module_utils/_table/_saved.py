# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table that the boot restores: where it is kept, what it says, and keeping it in step with weights that change.

The file belongs to the network namespace that the node boots into. Tasks with a ``netns`` leave it alone.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _distribution, _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules, _rules_reader
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

MARK = "# Written by lvs.ipvs.ipvs_saved"
HEADER = MARK + ": the table that the boot restores. Changes are overwritten.\n"
"""The first line of a file of ours. ``ipvsadm -R`` fails at a comment, so whatever restores the file leaves such lines out."""
MODE = 0o600

OWN_UNIT = "ipvs-table.service"
_SERVICE = "ipvsadm.service"
_SERVICE_FILES = tuple(folder + _SERVICE for folder in ("etc/systemd/system/", "usr/lib/systemd/system/", "lib/systemd/system/")) + ("etc/init.d/ipvsadm",)
_PROGRAMS = ("sbin/ipvsadm", "usr/sbin/ipvsadm")
_OWN_PATH = "/etc/ipvsadm.rules"


class Place(NamedTuple):
    """``path``: the rules; ``unit``: the unit of systemd that restores them; ``settings``: the file whose AUTO= switches that on, or
    empty; ``own``: whether the unit is ours and not the distribution's."""

    path: str
    unit: str
    settings: str = ""
    own: bool = False


_DEBIAN = Place("/etc/ipvsadm.rules", _SERVICE, "/etc/default/ipvsadm")
_RED_HAT = Place("/etc/sysconfig/ipvsadm", _SERVICE)


def place(path=None, root="/"):
    """The Place of the saved table on this node. ``path``: another file for the rules, which then needs a unit of ours.

    A distribution whose package is not installed yet is taken to bring its service with it.
    """
    own = Place(path or _OWN_PATH, OWN_UNIT, own=True)
    families = _distribution.family(root)
    if {"debian", "ubuntu"} & set(families):
        found = _DEBIAN
    elif {"rhel", "fedora", "centos", "amzn"} & set(families):
        found = _RED_HAT
    else:
        return own
    if path not in (None, found.path):
        return own
    installed = _any_there(root, _PROGRAMS)
    return found if _any_there(root, _SERVICE_FILES) or not installed else own


def _any_there(root, paths):
    return any(os.path.exists(os.path.join(root, path)) for path in paths)


def is_ours(text):
    """Whether the text of a rules file (None where there is none) was written by us."""
    return text is not None and text.startswith(MARK)


def load(path=None):
    """The Ruleset that our file holds, or None where there is no file, or one that is not ours. Raises IpvsError."""
    path = path or place().path
    text = _own_files.read(path).text
    if not is_ours(text):
        return None
    try:
        return _rules_reader.parse(text)
    except IpvsError as error:
        raise IpvsError("%s: %s" % (path, error)) from error


def read(path=None):
    """The Table that our file holds, or None where there is no file, or one that is not ours. Raises IpvsError."""
    ruleset = load(path)
    return None if ruleset is None else ruleset.table


def render(table, timeouts, daemons):
    """The text of the file. ``table``: whole entries; ``timeouts``: Timeouts or None; ``daemons``: whole Daemons."""
    lines = [_rules.render_timeouts(timeouts) + "\n"] if timeouts else []
    return HEADER + "".join(lines) + _rules.render_table(table) + "".join(_rules.render_daemon(daemon) + "\n" for daemon in daemons)


def plan(text, path=None):
    """[Change] of ``_own_files`` that gives the file this text: empty where it has it already."""
    return _own_files.plan([_own_files.File(path or place().path, text, MODE)])


def reweigh(table, context, path=None):
    """Keep our file in step with weights that were changed in the kernel; returns whether it changes (in check mode: would).

    ``table``: services with their servers as they now are, all of the kernel's or some. A server of the file that is in it gets its
    weight; nothing else in the file changes. A file that is not ours is left alone. Raises IpvsError.
    """
    ruleset = load(path)
    if ruleset is None:
        return False
    kept, changed = {}, False
    for ident, entry in ruleset.table.items():
        servers = dict(entry.servers)
        now = table[ident].servers if ident in table else {}
        for server_ident, server in entry.servers.items():
            if server_ident in now and now[server_ident].weight != server.weight:
                servers[server_ident] = server._replace(weight=now[server_ident].weight)
                changed = True
        kept[ident] = _model.Entry(entry.service, servers)
    if changed and not context.check_mode:
        _own_files.write(plan(render(kept, ruleset.timeouts, ruleset.daemons), path), context)
    return changed
