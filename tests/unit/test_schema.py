# SPDX-License-Identifier: GPL-3.0-or-later
"""The messages of the netlink family: what is packed is what the kernel's header says, and what it sends is understood."""

from __future__ import annotations

import errno
import socket
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _schema, _settings, _wire
from tests import rule_tables

from . import strategies


def message(attributes, kind=30, flags=2, sequence=5):
    """The one message of a datagram that holds these attributes."""
    data = struct.pack("=IHHIIBBH", 20 + len(attributes), kind, flags, sequence, 0, 4, 1, 0) + attributes
    (found,) = _wire.split_messages(data)
    return found


def attribute(kind, value):
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def attributes_of(data):
    """{kind: value} of a row of attributes, read in the plainest way there is."""
    found = {}
    while data:
        length, kind = struct.unpack_from("=HH", data)
        assert kind & 0x3FFF not in found and 4 <= length <= len(data)
        found[kind & 0x3FFF] = data[4:length]
        data = data[(length + 3) & ~3 :]
    return found


def nested(data):
    """The one attribute in ``data``: (its number, {kind: value} of what is within)."""
    [(kind, inner)] = list(attributes_of(data).items())
    return kind, attributes_of(inner)


@pytest.mark.parametrize(("role", "state"), [("master", 1), ("backup", 2)])
def test_the_role_of_a_sync_daemon(role, state):
    assert nested(_schema.pack_daemon_role(role)) == (3, {1: struct.pack("=I", state)})


@given(strategies.services)
def test_a_service_there_and_back(service):
    assert _schema.unpack_service(message(_schema.pack_service(service)))[0] == service


@given(strategies.service_ids.flatmap(lambda ident: st.tuples(st.just(ident), rule_tables.servers(ident))))
def test_a_server_there_and_back(case):
    ident, server = case
    assert _schema.unpack_server(message(_schema.pack_server(server)), ident.family) == server


@given(rule_tables.daemons("master", st.just("eth0")))
def test_a_daemon_there_and_back(daemon):
    unpacked = _schema.unpack_daemon(message(_schema.pack_daemon(daemon)))
    assert unpacked == daemon._replace(max_length=daemon.max_length or 0)


def test_every_attribute_of_a_service():
    service = _model.Service(
        _model.ServiceId(_literals.IPV4, 17, "203.0.113.80", 53, 0), "sh", ("fallback", "flag_3"), 360, "24", "sip", True
    )
    kind, found = nested(_schema.pack_service(service))
    assert kind == 1
    assert found == {
        1: struct.pack("=H", socket.AF_INET),
        2: struct.pack("=H", 17),
        3: socket.inet_aton("203.0.113.80") + bytes(12),
        4: b"\x00\x35",
        6: b"sh\0",
        7: struct.pack("=II", 0x1 | 0x4 | 0x8 | 0x20, 0xFFFFFFFF),
        8: struct.pack("=I", 360),
        9: b"\xff\xff\xff\x00",
        11: b"sip\0",
    }


def test_a_service_by_mark_of_ipv6():
    service = _model.overlay_service(_model.Service(_model.ServiceId(_literals.IPV6, 0, "", 0, 4294967295)))
    kind, found = nested(_schema.pack_service(service))
    assert found[1] == struct.pack("=H", socket.AF_INET6) and found[5] == b"\xff" * 4
    assert found[9] == struct.pack("=I", 128) and found[8] == bytes(4)
    assert not set(found) & {2, 3, 4, 11} and found[7] == struct.pack("=II", 0, 0xFFFFFFFF)


def test_every_attribute_of_a_server():
    server = _model.Server(_model.ServerId("2001:db8::11", 8080), "tun", 65536, 9, 3, "gue", 6080, "remcsum")
    kind, found = nested(_schema.pack_server(server))
    assert kind == 2
    assert found == {
        1: socket.inet_pton(socket.AF_INET6, "2001:db8::11"),
        2: b"\x1f\x90",
        3: struct.pack("=I", 2),
        4: struct.pack("=I", 65536),
        5: struct.pack("=I", 9),
        6: struct.pack("=I", 3),
        11: struct.pack("=H", socket.AF_INET6),
        13: b"\x01",
        14: b"\x17\xc0",
        15: struct.pack("=H", 2),
    }
    _kind, plain = nested(_schema.pack_server(server._replace(forward_method="dr")))
    assert not set(plain) & {13, 14, 15}


def test_a_number_of_the_kernels_that_has_no_name_goes_back_as_it_came():
    """A server of another program, both of whose checksum flags are set, gets another weight and nothing else."""
    server = _model.Server(_model.ServerId("198.51.100.11", 80), "tun", 1, 0, 0, "9", 6080, "3")
    packed = _schema.pack_server(server)
    assert nested(packed)[1][13] == b"\x09" and nested(packed)[1][15] == struct.pack("=H", 3)
    assert _schema.unpack_server(message(packed), _literals.IPV4) == server
    other = _schema.pack_server(server._replace(forward_method="4"))
    assert nested(other)[1][3] == struct.pack("=I", 4) and _schema.unpack_server(message(other), _literals.IPV4).forward_method == "4"


def test_every_attribute_of_a_daemon():
    daemon = _settings.Daemon("backup", "eth0", 7, 1472, "ff02::81", 8849, 3)
    assert nested(_schema.pack_daemon(daemon)) == (
        3,
        {
            1: struct.pack("=I", 2),
            2: b"eth0\0",
            3: struct.pack("=I", 7),
            4: struct.pack("=H", 1472),
            6: socket.inet_pton(socket.AF_INET6, "ff02::81"),
            7: struct.pack("=H", 8849),
            8: b"\x03",
        },
    )


def test_timeouts():
    assert attributes_of(_schema.pack_timeouts(_settings.Timeouts(900, None, 300))) == {4: struct.pack("=I", 900), 6: struct.pack("=I", 300)}
    assert _schema.unpack_timeouts(message(_schema.pack_timeouts(_settings.Timeouts(1, 2, 3)))) == (1, 2, 3)


def test_the_version():
    assert _schema.unpack_info(message(attribute(1, struct.pack("=I", 0x010201)) + attribute(2, struct.pack("=I", 4096)))) == ("1.2.1", 4096)


STATS64 = b"".join(attribute(kind, struct.pack("=Q", 2**40 + kind)) for kind in range(1, 11))
STATS32 = b"".join(attribute(kind, struct.pack("=Q" if kind in (4, 5) else "=I", kind)) for kind in range(1, 11))


def test_statistics_of_64_bits_and_of_older_kernels():
    service = _model.overlay_service(_model.Service(_model.ServiceId(_literals.IPV4, 0, "", 0, 7)))
    _kind, parts = 1, _schema.pack_service(service)[4:]
    both = message(attribute(1, parts + attribute(10, STATS32) + attribute(12, STATS64)))
    assert _schema.unpack_service(both) == (service, tuple(2**40 + kind for kind in range(1, 11)))
    old = message(attribute(1, parts + attribute(10, STATS32)))
    assert _schema.unpack_service(old) == (service, tuple(range(1, 11)))


def test_use_of_a_server():
    server = _model.overlay_server(_model.Server(_model.ServerId("198.51.100.1", 80)))
    parts = _schema.pack_server(server)[4:] + b"".join(attribute(kind, struct.pack("=I", kind)) for kind in (7, 8, 9))
    unpacked, connections, counters = _schema.unpack_server_use(message(attribute(2, parts + attribute(12, STATS64))), _literals.IPV4)
    assert (unpacked, connections, counters.connections) == (server, (7, 8, 9), 2**40 + 1)


def test_a_kernel_that_does_not_tell_a_servers_family():
    inner = attribute(1, socket.inet_aton("198.51.100.1") + bytes(12)) + attribute(2, b"\x00\x50") + attribute(3, bytes(4))
    server = _schema.unpack_server(message(attribute(2, inner)), _literals.IPV4)
    assert server.id == ("198.51.100.1", 80) and server.forward_method == "nat"


@given(st.lists(st.sampled_from([4, 5, 6, 77]), unique=True))
def test_attributes_in_any_order_and_unknown_ones(kinds):
    """Rows of one length and different layouts, read by one and the same reader, which remembers layouts."""
    row = b"".join(attribute(kind, struct.pack("=I", kind * 10)) for kind in kinds)
    expected = tuple(kind * 10 if kind in kinds else 0 for kind in (4, 5, 6))
    assert _schema.unpack_timeouts(message(row)) == expected


@given(st.binary(max_size=200))
def test_an_odd_datagram_is_read_or_refused(data):
    try:
        for found in _wire.split_messages(data):
            assert found.start <= found.end + 4 and found.end <= len(data)
            _wire.error_number(found)
    except ValueError:
        pass


@given(st.binary(max_size=80))
def test_odd_attributes_are_read_or_refused(row):
    """With no error but those that our callers know."""
    for kind, unpack in ((2, lambda found: _schema.unpack_server(found, _literals.IPV4)), (1, _schema.unpack_service), (3, _schema.unpack_daemon)):
        try:
            unpack(message(attribute(kind, row)))
        except (ValueError, OSError):
            pass


def test_what_stands_before_an_object_is_passed_over():
    """Attributes of other numbers, with padding, and one whose length cannot be."""
    server = _model.overlay_server(_model.Server(_model.ServerId("198.51.100.1", 80)))
    packed = _schema.pack_server(server)
    padded = [attribute(77, value) for value in (b"", b"x", b"1234", b"12345")]
    for before in (*padded, struct.pack("=HH", 0, 77), struct.pack("=HH", 3, 77)):
        assert _schema.unpack_server(message(before + packed), _literals.IPV4) == server
    for without in (b"", attribute(77, b"x"), struct.pack("=HH", 0, 77)):
        with pytest.raises(ValueError, match="without attribute 2"):
            _schema.unpack_server(message(without), _literals.IPV4)


LENGTHS = {1: 16, 2: 2, 3: 4, 4: 4, 5: 4, 6: 4, 7: 4, 8: 4, 9: 4, 11: 2, 13: 1, 14: 2, 15: 2}
"""Of a server's attributes, those that have one length."""


@given(st.data(), st.permutations(list(LENGTHS)))
def test_a_server_is_what_its_attributes_say_or_refused(data, kinds):
    """Never a wrong value: each attribute has any bytes, in any order; some are left out, and now and then one has another length."""
    kinds = [kind for kind in kinds if kind in (1, 2, 3) or data.draw(st.booleans())]
    row = {kind: data.draw(st.binary(min_size=LENGTHS[kind], max_size=LENGTHS[kind])) for kind in kinds}
    row[3] = struct.pack("=I", data.draw(st.integers(0, 3)))
    if 11 in row:
        row[11] = struct.pack("=H", _literals.IPV6)
    wrong = data.draw(st.none() | st.sampled_from(kinds))
    if wrong:
        row[wrong] = data.draw(st.binary(max_size=20).filter(lambda value: len(value) != LENGTHS[wrong]))
    whole = message(attribute(2, b"".join(attribute(kind, value) for kind, value in row.items())))
    if wrong:
        with pytest.raises(ValueError, match="attribute %d has %d bytes" % (wrong, len(row[wrong]))):
            _schema.unpack_server(whole, _literals.IPV4)
        return
    server, use, _counters = _schema.unpack_server_use(whole, _literals.IPV4)

    def number(kind):
        return int.from_bytes(row.get(kind, b""), sys.byteorder)

    address = socket.inet_ntop(_literals.IPV6, row[1]) if 11 in row else socket.inet_ntop(_literals.IPV4, row[1][:4])
    method = ("nat", "local", "tun", "dr")[number(3)]
    weight = int.from_bytes(row.get(4, b""), sys.byteorder, signed=True)
    assert server[:5] == (_model.ServerId(address, int.from_bytes(row[2], "big")), method, weight, number(5), number(6))
    tunnel = (
        {0: "ipip", 1: "gue", 2: "gre"}.get(number(13), str(number(13))),
        int.from_bytes(row.get(14, b""), "big"),
        {0: "none", 1: "csum", 2: "remcsum"}.get(number(15), str(number(15))),
    )
    assert server[5:] == (tunnel if method == "tun" else ("ipip", 0, "none"))
    assert use == (number(7), number(8), number(9))


def test_a_datagram_that_was_cut_short():
    whole = struct.pack("=IHHIIBBH", 28, 30, 2, 5, 0, 4, 1, 0) + bytes(8)
    assert len(_wire.split_messages(whole + whole)) == 2
    for cut in (1, 8, 11):
        with pytest.raises(ValueError, match="left"):
            _wire.split_messages(whole + whole[:-cut])


def test_error_numbers():
    def answer(kind, payload):
        (found,) = _wire.split_messages(struct.pack("=IHHII", 16 + len(payload), kind, 0, 5, 0) + payload)
        return _wire.error_number(found)

    assert answer(_wire.NLMSG_ERROR, struct.pack("=i", -errno.ESRCH) + bytes(16)) == errno.ESRCH
    assert answer(_wire.NLMSG_ERROR, bytes(20)) == 0
    assert answer(_wire.NLMSG_DONE, bytes(4)) == 0
    assert answer(_wire.NLMSG_DONE, struct.pack("=i", -errno.EINTR)) == errno.EINTR
    assert answer(_wire.NLMSG_DONE, b"") == 0


def test_what_a_service_without_persistence_says_of_it_does_not_count():
    """The kernel keeps the netmask, and older ones the timeout."""
    for family, mask in ((_literals.IPV4, b"\xff\xff\xff\x00"), (_literals.IPV6, struct.pack("=I", 64))):
        service = _model.overlay_service(_model.Service(_model.ServiceId(family, 0, "", 0, 7)))
        kept = attributes_of(_schema.pack_service(service)[4:])
        kept.update({7: struct.pack("=II", 0, 0xFFFFFFFF), 8: struct.pack("=I", 360), 9: mask})
        row = b"".join(attribute(kind, value) for kind, value in kept.items())
        assert _schema.unpack_service(message(attribute(1, row + attribute(12, STATS64))))[0] == service


def test_a_daemon_of_which_the_kernel_says_little():
    row = attribute(1, struct.pack("=I", 1)) + attribute(2, b"eth0\0") + attribute(3, struct.pack("=I", 7))
    daemon = _schema.unpack_daemon(message(attribute(3, row)))
    assert (daemon.role, daemon.interface, daemon.sync_id, daemon.multicast_group) == ("master", "eth0", 7, None)


def test_of_a_daemon_only_what_is_given_is_sent():
    daemon = _settings.Daemon("backup", "eth0", None, None, None, None, None)
    assert nested(_schema.pack_daemon(daemon)) == (3, {1: struct.pack("=I", 2), 2: b"eth0\0", 3: bytes(4)})
