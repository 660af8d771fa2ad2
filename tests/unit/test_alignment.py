# SPDX-License-Identifier: GPL-3.0-or-later
"""How the table differs from what keepalived takes it for."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _alignment, _state
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _plan

FIRST, SECOND = "198.51.100.11", "198.51.100.12"
UP, DOWN, UNKNOWN = (True, True), (False, True), (False, False)  # is it up, has its check run


def table(first=None, second=None, **options):
    servers = [
        {"address": address, "forward_method": "nat", "weight": 5, **each} for address, each in ((FIRST, first), (SECOND, second)) if each is not None
    ]
    return _model.created_table([{"address": "203.0.113.80", "port": 80, "servers": servers, **options}])


WANTED = table({}, {})
(IDENT,) = WANTED


def states(*healths, quorum_up=True, effective=5):
    servers = [
        _state.Server(_model.ServerId(address, 80), up, 5, effective, (_state.Check("tcp", up, ran, 0),))
        for address, (up, ran) in zip((FIRST, SECOND), healths, strict=False)
    ]
    return [_state.Service(IDENT, "", quorum_up, tuple(servers))]


def commands(current, *healths, guarded=(), **options):
    plan = _alignment.plan(current, WANTED, states(*healths, **options), guarded)
    return [_plan.command(operation).removeprefix("ipvsadm ").replace("-t 203.0.113.80:80", "WEB") for operation in plan.operations]


OUT = f"-e WEB -r {FIRST}:80 -m -w 0"


@pytest.mark.parametrize(
    ("current", "healths", "expected"),
    [
        (WANTED, (UP, UP), []),
        (WANTED, (DOWN, UP), [OUT]),
        (WANTED, (UNKNOWN, UP), []),
        (table({"weight": 0}, {}), (DOWN, UP), []),
        (table({"weight": 0}, {}), (UP, UP), [f"-e WEB -r {FIRST}:80 -m -w 5"]),
        (table({"weight": 0}, {}), (UNKNOWN, UP), []),
        (table(None, {}), (UP, UP), [f"-a WEB -r {FIRST}:80 -m -w 5"]),
        (table(None, {}), (DOWN, UP), [f"-a WEB -r {FIRST}:80 -m -w 0"]),
        (table({}, {}, scheduler="rr"), (UP, UP), ["-E WEB -s wlc"]),
    ],
)
def test_weights_and_entries(current, healths, expected):
    assert commands(current, *healths) == expected


def test_thresholds_and_drains():
    assert commands(table({"upper_threshold": 9}, {}), UP, UP) == [f"-e WEB -r {FIRST}:80 -m -w 5"]
    assert commands(table({"weight": 0}, {"weight": 0}), UP, UP, effective=-99995) == []
    assert commands(table({}, {"weight": 0}), UP, UP, effective=-99995) == [OUT]


def test_without_quorum_servers_are_keepalived_s_business():
    assert commands(table(None, {}), UP, UP, quorum_up=False) == []
    assert commands(WANTED, DOWN, DOWN, quorum_up=False) == []
    assert commands(table(None, {}, scheduler="rr"), UP, UP, quorum_up=False) == ["-E WEB -s wlc"]


def test_who_gets_connections_although_too_few_pass():
    assert _alignment.unheeded(WANTED, WANTED, states(DOWN, DOWN, quorum_up=False)) == [IDENT]
    assert _alignment.unheeded(WANTED, WANTED, states(DOWN, UP)) == []
    assert _alignment.unheeded(table({"weight": 0}, {"weight": 0}), WANTED, states(DOWN, DOWN, quorum_up=False)) == []
    assert _alignment.unheeded({}, WANTED, states(DOWN, DOWN, quorum_up=False)) == []
    assert _alignment.unheeded(WANTED, {}, states(DOWN, DOWN, quorum_up=False)) == []


def test_a_service_that_the_table_has_lost_comes_back_with_the_weights_of_now():
    expected = ["-A WEB -s wlc", f"-a WEB -r {FIRST}:80 -m -w 0", f"-a WEB -r {SECOND}:80 -m -w 5"]
    assert commands({}, DOWN, UP) == expected
    assert commands({}, UP, UP, quorum_up=False) == expected[:1]


def test_a_service_that_keepalived_does_not_have_yet():
    assert _alignment.plan({}, WANTED, []).operations == ()


def test_unlisted_servers_stay():
    current = _model.created_table([{"address": "203.0.113.80", "port": 80, "servers": [
        {"address": address, "forward_method": "nat", "weight": 5} for address in (FIRST, SECOND, "198.51.100.13")
    ]}])  # fmt: skip
    assert commands(current, UP, UP) == []


def test_a_server_that_fails_in_a_guarded_pool_is_the_program_s_business():
    assert commands(WANTED, DOWN, UP, guarded={IDENT}) == []
    assert commands(table({"weight": 0}, {}), DOWN, UP, guarded={IDENT}) == []
    assert commands(WANTED, DOWN, UP) == [OUT]
    assert commands(table({"weight": 0}, {}), UP, UP, guarded={IDENT}) == [f"-e WEB -r {FIRST}:80 -m -w 5"]
