# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a sync daemon could start: the kernel's own steps, tried with a socket of ours that sends nothing and joins no group.

Source: start_sync_thread, make_send_sock and make_receive_sock in net/netfilter/ipvs/ip_vs_sync.c.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

_SIOCGIFFLAGS, _SIOCGIFADDR, _IFF_UP = 0x8913, 0x8915, 1
_SHOWN = 20


def check_daemon(daemon, netns):
    """Raise OptionError where the kernel would refuse to start a whole Daemon in this network namespace. Changes nothing.

    Returns a warning where the kernel would start it and it would hardly do what is wanted, otherwise None.
    """
    with _netns.inside(netns):
        try:
            index = socket.if_nametoindex(daemon.interface)
        except (OSError, ValueError) as error:  # the latter of what cannot be a name
            names = [name for _index, name in socket.if_nameindex()]
            shown = ", ".join(names[:_SHOWN]) + (" and others" if len(names) > _SHOWN else "")
            raise OptionError(
                "interface", daemon.interface, "there is no such interface in this network namespace; there are %s" % shown
            ) from error
        name = socket.if_indextoname(index)  # the option may have one of its alternative names
        version = "ipv6" if _literals.family_of(daemon.multicast_group) == _literals.IPV6 else "ipv4"
        if not os.path.isdir("/proc/sys/net/%s/conf/%s" % (version, name)):
            raise _wrong_family(daemon, version)
        try:
            with socket.socket(_literals.FAMILIES[version], socket.SOCK_DGRAM) as probe:
                if daemon.role == "master":
                    _send_to(probe, daemon, index)
                else:
                    _receive_from(probe, daemon, index)
        except OSError as error:
            raise _refused(error, daemon, version, name) from error
        if daemon.role == "master" and version == "ipv4" and not _has_ipv4(name):
            return "interface %s has no IPv4 address: the sync daemon uses an address of another interface as its source" % daemon.interface
    return None


def _send_to(probe, daemon, index):
    """What a master does: connect to the group by way of the interface. Connecting a UDP socket sends nothing."""
    if probe.family == socket.AF_INET6:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
    else:
        probe.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@8xi", index))  # struct ip_mreqn
    probe.connect((daemon.multicast_group, daemon.multicast_port))


def _receive_from(probe, daemon, index):
    """What a backup does first: take the group's port. A daemon that runs on it shares it."""
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    address = (daemon.multicast_group, daemon.multicast_port)
    probe.bind(address + (0, index) if probe.family == socket.AF_INET6 else address)


def _refused(error, daemon, version, name):
    if daemon.role == "master" and not _is_up(name):
        return OptionError("interface", daemon.interface, "a master daemon needs an interface that is up, and this one is down")
    if error.errno in (errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return _wrong_family(daemon, version)
    if error.errno == errno.EADDRINUSE:
        return OptionError("multicast_port", daemon.multicast_port, "another program uses this port: use another, or stop that program")
    return OptionError(
        "multicast_group", daemon.multicast_group, "cannot be used on interface %s: %s" % (daemon.interface, os.strerror(error.errno))
    )


def _wrong_family(daemon, version):
    name = {"ipv4": "IPv4", "ipv6": "IPv6"}[version]
    return OptionError(
        "multicast_group",
        daemon.multicast_group,
        "interface %r has no %s for multicast: use a group of the other address family, another interface, or give this one an %s address"
        % (daemon.interface, name, name),
    )


def _is_up(interface):
    return bool(struct.unpack_from("@H", _ask(_SIOCGIFFLAGS, interface), 16)[0] & _IFF_UP)


def _has_ipv4(interface):
    try:
        _ask(_SIOCGIFADDR, interface)
    except OSError:
        return False
    return True


def _ask(question, interface):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        return fcntl.ioctl(probe, question, struct.pack("16s24x", interface.encode("ascii")))  # struct ifreq
