# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_saved: what other programs have put into the kernel, and ipvsadm does not accept, is left out of the file, so that the rest can be restored."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _literals, _model, _rules_reader, _saved, _settings

from .test_saved_tasks import RULES, Director

WEB = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 443, 0)
ALL = _model.ServiceId(_literals.IPV4, 6, "203.0.113.80", 0, 0)
MARK = _model.ServiceId(_literals.IPV4, 0, "", 0, 9)
GOOD = ("198.51.100.11", 443)
DOES_NOT_ACCEPT = "service tcp 203.0.113.80:443: ipvsadm does not accept its server %s, so it is not saved: %s"


@pytest.fixture
def director(monkeypatch):
    return Director(monkeypatch)


def put(director, ident, *servers, **options):
    """Have the kernel hold a service with these (address, port, options)."""
    whole = [_model.overlay_server(_model.Server(_model.ServerId(*each[:2]), **each[2])) for each in servers]
    service = _model.overlay_service(_model.Service(ident))._replace(**options)
    director.kernel.table[ident] = _model.Entry(service, {each.id: each for each in whole})


def saved(director):
    """The Table in the file, as ipvs_drain and ipvs_table read it."""
    ruleset = _rules_reader.parse(director.text("/etc/ipvsadm.rules"))
    assert director.text("/etc/ipvsadm.rules").startswith(_saved.HEADER) and director.warnings == director.foretold
    return ruleset.table


@pytest.mark.parametrize(
    ("ident", "options", "reason"),
    [
        (WEB, {"one_packet": True}, "-o: one-packet scheduling is for UDP services and for fwmark services, not for tcp 203.0.113.80:443"),
        (ALL, {}, "203.0.113.80:0: port 0 (every port) needs persistence: set -p"),
        (MARK, {"persistence_timeout": _settings.MAX_TIMEOUT + 1}, "2678401: "),
    ],
    ids=["one packet", "every port", "persistence"],
)
def test_a_service(director, ident, options, reason):
    put(director, ident, (*GOOD, {"forward_method": "nat"}), **options)
    assert director.task().values["services"] == 2
    (warning,) = director.warnings
    assert warning.startswith(f"service {ident}: ipvsadm does not accept it, so it is not saved: {reason}")
    assert saved(director) == _rules_reader.parse(RULES).table


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (("198.51.100.12", 80, {"forward_method": "dr"}), "198.51.100.12:80: with -g (dr) the real server answers on the service's own port, 443"),
        (("198.51.100.12", 80, {"forward_method": "local"}), "198.51.100.12:80: with -g (dr) the real server"),
        (("2001:db8::12", 443, {"forward_method": "nat"}), "[2001:db8::12]:443: a server of the other address family than its service"),
        (("198.51.100.12", 443, {"forward_method": "tun", "tunnel_type": "gue"}), "0: a gue tunnel needs its UDP port"),
        (("198.51.100.12", 443, {"forward_method": "tun", "tunnel_type": "gre", "tunnel_checksum": "3"}), "--tun-flags=3: there is no such option"),
        (("198.51.100.12", 443, {"forward_method": "tun", "tunnel_type": "9"}), "9: tunnel types are"),
        (("198.51.100.12", 443, {"forward_method": "4"}), "--forward-method=4: there is no such option"),
    ],
    ids=["dr to a port", "local to a port", "family", "gue", "checksums", "tunnel", "method"],
)
def test_a_server(director, server, reason):
    put(director, WEB, server, (*GOOD, {"forward_method": "nat"}))
    assert director.task().values["services"] == 3
    (warning,) = director.warnings
    assert warning.startswith(DOES_NOT_ACCEPT % (_model.ServerId(*server[:2]), reason))
    table = saved(director)
    assert [tuple(each) for each in table[WEB].servers] == [GOOD] and len(table) == 3
    assert len(director.kernel.table[WEB].servers) == 2


def test_all_servers_in_their_order(director):
    put(director, WEB, *[(f"198.51.100.{number}", 80, {"forward_method": "dr"}) for number in (100, 12)])
    director.task()
    assert [warning.partition("server ")[2].partition(",")[0] for warning in director.warnings] == ["198.51.100.12:80", "198.51.100.100:80"]
    assert saved(director)[WEB].servers == {}
