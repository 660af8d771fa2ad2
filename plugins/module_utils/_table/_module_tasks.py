# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_modules does beside ``_modules``: the kernel modules that a list of services needs."""

from __future__ import annotations

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod, _modules
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model

_CONNTRACK = ("nf_conntrack", "nf_conntrack_ipv4")


def needs(services):
    """The entries of ``_modules`` that a list of services comes to. Raises OptionError for a list that is wrong."""
    all_desired = [_modules.Desired("services", ("ip_vs",)), _modules.Desired("services", _CONNTRACK)]
    seen = set()
    for index, entry in enumerate(_model.desired_table(services).values()):
        scheduler = entry.service.scheduler or _model.DEFAULT_SCHEDULER
        for part, name in (("scheduler", "" if scheduler == "none" else scheduler), ("persistence_engine", entry.service.persistence_engine)):
            if name and (part, name) not in seen:
                seen.add((part, name))
                all_desired.append(_modules.Desired("services[%d].%s" % (index, part), (_kmod.module_of(part, name).replace("-", "_"),), part))
    return all_desired


def manage_modules(options, context, root="/"):
    """Kernel modules, now and at boot. ``root``: the directory that the node's file system starts at."""
    return _modules.ensure_modules(options, context, root, () if options["services"] is None else needs(options["services"]))
