# SPDX-License-Identifier: GPL-3.0-or-later
"""What may be pruned, and who else may own it."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model, _owners, _plan, _prune
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

WEB = _model.service_id({"address": "203.0.113.80", "port": 80})
DNS = _model.service_id({"address": "203.0.113.81", "port": 53, "protocol": "udp"})
WEB6 = _model.service_id({"address": "2001:db8::80", "port": 80})
MARK = _model.service_id({"fwmark": 7})
MARK6 = _model.service_id({"fwmark": 250, "family": "ipv6"})
ALL = [WEB, DNS, WEB6, MARK, MARK6]


def options(**given):
    return {"prune": True, "prune_scope": None, "prune_force": False, "allow_empty": False, "services": [], "rules": None, "netns": None, **given}


@pytest.mark.parametrize(
    "scope, within",
    [
        (None, ALL),
        ({"addresses": ["203.0.113.0/24"]}, [WEB, DNS]),
        ({"addresses": ["203.0.113.80"], "protocols": None, "fwmarks": None}, [WEB]),
        ({"addresses": ["0.0.0.0/0"]}, [WEB, DNS]),
        ({"addresses": ["::/0"]}, [WEB6]),
        ({"protocols": ["tcp"]}, [WEB, WEB6]),
        ({"addresses": ["203.0.113.0/24"], "protocols": ["tcp"]}, [WEB]),
        ({"fwmarks": ["7"]}, [MARK]),
        ({"fwmarks": ["8-250"]}, [MARK6]),
        ({"fwmarks": ["1-7"]}, [MARK]),
        ({"fwmarks": ["7-4294967295"]}, [MARK, MARK6]),
        ({"fwmarks": ["7", "250"], "protocols": ["udp"]}, [DNS, MARK, MARK6]),
    ],
    ids=str,
)
def test_scope(scope, within):
    rule = _prune.rule(options(prune_scope=scope))
    assert [ident for ident in ALL if rule(ident)] == within


def test_off():
    assert _prune.rule(options(prune=False)) is None


@pytest.mark.parametrize(
    "scope, option",
    [
        ({}, "prune_scope"),
        ({"addresses": [], "fwmarks": None}, "prune_scope"),
        ({"addresses": ["203.0.113.0/24", "www"]}, "prune_scope.addresses[1]"),
        ({"addresses": ["203.0.113.1/24"]}, "prune_scope.addresses[0]"),
        ({"fwmarks": ["0"]}, "prune_scope.fwmarks[0]"),
        ({"fwmarks": ["1-"]}, "prune_scope.fwmarks[0]"),
        ({"fwmarks": ["9-8"]}, "prune_scope.fwmarks[0]"),
        ({"fwmarks": ["4294967296"]}, "prune_scope.fwmarks[0]"),
        ({"fwmarks": ["\N{SUPERSCRIPT TWO}"]}, "prune_scope.fwmarks[0]"),
    ],
    ids=str,
)
def test_bad_scopes(scope, option):
    with pytest.raises(OptionError) as error:
        _prune.rule(options(prune_scope=scope))
    assert error.value.option == option


def plan(*kinds):
    return _plan.Plan(tuple(_plan.Operation(kind, ident, None, None) for kind, ident in kinds), {}, {})


REMOVAL = plan(*[(_plan.DELETE_SERVICE, ident) for ident in ALL])


def test_refused_where_others_keep_services(monkeypatch):
    asked = []
    monkeypatch.setattr(_owners, "find", lambda netns: asked.append(netns) or ["keepalived (x)", "ldirectord (running)"])
    with pytest.raises(IpvsError, match=r"5 services .*tcp 203.0.113.80:80.*here: keepalived \(x\), ldirectord \(running\).*prune_scope"):
        _prune.refuse_others(REMOVAL, options(netns="blue"))
    assert asked == ["blue"]
    more = plan(*[(_plan.DELETE_SERVICE, MARK._replace(fwmark=mark)) for mark in range(1, 8)])
    with pytest.raises(IpvsError, match="fwmark 5 and more"):
        _prune.refuse_others(more, options())
    with pytest.raises(IpvsError, match="fwmark 5 and more"):
        _prune.refuse_others(more._replace(operations=more.operations[:6]), options())
    with pytest.raises(IpvsError, match="fwmark 5") as error:
        _prune.refuse_others(more._replace(operations=more.operations[:5]), options())
    assert "more" not in str(error.value)
    # a scope, force, and a plan that removes no service are no reason to refuse
    _prune.refuse_others(REMOVAL, options(prune_scope={"fwmarks": ["1"]}))
    _prune.refuse_others(REMOVAL, options(prune_force=True))
    _prune.refuse_others(plan((_plan.DELETE_SERVER, WEB), (_plan.ADD_SERVICE, DNS)), options())


def test_nobody_else_is_here(monkeypatch):
    monkeypatch.setattr(_owners, "find", lambda netns: [])
    _prune.refuse_others(REMOVAL, options())


def test_an_empty_list_removes_nothing_by_mistake():
    with pytest.raises(OptionError, match="prune would remove 5 services .*prune_force: true"):
        _prune.refuse_emptiness(REMOVAL, {}, options())
    with pytest.raises(OptionError, match="prune would remove 5 services .*prune_force: true"):
        _prune.refuse_emptiness(REMOVAL, {}, options(allow_empty=True), ALL[:2])
    with pytest.raises(OptionError, match="prune_saved would remove 5 services .*allow_empty: true"):
        _prune.refuse_emptiness(REMOVAL, {}, options(), ALL)
    with pytest.raises(OptionError, match="^rules: '# none': no service is listed"):
        _prune.refuse_emptiness(REMOVAL, {}, options(services=None, rules="# none"))
    _prune.refuse_emptiness(REMOVAL, {}, options(allow_empty=True), ALL)
    _prune.refuse_emptiness(REMOVAL, {}, options(prune_force=True))
    _prune.refuse_emptiness(REMOVAL, {WEB: None}, options())
    _prune.refuse_emptiness(plan(), {}, options())


def test_what_we_saved_is_nobody_elses(monkeypatch):
    monkeypatch.setattr(_owners, "find", lambda netns: ["keepalived (x)"])
    _prune.refuse_others(REMOVAL, options(), ALL)
    with pytest.raises(IpvsError, match="remove 1 services"):
        _prune.refuse_others(REMOVAL, options(), ALL[1:])
