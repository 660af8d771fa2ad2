# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ipvs_keepalived_info does: options in, Answer out. Reads, and changes nothing."""

from __future__ import annotations

import time

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _failover, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _model, _session
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer


def read_keepalived(options, context):
    """What keepalived does in a network namespace, and which real servers are drained under it."""
    processes = _daemon.find(options["netns"], context)
    vrrp = _daemon.vrrp_data(processes) if processes and processes.vrrp else ""
    instances = _state.instances(vrrp)
    services = _state.services(_daemon.checker_data(processes)) if processes and processes.checker else []
    values = {
        "version": _daemon.version(context, processes),
        "running": processes is not None,
        "processes": dict((processes or _daemon.Processes(None, None, None))._asdict()),
        **vrrp_values(instances, handover_file(vrrp)),
        "services": _services(services, options, context),
        "drained": _drained(),
    }
    return Answer(False, values)


def handover_file(vrrp):
    """The TrackFile by which this director is handed over; None where it has none. ``vrrp``: what the VRRP process tells."""
    named = {each.name: each for each in _state.track_files(vrrp)}
    return named.get(_failover.HANDOVER)


def vrrp_values(instances, file):
    """What the modules return of VRRP. ``file``: that of the handover, or None."""
    return {
        "instances": [_instance(each) for each in instances],
        "master": all(each.state == "master" for each in instances) if instances else None,
        "handover": {"file": file.path, "lowered": file.content > 0} if file else None,
    }


def _instance(instance):
    values = dict(instance._asdict(), since=_utc(instance.since))
    del values["places"]
    return dict(values, addresses=[dict(place._asdict()) for place in instance.places])


def _services(services, options, context):
    """The services as the module returns them, with the weights that the kernel has."""
    for service in services:
        if service.id is None:
            context.warn("the virtual server group %s is left out: its services have one health for all of them" % service.name)
    named = [service for service in services if service.id is not None]
    if not named:
        return []
    with _session.open_kernel(options, context, load=False) as kernel:
        table = kernel.read([service.id for service in named])
    return [
        dict(
            _model.id_options(service.id),
            quorum_up=service.quorum_up,
            servers=[_server(server, table.get(service.id)) for server in service.servers],
        )
        for service in named
    ]


def _server(server, entry):
    """``entry``: what the kernel has of the service; None where it is not there."""
    found = entry.servers.get(server.id) if entry else None
    return {
        "address": server.id.address,
        "port": server.id.port,
        "health": server.health,
        "checks": [{"type": check.type, "up": check.up, "ran": check.ran} for check in server.checks],
        "drained": server.drained,
        "configured_weight": server.weight,
        "weight": found.weight if found else None,
    }


def _drained():
    """The addresses whose file says so, and since when. Raises IpvsError where a file cannot be read."""
    return [{"address": address, "since": _utc(each.since)} for address, each in _drain_files.read().items() if each.since is not None]


def _utc(seconds):
    """A time in seconds since the epoch, as text."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
