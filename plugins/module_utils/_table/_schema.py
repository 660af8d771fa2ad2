# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IPVS generic-netlink family: commands, attributes, and how objects of ``_model`` lie in its messages. Pure.

Source: include/uapi/linux/ip_vs.h (family ``IPVS``, version 1), include/uapi/linux/netlink.h.
"""

from __future__ import annotations

import socket
import struct
from functools import lru_cache
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _settings, _wire

FAMILY = "IPVS"
VERSION = 1

CMD_NEW_SERVICE, CMD_SET_SERVICE, CMD_DEL_SERVICE, CMD_GET_SERVICE = 1, 2, 3, 4
CMD_NEW_DEST, CMD_SET_DEST, CMD_DEL_DEST, CMD_GET_DEST = 5, 6, 7, 8
CMD_NEW_DAEMON, CMD_DEL_DAEMON, CMD_GET_DAEMON = 9, 10, 11
CMD_SET_CONFIG, CMD_GET_CONFIG = 12, 13
CMD_GET_INFO = 15
CMD_ZERO, CMD_FLUSH = 16, 17

_ATTR_SERVICE, _ATTR_DEST, _ATTR_DAEMON = 1, 2, 3

_SVC_AF, _SVC_PROTOCOL, _SVC_ADDR, _SVC_PORT, _SVC_FWMARK = 1, 2, 3, 4, 5
_SVC_SCHED_NAME, _SVC_FLAGS, _SVC_TIMEOUT, _SVC_NETMASK, _SVC_STATS = 6, 7, 8, 9, 10
_SVC_PE_NAME, _SVC_STATS64 = 11, 12

_DEST_ADDR, _DEST_PORT, _DEST_FWD_METHOD, _DEST_WEIGHT, _DEST_U_THRESH, _DEST_L_THRESH = 1, 2, 3, 4, 5, 6
_DEST_ACTIVE, _DEST_INACT, _DEST_PERSIST, _DEST_STATS, _DEST_ADDR_FAMILY, _DEST_STATS64 = 7, 8, 9, 10, 11, 12
_DEST_TUN_TYPE, _DEST_TUN_PORT, _DEST_TUN_FLAGS = 13, 14, 15

_DAEMON_STATE, _DAEMON_MCAST_IFN, _DAEMON_SYNC_ID, _DAEMON_SYNC_MAXLEN = 1, 2, 3, 4
_DAEMON_GROUP, _DAEMON_GROUP6, _DAEMON_PORT, _DAEMON_TTL = 5, 6, 7, 8

_F_PERSISTENT, _F_ONE_PACKET = 0x1, 0x4
_F_SCHEDULER = {"fallback": 0x8, "port": 0x10, "flag_3": 0x20}

_FORWARD = {"nat": 0, "local": 1, "tun": 2, "dr": 3}
_FORWARD_NAMES = {number: name for name, number in _FORWARD.items()}
_FORWARD_MASK = 0x7
_TUNNEL = {"ipip": 0, "gue": 1, "gre": 2}
_TUNNEL_NAMES = {number: name for name, number in _TUNNEL.items()}
_TUNNEL_FLAGS = {"none": 0, "csum": 1, "remcsum": 2}
_TUNNEL_FLAG_NAMES = {number: name for name, number in _TUNNEL_FLAGS.items()}
_DAEMON_STATES = {"master": 1, "backup": 2}
_DAEMON_STATE_NAMES = {number: name for name, number in _DAEMON_STATES.items()}
_FLAGS = struct.Struct("=HHII")


# ---------------------------------------------------------------------------------------------------------------------
# statistics


class Statistics(NamedTuple):
    """Counters since the service or server was made or zeroed, and rates per second as the kernel estimates them."""

    connections: int = 0
    in_packets: int = 0
    out_packets: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    connections_per_second: int = 0
    in_packets_per_second: int = 0
    out_packets_per_second: int = 0
    in_bytes_per_second: int = 0
    out_bytes_per_second: int = 0


class Connections(NamedTuple):
    """Connections that a real server has now: active (established), inactive, and persistence templates."""

    active: int
    inactive: int
    persistent: int


_stats64 = _wire.Reader([(kind, "Q", 0) for kind in range(1, 11)])
_stats32 = _wire.Reader([(kind, "Q" if kind in (4, 5) else "I", 0) for kind in range(1, 11)])


def _statistics(stats64, stats32):
    """Statistics from the raw 64-bit attribute, or from the 32-bit one on a kernel before 4.1."""
    if stats64:
        return Statistics(*_stats64.read(stats64, 0, len(stats64)))
    return Statistics(*_stats32.read(stats32, 0, len(stats32)))


# ---------------------------------------------------------------------------------------------------------------------
# virtual services

_service_reader = _wire.Reader(
    [
        (_SVC_AF, "H", 0),
        (_SVC_PROTOCOL, "H", 0),
        (_SVC_ADDR, "16s", b""),
        (_SVC_PORT, "2s", b"\0\0"),
        (_SVC_FWMARK, "I", 0),
        (_SVC_SCHED_NAME, "", b""),
        (_SVC_FLAGS, "8s", bytes(8)),
        (_SVC_TIMEOUT, "I", 0),
        (_SVC_NETMASK, "4s", bytes(4)),
        (_SVC_PE_NAME, "", b""),
        (_SVC_STATS64, "", b""),
        (_SVC_STATS, "", b""),
    ]
)


def _service_id(ident):
    attributes = _wire.U16.pack(6, _SVC_AF, ident.family)
    if ident.fwmark:
        return attributes + _wire.U32.pack(8, _SVC_FWMARK, ident.fwmark)
    return (
        attributes
        + _wire.U16.pack(6, _SVC_PROTOCOL, ident.protocol)
        + _wire.address(_SVC_ADDR, ident.address)
        + _wire.port(_SVC_PORT, ident.port)
    )


@lru_cache(maxsize=64)  # the requests of a service's servers come one after the other
def pack_service_id(ident):
    """The attribute that names a service: for get, delete, zero, and in front of a server's."""
    return _wire.nested(_ATTR_SERVICE, _service_id(ident))


def pack_service(service):
    """The attribute that makes or sets a service: a whole Service."""
    ident = service.id
    flags = sum(_F_SCHEDULER[name] for name in service.scheduler_flags)
    if service.persistence_timeout:
        flags |= _F_PERSISTENT
    if service.one_packet:
        flags |= _F_ONE_PACKET
    if ident.family == socket.AF_INET6:
        mask = struct.pack("=I", int(service.persistence_netmask))
    else:
        mask = _literals.netmask_number(service.persistence_netmask).to_bytes(4, "big")
    return _wire.nested(
        _ATTR_SERVICE,
        _service_id(ident)
        + _wire.string(_SVC_SCHED_NAME, service.scheduler)
        + (_wire.string(_SVC_PE_NAME, service.persistence_engine) if service.persistence_engine else b"")
        + _FLAGS.pack(12, _SVC_FLAGS, flags, 0xFFFFFFFF)
        + _wire.U32.pack(8, _SVC_TIMEOUT, service.persistence_timeout)
        + _wire.ATTR.pack(8, _SVC_NETMASK)
        + mask,
    )


def unpack_service(message):
    """(Service, Statistics) from the kernel's description of a service."""
    start, end = _wire.nest(message, _ATTR_SERVICE)
    (family, protocol, address, port, fwmark, scheduler, flags, timeout, mask, engine, stats64, stats32) = _service_reader.read(
        message.data, start, end
    )
    flags = struct.unpack("=II", flags)[0]
    ipv6 = family == socket.AF_INET6
    if fwmark:
        ident = _model.ServiceId(family, 0, "", 0, fwmark)
    else:
        text = socket.inet_ntop(family, address if ipv6 else address[:4])
        ident = _model.ServiceId(family, protocol, text, int.from_bytes(port, "big"), 0)
    netmask = _literals.host_mask(family)
    if not flags & _F_PERSISTENT:
        timeout = 0
    elif ipv6:
        netmask = str(struct.unpack("=I", mask)[0])
    else:
        netmask = _literals.netmask_text(int.from_bytes(mask, "big"))
    service = _model.Service(
        ident,
        _name(scheduler),
        tuple(name for name in _model.SCHEDULER_FLAGS if flags & _F_SCHEDULER[name]),
        timeout,
        netmask,
        _name(engine),
        bool(flags & _F_ONE_PACKET),
    )
    return service, _statistics(stats64, stats32)


def _name(raw):
    return raw.split(b"\0", 1)[0].decode("ascii", "replace")


# ---------------------------------------------------------------------------------------------------------------------
# real servers

_server_reader = _wire.Reader(
    [
        (_DEST_ADDR, "16s", b""),
        (_DEST_PORT, "2s", b"\0\0"),
        (_DEST_FWD_METHOD, "I", 0),
        (_DEST_WEIGHT, "i", 0),
        (_DEST_U_THRESH, "I", 0),
        (_DEST_L_THRESH, "I", 0),
        (_DEST_TUN_TYPE, "B", 0),
        (_DEST_TUN_PORT, "2s", b"\0\0"),
        (_DEST_TUN_FLAGS, "H", 0),
        (_DEST_ADDR_FAMILY, "H", 0),
        (_DEST_ACTIVE, "I", 0),
        (_DEST_INACT, "I", 0),
        (_DEST_PERSIST, "I", 0),
        (_DEST_STATS64, "", b""),
        (_DEST_STATS, "", b""),
    ]
)


def _server_id(ident):
    return (
        _wire.U16.pack(6, _DEST_ADDR_FAMILY, _literals.family_of(ident.address))
        + _wire.address(_DEST_ADDR, ident.address)
        + _wire.port(_DEST_PORT, ident.port)
    )


def pack_server_id(ident):
    """The attribute that names a real server, for delete."""
    return _wire.nested(_ATTR_DEST, _server_id(ident))


def _number(numbers, name):
    """The number of a name. One of the kernel's that has no name is read as its digits, and goes back as it came."""
    return numbers[name] if name in numbers else int(name)


def pack_server(server):
    """The attribute that makes or sets a real server: a whole Server."""
    attributes = (
        _server_id(server.id)
        + _wire.U32.pack(8, _DEST_FWD_METHOD, _number(_FORWARD, server.forward_method))
        + _wire.U32.pack(8, _DEST_WEIGHT, server.weight)
        + _wire.U32.pack(8, _DEST_U_THRESH, server.upper_threshold)
        + _wire.U32.pack(8, _DEST_L_THRESH, server.lower_threshold)
    )
    if server.forward_method == "tun":
        attributes += (
            _wire.U8.pack(5, _DEST_TUN_TYPE, _number(_TUNNEL, server.tunnel_type))
            + _wire.port(_DEST_TUN_PORT, server.tunnel_port)
            + _wire.U16.pack(6, _DEST_TUN_FLAGS, _number(_TUNNEL_FLAGS, server.tunnel_checksum))
        )
    return _wire.nested(_ATTR_DEST, attributes)


_server_row = _server_reader.read
_ServerId, _Server, _inet_ntop, _NO_TUNNEL = _model.ServerId, _model.Server, socket.inet_ntop, ("ipip", 0, "none")


@lru_cache(maxsize=4096)
def _server_ident(family, address, port):
    """The ServerId of raw bytes; a fleet's real servers serve many virtual services, so most are seen again."""
    return _ServerId(_inet_ntop(family, address if family == socket.AF_INET6 else address[:4]), int.from_bytes(port, "big"))


def _unpack_row(message, family):
    """(Server, the values that tell of its use) from the kernel's description of a server of a service of ``family``."""
    start, end = _wire.nest(message, _ATTR_DEST)
    row = _server_row(message.data, start, end)
    address, port, forward, weight, upper, lower, tunnel, tunnel_port, tunnel_flags, own_family = row[:10]
    family = own_family or family  # kernels before 3.18 do not tell
    ident = _server_ident(family, address, port)
    method = _FORWARD_NAMES.get(forward & _FORWARD_MASK, str(forward))
    if method != "tun":
        return _Server(ident, method, weight, upper, lower, *_NO_TUNNEL), row
    return (
        _Server(
            ident,
            method,
            weight,
            upper,
            lower,
            _TUNNEL_NAMES.get(tunnel, str(tunnel)),
            int.from_bytes(tunnel_port, "big"),
            _TUNNEL_FLAG_NAMES.get(tunnel_flags, str(tunnel_flags)),
        ),
        row,
    )


def unpack_server(message, family):
    """A whole Server from the kernel's description of a real server. ``family``: that of its service."""
    return _unpack_row(message, family)[0]


def unpack_server_use(message, family):
    """(Server, Connections, Statistics) from the kernel's description of a real server."""
    server, row = _unpack_row(message, family)
    return server, Connections(*row[10:13]), _statistics(row[13], row[14])


# ---------------------------------------------------------------------------------------------------------------------
# timeouts, sync daemons, info

_timeouts_reader = _wire.Reader([(4, "I", 0), (5, "I", 0), (6, "I", 0)])
_daemon_reader = _wire.Reader(
    [
        (_DAEMON_STATE, "I", 0),
        (_DAEMON_MCAST_IFN, "", b""),
        (_DAEMON_SYNC_ID, "I", 0),
        (_DAEMON_SYNC_MAXLEN, "H", 0),
        (_DAEMON_GROUP, "4s", b""),
        (_DAEMON_GROUP6, "16s", b""),
        (_DAEMON_PORT, "H", 0),
        (_DAEMON_TTL, "B", 0),
    ]
)
_info_reader = _wire.Reader([(1, "I", 0), (2, "I", 0)])


def pack_timeouts(timeouts):
    """The attributes that set the timeouts; those that are None are kept."""
    return b"".join(_wire.U32.pack(8, kind, value) for kind, value in zip((4, 5, 6), timeouts) if value is not None)


def unpack_timeouts(message):
    """The Timeouts in the answer to CMD_GET_CONFIG."""
    return _settings.Timeouts(*_timeouts_reader.read(message.data, message.start, message.end))


def pack_daemon_role(role):
    """The attribute that names a sync daemon, for delete."""
    return _wire.nested(_ATTR_DAEMON, _wire.U32.pack(8, _DAEMON_STATE, _DAEMON_STATES[role]))


def pack_daemon(daemon):
    """The attribute that starts a sync daemon. Fields that are None are left to the kernel."""
    attributes = (
        _wire.U32.pack(8, _DAEMON_STATE, _DAEMON_STATES[daemon.role])
        + _wire.string(_DAEMON_MCAST_IFN, daemon.interface)
        + _wire.U32.pack(8, _DAEMON_SYNC_ID, daemon.sync_id or 0)
    )
    if daemon.max_length is not None:
        attributes += _wire.U16.pack(6, _DAEMON_SYNC_MAXLEN, daemon.max_length)
    if daemon.multicast_group is not None:
        raw = socket.inet_pton(_literals.family_of(daemon.multicast_group), daemon.multicast_group)
        attributes += _wire.ATTR.pack(4 + len(raw), _DAEMON_GROUP if len(raw) == 4 else _DAEMON_GROUP6) + raw
    if daemon.multicast_port is not None:
        attributes += _wire.U16.pack(6, _DAEMON_PORT, daemon.multicast_port)
    if daemon.multicast_ttl is not None:
        attributes += _wire.U8.pack(5, _DAEMON_TTL, daemon.multicast_ttl)
    return _wire.nested(_ATTR_DAEMON, attributes)


def unpack_daemon(message):
    """The Daemon in an answer to CMD_GET_DAEMON."""
    start, end = _wire.nest(message, _ATTR_DAEMON)
    state, interface, sync_id, length, group, group6, port, ttl = _daemon_reader.read(message.data, start, end)
    if group6:
        group = socket.inet_ntop(socket.AF_INET6, group6)
    else:
        group = socket.inet_ntoa(group) if group else None
    return _settings.Daemon(_DAEMON_STATE_NAMES.get(state, str(state)), _name(interface), sync_id, length, group, port, ttl)


def unpack_info(message):
    """(version as text, size of the connection table) in the answer to CMD_GET_INFO."""
    version, size = _info_reader.read(message.data, message.start, message.end)
    return "%d.%d.%d" % (version >> 16 & 255, version >> 8 & 255, version & 255), size
