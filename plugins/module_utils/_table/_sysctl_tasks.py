# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_sysctls does: options in, Answer out."""

from __future__ import annotations

import os

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _sysctl_plan, _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer

MARK = "Written by lvs.ipvs.ipvs_sysctls"
_FORWARDING = {_literals.IPV4: "net.ipv4.ip_forward", _literals.IPV6: "net.ipv6.conf.all.forwarding"}


def needed(table):
    """The settings that a director of this Table of desired entries needs: forwarding for each address family that has servers behind NAT."""
    servers = [server for entry in table.values() for server in (entry.servers or {}).values()]
    families = {_literals.family_of(server.id.address) for server in servers if server.forward_method == "nat"}
    return {_FORWARDING[family]: "1" for family in sorted(families)}


def manage_sysctls(options, context, root="/"):
    """Kernel settings, now and at boot. ``root``: the directory that the node's file system starts at."""
    all_desired = {}
    if options["state"] == "present":
        all_desired = needed(_model.desired_table(options["services"] or ()))
        all_desired.update(_sysctl_plan.check(options["settings"] or {}))
    ipvs_is_coming = context.check_mode and not os.path.isdir(_sysctls.path_of(_sysctls.IPVS.rstrip("."), root))
    plan = _sysctl_plan.plan(all_desired, options["path"], MARK, (_sysctls.IPVS,) if ipvs_is_coming else (), root=root)
    for warning in _sysctl_plan.warnings(plan, os.uname().release):
        context.warn(warning)
    if not context.check_mode:
        _sysctl_plan.apply(plan, context, root)
    values = {
        "settings": dict(sorted(plan.settings.items())),
        "differences": _sysctl_plan.differences(plan),
        # Not "path": AnsibleModule adds the mode, owner and size of a file that is called so.
        "file": options["path"],
    }
    before, after = _texts(plan) if context.diff else (None, None)
    return Answer(bool(plan.writes or plan.files), values, before, after)


def _texts(plan):
    """The kernel's values and the file, before and after."""
    before, after = plan.before, dict(plan.restored, **plan.settings)
    texts = []
    for settings, files in ((before, [change.found for change in plan.files]), (after, [change.wanted for change in plan.files])):
        lines = ["%s = %s\n" % (key, value) for key, value in sorted(settings.items()) if value is not None]
        texts.append("".join(lines) + _own_files.shown(files))
    return texts
