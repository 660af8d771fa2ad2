# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The model as rule text of ipvsadm(8), which ``ipvsadm --restore`` reads. Pure.

It says more than ``ipvsadm --save`` does: thresholds, timeouts and sync daemons. What it cannot say is ``forward_method: local``:
ipvsadm has no word for it and writes ``-g``, and so do we.
"""

from __future__ import annotations

import socket

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model

_PROTOCOL_OPTIONS = {_model.PROTOCOLS["tcp"]: "-t", _model.PROTOCOLS["udp"]: "-u", _model.PROTOCOLS["sctp"]: "--sctp-service"}
FORWARD_OPTIONS = {"nat": "-m", "tun": "-i", "dr": "-g", "local": "-g"}
_CHECKSUM_OPTIONS = {"none": "--tun-nocsum", "csum": "--tun-csum", "remcsum": "--tun-remcsum"}

# A scheduler flag is a bit to the kernel; ipvsadm names it after what the scheduler makes of it.
COMMON_FLAGS = dict(zip(_model.SCHEDULER_FLAGS, ("flag-1", "flag-2", "flag-3")))
NAMED_FLAGS = {
    "sh": dict(COMMON_FLAGS, fallback="sh-fallback", port="sh-port"),
    "mh": dict(COMMON_FLAGS, fallback="mh-fallback", port="mh-port"),
}

DAEMON_OPTIONS = (
    ("interface", "--mcast-interface"),
    ("sync_id", "--syncid"),
    ("max_length", "--sync-maxlen"),
    ("multicast_group", "--mcast-group"),
    ("multicast_port", "--mcast-port"),
    ("multicast_ttl", "--mcast-ttl"),
)


def service_words(ident):
    """The words that name a virtual service (a ServiceId): ``-t 198.51.100.1:80``, ``-f 7 -6``."""
    if ident.fwmark:
        return "-f %d%s" % (ident.fwmark, " -6" if ident.family == _literals.IPV6 else "")
    # the kernel takes services of any protocol; --xxx-service is how ipvsadm writes one that it has no option for
    return "%s %s" % (_PROTOCOL_OPTIONS.get(ident.protocol, "--xxx-service"), _literals.join_port(ident.address, ident.port))


def render_service(service):
    """A whole Service as the words after ``-A`` or ``-E``."""
    words = [service_words(service.id), "-s", service.scheduler]
    if service.persistence_timeout:
        words += ["-p", str(service.persistence_timeout)]
        if service.persistence_netmask != _literals.host_mask(service.id.family):
            words += ["-M", _netmask_word(service)]
    if service.scheduler_flags:
        names = NAMED_FLAGS.get(service.scheduler, COMMON_FLAGS)
        words += ["-b", ",".join(names[flag] for flag in service.scheduler_flags)]
    if service.persistence_engine:
        words += ["--pe", service.persistence_engine]
    if service.one_packet:
        words.append("-o")
    return " ".join(words)


def _netmask_word(service):
    if service.id.family == _literals.IPV6:
        return service.persistence_netmask
    return socket.inet_ntoa(_literals.netmask_number(service.persistence_netmask).to_bytes(4, "big"))


def render_server(service_id, server):
    """A whole Server as the words after ``-a`` or ``-e``; ``service_id``: the ServiceId it belongs to."""
    return "%s %s" % (service_words(service_id), _server_words(server))


def _server_words(server):
    # the kernel takes numbers that have no name, too; these are words that ipvsadm does not have either
    method = FORWARD_OPTIONS.get(server.forward_method) or "--forward-method=" + server.forward_method
    words = "-r %s %s -w %d" % (_literals.join_port(*server.id), method, server.weight)
    if server.upper_threshold:
        words += " -x %d" % server.upper_threshold
    if server.lower_threshold:
        words += " -y %d" % server.lower_threshold
    if server.forward_method == "tun":
        words += " --tun-type " + server.tunnel_type
        if server.tunnel_type == "gue":
            words += " --tun-port %d" % server.tunnel_port
        if server.tunnel_type != "ipip":
            words += " " + (_CHECKSUM_OPTIONS.get(server.tunnel_checksum) or "--tun-flags=" + server.tunnel_checksum)
    return words


def render_entry(entry):
    """A whole Entry as a list of lines: the service, then its servers in the order of ``server_order``."""
    head = "-a %s " % service_words(entry.service.id)
    lines = ["-A " + render_service(entry.service)]
    lines += [head + _server_words(entry.servers[ident]) for ident in sorted(entry.servers, key=_model.server_order)]
    return lines


def render_table(table):
    """A Table of whole entries as rule text in the order of ``service_order``; an empty table as the empty string."""
    lines = []
    for ident in sorted(table, key=_model.service_order):
        lines += render_entry(table[ident])
    return "".join([line + "\n" for line in lines])


def render_timeouts(timeouts):
    """Timeouts as ``--set 900 120 300``; one that is None (keep) is written 0, which means the same to ipvsadm."""
    return "--set %d %d %d" % tuple(seconds or 0 for seconds in timeouts)


def render_daemon(daemon):
    """A Daemon as ``--start-daemon master --mcast-interface eth0 --syncid 7``; a field that is None is left out."""
    words = ["--start-daemon", daemon.role]
    for field, option in DAEMON_OPTIONS:
        value = getattr(daemon, field)
        if value is not None:
            words += [option, str(value)]
    return " ".join(words)
