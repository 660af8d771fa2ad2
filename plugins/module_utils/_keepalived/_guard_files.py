# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that holds max_unhealthy on the director, and what it is told of the pools."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration, _pool_guard
from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files, _programs
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _rules
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

_HEADER = "#!%s\n# Written by the Ansible collection lvs.ipvs; changes are overwritten.\n"


def files(table, pools):
    """[File]: the program and its settings for a Table of whole Entries and their {ServiceId: Pool}; without text where no pool is guarded."""
    guarded = sorted((ident for ident, pool in pools.items() if pool.guarded), key=_model.service_order)
    if not guarded:
        return [_own_files.File(path, None) for path in (_configuration.GUARD, _pool_guard.SETTINGS, _pool_guard.RECORD)]
    settings = [_settings(table[ident], pools[ident]) for ident in guarded]
    # What the program knew of the same checker is out of date if there was none meanwhile.
    forgotten = [] if os.path.exists(_configuration.GUARD) else [_own_files.File(_pool_guard.RECORD, None)]
    return [
        _own_files.File(_configuration.GUARD, _HEADER % sys.executable + _programs.source(_pool_guard), 0o755),
        _own_files.File(_pool_guard.SETTINGS, json.dumps(settings, indent=1, sort_keys=True) + "\n"),
    ] + forgotten


def digest(found):
    """What changes with the text of these Files; None where they are not wanted. keepalived starts the program anew when it reloads."""
    if found[0].text is None:
        return None
    return hashlib.sha256("".join(file.text for file in found if file.text).encode()).hexdigest()[:16]


def _settings(entry, pool):
    ident = entry.service.id
    servers = {}
    for server_id, server in entry.servers.items():
        rules = ["-e " + _rules.render_server(ident, server._replace(weight=weight)) for weight in (server.weight, 0)]
        servers["[%s]:%d" % server_id] = {"address": server_id.address, "weight": server.weight, "rule_in": rules[0], "rule_out": rules[1]}
    return {"service": _name(ident), "share": pool.max_unhealthy, "servers": servers}


def _name(ident):
    """A ServiceId as keepalived writes it."""
    if ident.fwmark:
        return "FWM %d" % ident.fwmark
    return "[%s]:%s:%d" % (ident.address, _model.protocol_name(ident.protocol), ident.port)


def check(services, context):
    """Raise OptionError where the program could not do its work on this node. In check mode an earlier task may mend that: a warning."""
    for index, service in enumerate(services):
        share = service.get("max_unhealthy")
        problem = _problem() if share not in (None, 100) else None
        if problem and not context.check_mode:
            raise OptionError("services[%d].max_unhealthy" % index, share, problem)
        if problem:
            context.warn("services[%d].max_unhealthy: %s" % (index, problem))
            return


def _problem():
    if not _programs.find("ipvsadm"):
        return "it needs ipvsadm, which is not there; install the package ipvsadm"
    folder = _unsafe_folder(os.path.dirname(_configuration.GUARD))
    if folder:
        return "keepalived starts no program below %s, which others than root may write; run chmod go-w %s" % (folder, folder)
    return None


def _unsafe_folder(path):
    """The first folder on the way to a path that others than root may write, or None."""
    while path != "/":
        try:
            status = os.stat(path)
        except FileNotFoundError:
            status = None  # made by us
        if status and (status.st_uid != 0 or status.st_mode & stat.S_IWOTH or (status.st_gid != 0 and status.st_mode & stat.S_IWGRP)):
            return path
        path = os.path.dirname(path)
    return None
