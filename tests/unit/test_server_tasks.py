# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_server on a fake kernel: draining, and what is not there."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _schema, _tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .task_node import IDENT, NAT, SERVER, SERVER_ID, WEB, Node


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


def test_a_server_whose_service_is_missing(node):
    with pytest.raises(IpvsError, match="service tcp 203.0.113.80:80: there is no such virtual service; create it first"):
        node.run(_tasks.manage_server, **SERVER)
    answer = node.check(_tasks.manage_server, **SERVER, forward_method="nat")
    assert answer.changed and "an earlier task may create it" in node.warnings[0]
    assert answer.values["commands"] == ["ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1"]
    with pytest.raises(OptionError, match="port: 81"):
        node.check(_tasks.manage_server, **SERVER, port=81)


@pytest.mark.parametrize(("state", "told"), [("present", "there is no such virtual service; create it first"), ("absent", None)])
def test_a_service_that_goes_while_its_server_is_managed(node, state, told):
    """Between the first look and the second."""
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    reads, read = [], node.kernel.read
    node.kernel.read = lambda *idents: reads.append(idents) or (read(*idents) if len(reads) == 1 else {})
    if told:
        with pytest.raises(IpvsError, match=told):
            node.run(_tasks.manage_server, **SERVER, weight=9, state=state)
    else:
        assert not node.run(_tasks.manage_server, **SERVER, state=state).changed


def test_a_server_that_goes_and_comes_while_it_is_drained(node):
    """Gone when its weight is to be set, there again with connections a moment later: it isn't ours any more."""
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    entry = node.kernel.read()[IDENT]
    node.kernel.counters[IDENT, SERVER_ID] = (_schema.Connections(3, 0, 0), _schema.Statistics())
    node.kernel.meddle = [lambda kernel: kernel.table[IDENT].servers.clear()]
    genuine = node.kernel.connections

    def connections(*idents):
        node.kernel.table[IDENT] = entry
        return genuine(*idents)

    node.kernel.connections = connections
    answer = node.run(_tasks.manage_server, **SERVER, state="drained", drain_timeout=0)
    assert not answer.changed and answer.values["server"] is None
    assert "removed by another program" in node.warnings[0]


def test_a_server_that_is_to_be_there_is_not_drained(node):
    """The options of a drain are for the states that drain."""
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    answer = node.run(_tasks.manage_server, **SERVER, weight=9, drain_timeout=0)
    assert answer.values["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 9"] and "connections" not in answer.values


def test_a_server_that_is_removed_is_only_drained_where_that_is_asked_for(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    answer = node.run(_tasks.manage_server, **SERVER, state="absent")
    assert answer.values["commands"] == ["ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.11:80"] and "connections" not in answer.values


def test_options_beside_a_removal_change_nothing(node):
    """Not while the server is drained either."""
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    options = {"forward_method": "dr", "weight": 5, "upper_threshold": 9, "lower_threshold": 10}
    answer = node.run(_tasks.manage_server, **SERVER, **options, state="absent", drain_timeout=0)
    server = "-t 203.0.113.80:80 -r 198.51.100.11:80"
    assert answer.values["commands"] == ["ipvsadm -e %s -m -w 0" % server, "ipvsadm -d %s" % server]


DRAIN = dict(SERVER, state="drained", drain_timeout=0)


def restore_weight(node, times):
    """Have somebody else give the server weight 9 right after each of the first so many changes by us."""
    genuine = node.kernel.connections

    def connections(ident, server):
        nonlocal times
        if times:
            times -= 1
            entry = node.kernel.table[ident]
            entry.servers[server] = entry.servers[server]._replace(weight=9)
        return genuine(ident, server)

    node.kernel.connections = connections


def test_a_weight_that_comes_back_while_draining_is_taken_once_more(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    restore_weight(node, 1)
    answer = node.run(_tasks.manage_server, **DRAIN)
    assert answer.values["server"]["weight"] == node.kernel.table[IDENT].servers[SERVER_ID].weight == 0
    assert answer.values["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"] * 2
    assert "-w 1" in answer.before and "-w 0" in answer.after
    assert node.warnings == ["another program set the weight of 198.51.100.11:80 of tcp 203.0.113.80:80 while it was drained; it was set to 0 again"]


@pytest.mark.parametrize("state", ["drained", "absent"])
def test_a_weight_that_comes_back_twice_is_told_as_it_is(node, state):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    restore_weight(node, 2)
    with pytest.raises(IpvsError, match="twice while it was drained. Its weight is 9") as error:
        node.run(_tasks.manage_server, **dict(DRAIN, state=state))
    details = error.value.details
    assert details["changed"] and len(details["commands"]) == 2 and details["server"]["weight"] == 9
    assert node.kernel.table[IDENT].servers[SERVER_ID].weight == 9


def test_a_removal_that_fails_after_the_drain_says_what_the_drain_changed(node):
    node.run(_tasks.manage_service, **WEB, servers=[NAT])
    node.kernel.refuse = {len(node.kernel.applied) + 1: errno.EBUSY}
    with pytest.raises(IpvsError, match="delete server .* Nothing was changed") as error:
        node.run(_tasks.manage_server, **dict(DRAIN, state="absent"))
    assert error.value.details == {"changed": True, "commands": ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"]}


NEAR = [
    # the server on another port, then others on the same port, nearest first, then the same server elsewhere
    (
        dict(SERVER, address="198.51.100.12"),
        "198.51.100.12:80 is not a server of tcp 203.0.113.80:80: there is nothing to drain. "
        "Nearest: 198.51.100.12:8080 of tcp 203.0.113.80:80; 198.51.100.11:80 of tcp 203.0.113.80:80; "
        "198.51.100.12:443 of tcp 203.0.113.80:443.",
    ),
    (dict(SERVER, address="198.51.100.111"), "Nearest: 198.51.100.11:80 of tcp 203.0.113.80:80; 198.51.100.12:8080 of tcp 203.0.113.80:80."),
    (
        dict(SERVER, service_port=8443),
        "service tcp 203.0.113.80:8443: there is no such virtual service, and nothing to drain. Nearest: 198.51.100.11:80 of tcp 203.0.113.80:80.",
    ),
    (dict(SERVER, service_address="203.0.113.81", address="198.51.100.77"), "Nearest: tcp 203.0.113.80:80."),
    (dict(SERVER, service_port=81, address="198.51.100.77"), "Nearest: tcp 203.0.113.80:80; tcp 203.0.113.80:443."),
    (dict(service_fwmark=7, address="198.51.100.77"), "service fwmark 7: there is no such virtual service, and nothing to drain."),
]


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("options, text", NEAR, ids=range(len(NEAR)))
def test_what_is_not_there_cannot_be_drained(node, options, text, check):
    other = dict(NAT, address="198.51.100.12")
    node.run(_tasks.manage_service, **WEB, servers=[NAT, dict(other, port=8080)])
    node.run(_tasks.manage_service, **dict(WEB, port=443), servers=[other])
    node.kernel.read_only = True
    with pytest.raises(IpvsError) as error:
        node.run(_tasks.manage_server, check=check, **options, state="drained")
    assert str(error.value).endswith(text)
    # to remove it is no error: it isn't there, as was asked for
    assert not node.run(_tasks.manage_server, check=check, **options, state="absent", drain_timeout=5).changed


@pytest.mark.parametrize("check", [True, False])
def test_a_server_on_another_port_is_not_added_a_second_time(node, check):
    node.run(_tasks.manage_service, **WEB, servers=[dict(NAT, port=8080), dict(NAT, port=8081)])
    node.kernel.read_only = True
    there = "198.51.100.11 is a server of tcp 203.0.113.80:80 on port 8080 and 8081"
    with pytest.raises(OptionError) as error:
        node.run(_tasks.manage_server, check=check, **SERVER, weight=2)
    assert str(error.value) == f"port: None: {there}; give that port to manage it, or port: 80 to add another"
    assert not node.run(_tasks.manage_server, check=check, **SERVER, state="absent").changed
    assert node.warnings == [f"{there}; nothing was removed, because without port the service's port, 80, is meant"]
    with pytest.raises(AssertionError, match="a write in check mode"):
        node.run(_tasks.manage_server, **SERVER, port=80, forward_method="nat")


def test_a_weight_for_a_server_that_is_to_be_drained(node):
    with pytest.raises(OptionError, match="weight: 3: state drained sets the weight to 0; omit weight"):
        node.run(_tasks.manage_server, **dict(SERVER, weight=3), state="drained")
