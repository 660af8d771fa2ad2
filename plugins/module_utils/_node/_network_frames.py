# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The frames that tell neighbors which machine has an address. No I/O."""

from __future__ import annotations

import socket
import struct


def gratuitous_arp(mac, address):
    """RFC 5227: the frames of an announcement, as a request and as a reply, since some neighbors listen to one of them alone."""
    packed = socket.inet_aton(address)
    frames = []
    for operation, target in ((1, bytes(6)), (2, mac)):
        arp = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation) + mac + packed + target + packed
        frames.append(b"\xff" * 6 + mac + b"\x08\x06" + arp)
    return frames


def neighbor_advertisement(mac, address, router):
    """RFC 4861, 7.2.6: the frame of an unsolicited advertisement to all nodes. router: whether the interface forwards."""
    source, everybody = [socket.inet_pton(socket.AF_INET6, each) for each in (address, "ff02::1")]
    body = struct.pack("!BBHI", 136, 0, 0, 0x20000000 | (0x80000000 if router else 0)) + source + b"\x02\x01" + mac
    checksum = _internet_checksum(source + everybody + struct.pack("!II", len(body), socket.IPPROTO_ICMPV6) + body)
    body = body[:2] + struct.pack("!H", checksum) + body[4:]
    header = struct.pack("!IHBB", 6 << 28, len(body), socket.IPPROTO_ICMPV6, 255) + source + everybody
    return [b"\x33\x33\x00\x00\x00\x01" + mac + b"\x86\xdd" + header + body]


def _internet_checksum(octets):
    total = sum(struct.unpack("!%dH" % (len(octets) // 2), octets))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
