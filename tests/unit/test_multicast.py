# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a sync daemon could start, tried on this machine's loopback, to which nothing is sent. Other interfaces are in tests/integration."""

from __future__ import annotations

import errno
import socket
from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _multicast, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

MASTER = _settings.Daemon("master", "lo", 7, 1472, "224.0.0.81", 8848, 1)
BACKUP = MASTER._replace(role="backup")


def test_loopback_is_up_and_has_an_address():
    assert _multicast._is_up("lo") is True and _multicast._has_ipv4("lo") is True
    assert _multicast._has_ipv4("none") is False


@pytest.mark.parametrize("daemon", [MASTER, BACKUP], ids=["master", "backup"])
def test_a_daemon_on_loopback(daemon):
    assert _multicast.check_daemon(daemon, None) is None


def test_an_interface_without_an_address_sends_from_another(monkeypatch):
    monkeypatch.setattr(_multicast, "_has_ipv4", lambda name: False)
    assert "interface lo has no IPv4 address" in _multicast.check_daemon(MASTER, None)
    assert _multicast.check_daemon(BACKUP, None) is None


def test_a_master_connects_by_way_of_the_interface():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        _multicast._send_to(probe, MASTER, socket.if_nametoindex("lo"))
        assert probe.getpeername() == ("224.0.0.81", 8848)


def test_a_backup_takes_the_groups_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        _multicast._receive_from(probe, BACKUP, 1)
        assert probe.getsockname() == ("224.0.0.81", 8848)


def test_a_group_of_ipv6_needs_the_interface_too():
    """Seen from what a socket is asked for: not every machine has IPv6."""
    asked = []
    probe = SimpleNamespace(family=socket.AF_INET6, setsockopt=lambda *words: asked.append(words), bind=asked.append, connect=asked.append)
    _multicast._receive_from(probe, BACKUP._replace(multicast_group="ff02::81"), 3)
    assert asked[-1] == ("ff02::81", 8848, 0, 3)
    _multicast._send_to(probe, MASTER._replace(multicast_group="ff02::81"), 3)
    assert asked[-2:] == [(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, 3), ("ff02::81", 8848)]


def test_a_port_of_another_program():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("224.0.0.81", 0))
        port = other.getsockname()[1]
        with pytest.raises(OptionError, match=f"multicast_port: {port}: another program uses this port"):
            _multicast.check_daemon(BACKUP._replace(multicast_port=port), None)


@pytest.mark.parametrize(
    ("daemon", "is_up", "number", "message"),
    [
        (MASTER, False, errno.ENETUNREACH, "^interface: 'lo': a master daemon needs an interface that is up"),
        (MASTER, True, errno.ENETUNREACH, "^multicast_group: '224.0.0.81': interface 'lo' has no IPv4 for multicast"),
        (BACKUP, False, errno.EADDRNOTAVAIL, "^multicast_group: '224.0.0.81': interface 'lo' has no IPv4 for multicast"),
        (BACKUP, False, errno.EADDRINUSE, "^multicast_port: 8848: another program uses this port"),
        (MASTER, True, errno.EPERM, "^multicast_group: '224.0.0.81': cannot be used on interface lo: Operation not permitted"),
    ],
)
def test_what_the_kernel_refuses(monkeypatch, daemon, is_up, number, message):
    monkeypatch.setattr(_multicast, "_is_up", lambda name: is_up)
    with pytest.raises(OptionError, match=message):
        raise _multicast._refused(OSError(number, "x"), daemon, "ipv4", "lo")
