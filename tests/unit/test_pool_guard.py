# SPDX-License-Identifier: GPL-3.0-or-later
"""The program that holds max_unhealthy: who goes out, and what is said to the table. It runs beside keepalived in tests/integration."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _pool_guard

from .guarded_pool import FIRST, FOURTH, SECOND, SERVICE, THIRD, WEIGHTS, line, name, pool


@pytest.mark.parametrize(
    ("share", "failed", "drained", "expected"),
    [
        (50, [FIRST], [], []),
        (50, [THIRD, FIRST, SECOND], [], [SECOND]),
        (49, [THIRD, FIRST], [], [FIRST]),
        (24, [FIRST], [], [FIRST]),
        (99, WEIGHTS, [], [FOURTH]),
        (50, [FIRST, SECOND], [FOURTH], [SECOND]),  # three are left
        (50, WEIGHTS, [FIRST, SECOND], [FOURTH]),
        (50, WEIGHTS, WEIGHTS, []),
    ],
)
def test_who_stays(share, failed, drained, expected):
    assert _pool_guard.staying(pool(share), [name(each) for each in failed], set(drained)) == [name(each) for each in expected]


def test_a_heavy_server_stays_and_a_light_one_goes():
    assert _pool_guard.staying(pool(50, {FIRST: 8, SECOND: 2}), [name(FIRST), name(SECOND)], set()) == [name(FIRST)]


@given(
    st.integers(1, 99),
    st.lists(st.integers(0, 100), min_size=4, max_size=4),
    st.permutations(list(WEIGHTS)),
    st.integers(0, 4),
    st.sets(st.sampled_from(list(WEIGHTS))),
)
def test_the_share_is_never_exceeded(share, weights, order, failing, drained):
    whole = pool(share, dict(zip(WEIGHTS, weights, strict=True)))
    failed = [name(each) for each in order[:failing]]
    stay = _pool_guard.staying(whole, failed, drained)
    pool_weight = sum(each.weight for each in whole.servers.values() if each.address not in drained)
    out = sum(whole.servers[each].weight for each in failed if each not in stay and whole.servers[each].address not in drained)
    assert out * 100 <= share * pool_weight and not drained.intersection(whole.servers[each].address for each in stay)


def decided(guard, *lines, drained=()):
    for each in lines:
        guard.hear(each)
    rules = guard.decide(set(drained))[0]
    guard.settled()
    return rules


def test_what_is_said_to_the_table():
    guard = _pool_guard.Guard([pool()])
    assert decided(guard, "VS [203.0.113.80]:tcp:80 UP", "nonsense", line("198.51.100.99")) == []
    assert decided(guard, line(FIRST)) == [f"{FIRST} out"]  # it may have been in the table with its weight
    assert decided(guard, line(SECOND), line(THIRD)) == [f"{SECOND} out", f"{THIRD} in"]
    assert decided(guard) == []
    assert decided(guard, line(SECOND, "UP")) == [f"{THIRD} out", f"{SECOND} in"]
    assert decided(guard, line(THIRD, "UP"), line(THIRD)) == [f"{THIRD} out"]  # again, whatever keepalived has set meanwhile
    assert decided(guard, drained=[FOURTH]) == [f"{THIRD} in"]  # one of three
    assert decided(guard, drained=[FOURTH, THIRD]) == [f"{THIRD} out"]
    assert decided(guard, line(THIRD, "UP"), line(FIRST, "UP"), drained=[THIRD]) == [f"{FIRST} in", f"{THIRD} out"]
    assert decided(guard, line(FIRST, "UP")) == []


def test_the_order_survives_a_reload_and_servers_that_are_gone_do_not():
    guard = _pool_guard.Guard([pool()])
    decided(guard, line(THIRD), line(FIRST), line(SECOND))
    kept = json.loads(json.dumps(guard.record()))
    small = pool(weights={FIRST: 5, SECOND: 5, FOURTH: 5})
    after = _pool_guard.Guard([small], kept)
    assert decided(after) == [f"{FIRST} out", f"{SECOND} in"]


def test_who_is_drained_while_weights_are_set_stays_drained(monkeypatch):
    guard, answers, done = _pool_guard.Guard([pool()]), [set(), {SECOND}, {SECOND}], []
    monkeypatch.setattr(_pool_guard, "read_drained", lambda addresses: answers.pop(0))
    monkeypatch.setattr(_pool_guard, "_set", done.extend)
    for address in (FIRST, THIRD, SECOND):
        guard.hear(line(address))
    _pool_guard.settle(guard)
    assert done == [f"{FIRST} out", f"{THIRD} out", f"{SECOND} in", f"{FIRST} out", f"{THIRD} in", f"{SECOND} out"] and answers == []
    done.clear()
    answers += [{SECOND}, {SECOND}]
    _pool_guard.settle(guard)
    assert done == [] and answers == []  # that is done, and is not done again


def test_who_has_no_weight_when_the_limit_is_new(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(tmp_path))
    (tmp_path / FIRST).write_text("-100000\n")
    rule = "-e -t 203.0.113.80:80 -r {0}:80 -m -w 0 -x 9".format
    limited = pool()
    limited = limited._replace(servers={each: server._replace(rule_out=rule(server.address)) for each, server in limited.servers.items()})
    printed = "-A -t 203.0.113.80:80 -s wrr\n"
    for address, weight in zip(WEIGHTS, (0, 0, 10, 0), strict=True):
        printed += f"-a -t 203.0.113.80:80 -r {address}:80 -m -w {weight}\n"
    assert _pool_guard.without_weight([limited], printed) == [(SERVICE, name(SECOND)), (SERVICE, name(FOURTH))]


def test_drained_files(tmp_path, monkeypatch):
    monkeypatch.setattr(_pool_guard, "DRAIN_FOLDER", str(tmp_path))
    for address, text in ((FIRST, "-100000\n"), (SECOND, "0\n"), (THIRD, "")):
        (tmp_path / address).write_text(text)
    assert _pool_guard.read_drained(WEIGHTS) == {FIRST}
