# SPDX-License-Identifier: GPL-3.0-or-later
"""What a configuration of keepalived says of services: our own texts, and what others write."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from ansible_collections.lvs.ipvs.plugins.filter.to_keepalived import to_keepalived
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _keepalived_text, _model
from tests.keepalived_lists import EVERYTHING, lists

WEB = _model.service_id({"address": "203.0.113.80", "port": 80})
RS1 = _model.ServerId("198.51.100.11", 80)


def services(text):
    return _keepalived_text.services(map(_keepalived_text.without_comment, text.splitlines()))


def assert_read_back(wanted):
    found = services(to_keepalived(wanted))
    table = _model.created_table(wanted)
    assert found.keys() == table.keys()
    for ident, entry in table.items():
        assert found[ident].servers == {each: _keepalived_text.Server(server.weight, True) for each, server in entry.servers.items()}


def test_our_own_texts_are_read_back():
    assert_read_back(EVERYTHING)
    found = services(to_keepalived(EVERYTHING))
    assert {service.sorry_server for service in found.values()} == {None, _model.ServerId("198.51.100.99", 8080)}


@settings(max_examples=30, deadline=None)
@given(lists)
def test_random_ones_too(wanted):
    assert_read_back(wanted)


@pytest.mark.parametrize(
    ("text", "servers"),
    [
        ("virtual_server 203.0.113.80 80\n{\n  real_server 198.51.100.11 80\n  {\n    weight 3\n  }\n}\n", {RS1: (3, False)}),
        ("virtual_server 203.0.113.80 80 {\n real_server 198.51.100.11 {\n TCP_CHECK {\n weight 9\n }\n }\n}", {RS1: (1, False)}),
        ("@one virtual_server 203.0.113.80 80 { # web {\n protocol TCP ! }\n}\n}\n", {}),
        ('x "a { b" {\n}\nvirtual_server 203.0.113.80 80 {\n real_server 198.51.100.11 80 { FILE_CHECK { weight 1 } }\n}', {RS1: (1, True)}),
        ("virtual_server 203.0.113.80 80 {\n", {}),
    ],
)
def test_how_others_write_it(text, servers):
    assert services(text) == {WEB: _keepalived_text.Service({each: _keepalived_text.Server(*known) for each, known in servers.items()}, None)}


def test_a_firewall_mark_without_a_family_may_be_of_both():
    assert set(services("virtual_server fwmark 7 {\n}\n")) == {_model.service_id({"fwmark": 7, "family": family}) for family in ("ipv4", "ipv6")}


def test_the_protocol_belongs_to_the_service():
    both = "virtual_server 203.0.113.80 53 {\n protocol %s\n}\n"
    assert {ident.protocol for ident in services(both % "UDP" + both % "TCP")} == {6, 17}


@pytest.mark.parametrize(
    "head", ["group web", "$ADDRESS 80", "203.0.113.80 http", "203.0.113.80 80000", "", "fwmark", "fwmark 0", "203.0.113.80 80 {\n protocol TCPX\n}\nx"]
)
def test_what_names_no_service_is_passed_over(head):
    assert services("virtual_server %s {\n}\nvirtual_server 203.0.113.80 80 {\n}\n" % head) == {WEB: _keepalived_text.Service({}, None)}


def test_a_brace_that_nothing_stands_before():
    assert services("{\n}\nvirtual_server 203.0.113.80 80 {\n    {\n    }\n    real_server 198.51.100.11 80 {\n    }\n}\n")[WEB].servers.keys() == {RS1}


def test_a_block_on_one_line():
    assert _keepalived_text._blocks(["a { b }", "c"]) == [(["a"], [(["b"], None)]), (["c"], None)]


def test_a_condition_comes_first():
    assert _keepalived_text._blocks(["@here a @b"]) == [(["a", "@b"], None)]


def test_a_brace_after_a_statement_on_a_line_of_its_own():
    assert _keepalived_text._blocks(["a {", "b", "}"]) == [(["a"], [(["b"], None)])]
