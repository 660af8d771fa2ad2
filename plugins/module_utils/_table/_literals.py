# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Addresses and netmasks as text: the one spelling of each, and what can be no host's. Pure."""

from __future__ import annotations

import socket

from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

IPV4, IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
FAMILIES = {"ipv4": IPV4, "ipv6": IPV6}
MAX_PORT = 65535


def join_port(address, port):
    """``address:port``, IPv6 in brackets."""
    return "%s:%d" % ("[%s]" % address if ":" in address else address, port)


def family_of(address):
    """The address family number of a normalised address."""
    return IPV6 if ":" in address else IPV4


def normal_address(text, option="address"):
    """The one spelling of an IP literal that we compare and print. Raises OptionError for anything else."""
    for family in (IPV4, IPV6):
        try:
            return socket.inet_ntop(family, socket.inet_pton(family, text))
        except (OSError, ValueError, TypeError):
            continue
    raise OptionError(
        option, text, "give an IPv4 or IPv6 address as a literal, such as 198.51.100.7 or 2001:db8::7; host names are not resolved"
    )


def check_host(address, option, what):
    """Raise OptionError for a normalised address that is never one host's.

    These are what ip_vs_new_dest in ip_vs_ctl.c refuses whatever this machine's own addresses are, and the kernel takes no
    packet for such a virtual address as its own.
    """
    kind = None
    if ":" not in address:
        first = int(address.split(".", 1)[0])
        if first == 0:
            kind = "an unspecified"
        elif 224 <= first <= 239:
            kind = "a multicast"
        elif address == "255.255.255.255":
            kind = "the broadcast"
    elif address == "::":
        kind = "the unspecified"
    elif address.startswith("ff") and address.find(":") == 4:
        kind = "a multicast"
    elif address.startswith("::ffff:") and "." in address:
        kind = "an IPv4-mapped"
    if kind:
        raise OptionError(option, address, "%s needs the address of one host; this is %s address" % (what, kind))


def host_mask(family):
    """The netmask that means "each client by itself"."""
    return "128" if family == IPV6 else "32"


def normal_netmask(text, family, option="persistence_netmask"):
    """A netmask (prefix length, with or without a slash, or dotted for IPv4) in the form that _model.Service holds."""
    lowest, bits = (1, 128) if family == IPV6 else (0, 32)  # the kernel takes 0 (all clients count as one) for IPv4 only
    word = str(text).lstrip("/")
    if word.isdecimal():
        if lowest <= int(word) <= bits:
            return str(int(word))
    elif family == IPV4:
        try:
            return netmask_text(int.from_bytes(socket.inet_pton(family, word), "big"))
        except (OSError, ValueError):  # the latter for a null character
            pass
    raise OptionError(
        option,
        text,
        "give a prefix length from %d to %d%s" % (lowest, bits, ", or a dotted mask such as 255.255.255.0" if bits == 32 else ""),
    )


def netmask_text(mask):
    """An IPv4 netmask, given as a number, as its prefix length if it has one, dotted otherwise."""
    ones = bin(mask).count("1")
    if mask == (0xFFFFFFFF << (32 - ones)) & 0xFFFFFFFF:
        return str(ones)
    return socket.inet_ntoa(mask.to_bytes(4, "big"))


def netmask_number(text):
    """An IPv4 netmask in the form that _model.Service holds, as a number."""
    if "." in text:
        return int.from_bytes(socket.inet_aton(text), "big")
    return (0xFFFFFFFF << (32 - int(text))) & 0xFFFFFFFF


def dotted_netmask(text):
    """An IPv4 netmask in the form that _model.Service holds, dotted."""
    return socket.inet_ntoa(netmask_number(text).to_bytes(4, "big"))
