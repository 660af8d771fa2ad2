# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel layer reads, over a fake socket: the table, connections and counters, settings. The real one is in tests/integration."""

from __future__ import annotations

import errno
import struct

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _netlink, _schema, _settings, _wire

from .netlink_socket import FAMILY, SERVERS, SERVICE, done, error, kernel, row


def test_services_that_are_not_there_are_left_out():
    idents = [_model.ServiceId(_literals.IPV4, 0, "", 0, mark) for mark in (1, 2)]
    made = kernel([error(errno.ESRCH)], [row(2)])
    assert [service.id.fwmark for service, _statistics in made._services(idents)] == [2]
    with pytest.raises(_netlink.KernelError, match=r"read service fwmark 1: the kernel answered EPERM"):
        kernel([error(errno.EPERM)])._services(idents)


def server_row(server, active=0):
    """One of a dump, with its connections."""
    use = b"".join(struct.pack("=HHI", 8, kind, number) for kind, number in ((7, active), (8, 0), (9, 0)))
    packed = _schema.pack_server(server)
    length, kind = struct.unpack_from("=HH", packed)
    packed = struct.pack("=HH", length + len(use), kind) + packed[4:] + use

    def answer(numbers):
        return struct.pack("=IHHIIBBH", 20 + len(packed), FAMILY, 2, numbers[-1], 0, 1, 1, 0) + packed

    return answer


def servers_dump():
    """The kernel lists the newest first."""
    return [server_row(SERVERS[1], 4), server_row(SERVERS[0], 3), done()]


def test_the_table_with_its_servers_in_the_order_in_which_they_came():
    made = kernel([row(1), done()], servers_dump())
    table = made.read()
    assert list(table) == [SERVICE] and list(table[SERVICE].servers.values()) == SERVERS
    assert [requests[0].flags & _wire.NLM_F_DUMP for requests in made._socket.sent] == [_wire.NLM_F_DUMP] * 2
    found = kernel([row(1)], servers_dump()).read([SERVICE])
    assert list(found.values()) == [table[SERVICE]]


def test_connections_and_counters():
    counters, servers = kernel([row(1), done()], servers_dump()).statistics()[SERVICE]
    assert counters == _schema.Statistics()
    assert {ident.address: connections.active for ident, (connections, _counters) in servers.items()} == {"198.51.100.11": 3, "198.51.100.12": 4}
    uses = kernel(servers_dump(), [error(errno.ESRCH)]).uses
    with pytest.raises(_netlink.KernelError, match="ESRCH"):
        uses([SERVICE, SERVICE._replace(fwmark=2)])
    found = kernel(servers_dump(), [done()]).uses([SERVICE, SERVICE._replace(fwmark=2)])
    assert [use[0] for use in found[SERVICE].values()] == SERVERS and found[SERVICE._replace(fwmark=2)] == {}
    assert [use[1].active for use in found[SERVICE].values()] == [3, 4]
    assert kernel(servers_dump()).connections(SERVICE, SERVERS[1].id) == (SERVERS[1], (4, 0, 0))
    assert kernel(servers_dump()).connections(SERVICE, SERVERS[1].id._replace(port=1)) is None


def answering(attributes):
    return lambda numbers: struct.pack("=IHHIIBBH", 20 + len(attributes), FAMILY, 2, numbers[-1], 0, 1, 1, 0) + attributes


def test_settings_of_the_kernel():
    times = _settings.Timeouts(900, 120, 300)
    assert kernel([answering(_schema.pack_timeouts(times))]).timeouts() == times
    assert kernel([answering(struct.pack("=HHIHHI", 8, 1, 0x010201, 8, 2, 4096))]).info() == ("1.2.1", 4096)
    daemon = _settings.Daemon("backup", "eth0", 7, 1472, "224.0.0.81", 8848, 1)
    assert kernel([answering(_schema.pack_daemon(daemon)), done()]).daemons() == {"backup": daemon}


def test_an_attribute_that_is_longer_than_its_message():
    data = bytes(8) + struct.pack("=HHI", 99, 1, 0)
    with pytest.raises(ValueError, match="an attribute of 99 bytes where 8 are left"):
        _wire.Reader([(1, "I", 0)]).read(data, 8, 16)


def test_an_answer_of_a_known_form_is_not_worked_out_again(monkeypatch):
    reader = _wire.Reader([(1, "I", 0), (2, "H", 0)])
    data = b"".join(struct.pack("=HHIHHHH", 8, 1, number, 6, 2, 7, 0) for number in (1, 2, 3))
    assert reader.read(data, 16, 32) == (2, 7)
    monkeypatch.setattr(reader, "_learn", None)
    assert reader.read(data, 0, 16) == (1, 7) and reader.read(data, 32, 48) == (3, 7)


def test_what_lies_inside_an_attribute_is_not_taken_for_one_beside_it():
    inside = struct.pack("=HHI", 8, 1, 7)
    data = struct.pack("=HH", 13, 2) + inside + bytes(4) + struct.pack("=HH", 8, 1) + b"here"
    start, end = _wire.nest(_wire.Message(0, 0, 0, data, 0, len(data)), 1)
    assert data[start:end] == b"here"


def test_an_attribute_without_a_value_at_the_end_is_read():
    assert _wire.Reader([(1, "I", 0), (2, None, None)]).read(struct.pack("=HHIHH", 8, 1, 7, 4, 2), 0, 12) == (7, b"")


def test_the_last_attribute_needs_no_padding():
    assert _wire.Reader([(1, "H", 0)]).read(struct.pack("=HHH", 6, 1, 7), 0, 6) == 7
    assert _wire.Reader([(1, "H", 0), (2, "I", 0)]).read(struct.pack("=HHIHHH", 8, 2, 9, 6, 1, 7), 0, 14) == (7, 9)


@pytest.mark.parametrize("length", [0, 3])
def test_an_attribute_that_is_shorter_than_its_head(length):
    with pytest.raises(ValueError, match=f"an attribute of {length} bytes where 8 are left"):
        _wire.Reader([(1, "I", 0)]).read(struct.pack("=HHI", length, 1, 0), 0, 8)
