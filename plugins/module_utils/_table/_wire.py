# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Generic-netlink messages and attributes as bytes, of any family. Pure. Source: include/uapi/linux/netlink.h, genetlink.h."""

from __future__ import annotations

import socket
import struct
from operator import itemgetter
from typing import NamedTuple

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals

NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR = 0x1, 0x4, 0x300, 0x10
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
_HEADER = struct.Struct("=IHHIIBBH")  # struct nlmsghdr, struct genlmsghdr
_NLMSGHDR = struct.Struct("=IHHII")
_ERRNO = struct.Struct("=i")
ATTR = struct.Struct("=HH")
U8 = struct.Struct("=HHB3x")
U16 = struct.Struct("=HHH2x")
_BE16 = struct.Struct("=HH2s2x")
U32 = struct.Struct("=HHI")
_ADDR = struct.Struct("=HH16s")


class Message(NamedTuple):
    """A netlink message within ``data``: header fields, and where its generic-netlink attributes lie."""

    type: int
    flags: int
    sequence: int
    data: bytes
    start: int
    end: int


def pack_message(family, version, command, sequence, flags, attributes=b""):
    """A request to the netlink family number ``family`` of this version, ready to send."""
    return _HEADER.pack(20 + len(attributes), family, flags | NLM_F_REQUEST, sequence, 0, command, version, 0) + attributes


def pack_noop(sequence):
    """A message that does nothing and is answered."""
    return _NLMSGHDR.pack(16, NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, sequence, 0)


def split_messages(data):
    """The messages in one datagram, as a list of Message. Raises ValueError where the datagram was cut short."""
    messages, position = [], 0
    while position + 16 <= len(data):
        length, kind, flags, sequence, _port = _NLMSGHDR.unpack_from(data, position)
        if length < 16 or position + length > len(data):
            raise ValueError("a netlink message of %d bytes in a datagram that has %d left" % (length, len(data) - position))
        payload = position + (16 if kind in (NLMSG_ERROR, NLMSG_DONE) else 20)
        messages.append(Message(kind, flags, sequence, data, payload, position + length))
        position += (length + 3) & ~3
    return messages


def error_number(message):
    """The errno that an NLMSG_ERROR or NLMSG_DONE message carries; 0 for success."""
    if message.end - message.start < 4:
        return 0
    return -_ERRNO.unpack_from(message.data, message.start)[0]


def nested(kind, attributes):
    return ATTR.pack(4 + len(attributes), kind | 0x8000) + attributes


def string(kind, text):
    raw = text.encode("ascii") + b"\0"
    return ATTR.pack(4 + len(raw), kind) + raw + b"\0" * (-len(raw) % 4)


def address(kind, text):
    return _ADDR.pack(20, kind, socket.inet_pton(_literals.family_of(text), text))


def port(kind, number):
    return _BE16.pack(6, kind, number.to_bytes(2, "big"))


class Reader:
    """Reads a row of attributes into a tuple.

    ``fields``: for each value wanted, its attribute number, struct code (empty: the raw bytes) and the value if it isn't there.
    The rows of one dump nearly all have one layout, so a layout is worked out once and then read by a single unpack; the
    attribute headers are part of what is unpacked, and compared, so a row of another layout is noticed and worked out anew.
    """

    def __init__(self, fields):
        self._fields = fields
        self._codes = {kind: code for kind, code, _missing in fields if code}
        self._missing = tuple(missing for _kind, _code, missing in fields)
        self._layouts = {}

    def read(self, data, start, end):
        layout = self._layouts.get(end - start)
        if layout is not None:
            unpack, headers, pick, get = layout
            values = unpack(data, start)
            if pick(values) == headers:
                return get(values + self._missing)
        return self._learn(data, start, end)

    def _learn(self, data, start, end):
        code, position, index, headers, pick, at = "=", start, 0, [], [], {}
        while position + 4 <= end:
            length, kind = ATTR.unpack_from(data, position)
            if length < 4 or position + length > end:
                raise ValueError("an attribute of %d bytes where %d are left" % (length, end - position))
            value = self._codes.get(kind & 0x3FFF, "%ds" % (length - 4))
            if struct.calcsize("=" + value) != length - 4:
                raise ValueError("attribute %d has %d bytes" % (kind & 0x3FFF, length - 4))
            code += "HH%s%dx" % (value, min(-length % 4, end - position - length))
            headers += [length, kind]
            pick += [index, index + 1]
            at[kind & 0x3FFF] = index + 2
            index += 3
            position += (length + 3) & ~3
        if not at:
            return self._missing
        get = itemgetter(*[at.get(kind, index + n) for n, (kind, _code, _missing) in enumerate(self._fields)])
        layout = self._layouts[end - start] = (struct.Struct(code).unpack_from, tuple(headers), itemgetter(*pick), get)
        return get(layout[0](data, start) + self._missing)


def nest(message, kind):
    """Where the contents of the attribute ``kind`` at the message's top lie: (start, end)."""
    position = message.start
    while position + 4 <= message.end:
        length, found = ATTR.unpack_from(message.data, position)
        if found & 0x3FFF == kind:
            return position + 4, min(position + length, message.end)
        position += max((length + 3) & ~3, 4)
    raise ValueError("an answer without attribute %d" % kind)
