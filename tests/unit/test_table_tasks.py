# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_table on a fake kernel: removals that wait, and what the saved table says of services that go."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import (
    _info_tasks,
    _model,
    _owners,
    _rules,
    _rules_reader,
    _saved,
    _schema,
    _session,
    _table_tasks,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .task_node import Node

BEFORE = """\
-A -t 203.0.113.80:80 -s wlc
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0
-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 1
-A -t 203.0.113.81:80 -s wlc
-a -t 203.0.113.81:80 -r 198.51.100.11:80 -m -w 2
-A -f 7 -s rr
"""
SERVERS = [{"address": "198.51.100.13"}, {"address": "198.51.100.14", "forward_method": "nat"}]
DESIRED = dict(services=[{"address": "203.0.113.80", "port": 80, "servers": SERVERS}])
ADDED = "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.14:80 -m -w 1"
REMOVED = ["ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.11:80", "ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.12:80", "ipvsadm -D -t 203.0.113.81:80"]
PURGE = dict(DESIRED, purge_servers=True, prune_saved=True)
SAVED = "-A -t 203.0.113.80:80 -s wlc\n-A -t 203.0.113.81:80 -s wlc\n-A -t 203.0.113.82:80 -s wlc\n"
WEB81 = {"address": "203.0.113.81", "port": 80, "protocol": "tcp"}


@pytest.fixture
def node(monkeypatch):
    node = Node(monkeypatch)
    node.kernel.table = _rules_reader.parse(BEFORE).table
    node.saved = _rules_reader.parse(SAVED).table
    monkeypatch.setattr(_saved, "read", lambda: node.saved)
    monkeypatch.setattr(_owners, "find", lambda netns: ["keepalived"])
    monkeypatch.setattr(_table_tasks._drain, "_INTERVAL", 0.01)
    return node


def table(node, **options):
    """The answer of a run, which a check has foretold."""
    foretold = node.check(_table_tasks.manage_table, **options)
    done = node.run(_table_tasks.manage_table, **options)
    if not options.get("postpone_removals"):
        assert foretold == done
    return done


def rules(node):
    return _rules.render_table(node.kernel.table)


def active(node, number, *places):
    for service, server in places:
        ident = _model.service_id({"address": service, "port": 80})
        node.kernel.counters[ident, _model.ServerId(server, 80)] = (_schema.Connections(number, 0, 0), _schema.Statistics())


def test_only_what_we_saved_is_pruned(node):
    done = table(node, **PURGE)
    assert done.values["commands"] == [ADDED, *REMOVED]
    assert "-A -f 7 -s rr" in rules(node)
    assert not table(node, **PURGE).changed
    assert done.values["leaving"] == {
        "services": [WEB81],
        "servers": [
            {"service_address": address, "service_port": 80, "service_protocol": "tcp", "address": server, "port": 80}
            for address, server in (("203.0.113.80", "198.51.100.11"), ("203.0.113.80", "198.51.100.12"), ("203.0.113.81", "198.51.100.11"))
        ],
    }
    assert done.values["postponed"] == []


def test_without_a_saved_table_nothing_is_pruned(node):
    node.saved = None
    assert table(node, **PURGE).values["commands"] == [ADDED, *REMOVED[:2]]


def test_the_saved_table_is_of_one_namespace(node):
    with pytest.raises(OptionError, match="prune_saved: True: .*omit netns"):
        node.check(_table_tasks.manage_table, **PURGE, netns="blue")


@pytest.mark.parametrize(
    ("rules", "hint"),
    [
        ("-C\n", "-C is not supported here; .*set prune"),
        ("--set 900 120 300\n", "ipvs_timeouts"),
        ("--start-daemon master --mcast-interface eth0\n", "ipvs_sync_daemon"),
    ],
)
def test_rules_that_say_more_than_what_is_to_be_there(node, rules, hint):
    with pytest.raises(OptionError, match=rf"\Arules: .*{hint}"):
        table(node, rules=rules + "-A -f 7 -s rr\n")


def test_an_empty_list_is_not_meant_unless_it_is_said(node):
    with pytest.raises(OptionError, match=r"services: \[\]: no service is listed, and prune_saved would remove 2 services .*allow_empty"):
        node.check(_table_tasks.manage_table, services=[], prune_saved=True)
    assert len(table(node, services=[], prune_saved=True, allow_empty=True).values["commands"]) == 2
    assert rules(node) == "-A -f 7 -s rr\n"


def test_an_empty_list_within_a_scope_takes_no_more_than_the_scope(node):
    options = {"services": [], "prune": True, "prune_force": True}
    scoped = table(node, **options, prune_scope={"addresses": ["203.0.113.80/32"], "protocols": None, "fwmarks": None})
    assert scoped.values["commands"] == ["ipvsadm -D -t 203.0.113.80:80"]
    assert table(node, **options).values["commands"] == ["ipvsadm -C"] and rules(node) == ""


def test_absent_takes_what_we_saved_along(node):
    assert table(node, services=[{"fwmark": 7}], state="absent").values["leaving"] == {"services": [{"fwmark": 7, "family": "ipv4"}], "servers": []}
    assert len(table(node, services=[], state="absent", prune_saved=True).values["leaving"]["services"]) == 2
    assert rules(node) == ""


def test_others_keep_what_is_not_saved(node):
    with pytest.raises(IpvsError, match="prune would remove 1 services .*fwmark 7.*keepalived"):
        node.check(_table_tasks.manage_table, **PURGE, prune=True)


# postponed


def test_removals_that_a_later_task_does(node):
    first = table(node, **PURGE, postpone_removals=True)
    assert (first.changed, first.values["commands"], first.values["postponed"]) == (True, [ADDED], REMOVED)
    assert len(first.values["leaving"]["servers"]) == 3 and first.values["leaving"]["services"] == [WEB81]
    assert [server["address"] for server in first.values["services"][0]["servers"]] == [f"198.51.100.{number}" for number in (11, 12, 13, 14)]
    assert first.after == rules(node).replace("-A -f 7 -s rr\n", "")
    again = table(node, **PURGE, postpone_removals=True)
    assert (again.changed, again.values["commands"], again.values["postponed"]) == (False, [], REMOVED)
    assert table(node, **PURGE).values["commands"] == REMOVED
    last = table(node, **PURGE, postpone_removals=True)
    assert (last.changed, last.values["postponed"], last.values["leaving"]) == (False, [], {"services": [], "servers": []})


def test_a_check_postpones_nothing(node):
    foretold = node.check(_table_tasks.manage_table, **PURGE, postpone_removals=True, drain_timeout=5)
    drains = [command for command in foretold.values["commands"] if command.endswith("-w 0")]
    assert [ADDED, *drains, *REMOVED] == foretold.values["commands"] and len(drains) == 2
    assert foretold.values["postponed"] == []


def test_a_removal_that_would_be_refused_is_refused_at_once(node):
    node.kernel.read_only = True
    with pytest.raises(IpvsError, match="prune would remove"):
        node.run(_table_tasks.manage_table, **PURGE, prune=True, postpone_removals=True)


def test_what_to_prune_is_no_matter_where_services_are_removed(node):
    scope = {"addresses": ["203.0.113.0/24"]}
    assert table(node, services=[{"fwmark": 7}], state="absent", prune_scope=scope).values["leaving"]["services"] == [{"fwmark": 7, "family": "ipv4"}]


def test_absent_can_wait_too(node):
    done = table(node, services=[{"fwmark": 7}, {"fwmark": 99}], state="absent", postpone_removals=True)
    assert (done.changed, done.values["postponed"]) == (False, ["ipvsadm -D -f 7"])
    assert done.before == done.after == "-A -f 7 -s rr\n"


# drained


def test_what_goes_is_drained_first_all_together(node):
    active(node, 2, ("203.0.113.80", "198.51.100.11"), ("203.0.113.81", "198.51.100.11"))
    looks = []
    genuine = node.kernel.statistics

    def statistics(idents):
        looks.append(rules(node))
        if len(looks) == 3:
            node.kernel.counters.clear()
        return genuine(idents)

    node.kernel.statistics = statistics
    foretold = node.check(_table_tasks.manage_table, **PURGE, drain_timeout=60)
    done = node.run(_table_tasks.manage_table, **PURGE, drain_timeout=60)
    assert foretold == done
    drains = ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0", "ipvsadm -e -t 203.0.113.81:80 -r 198.51.100.11:80 -m -w 0"]
    assert done.values["commands"] == [ADDED, *drains, *REMOVED]
    assert len(looks) == 3 and not node.warnings
    assert "198.51.100.14:80 -m -w 1" in looks[0], "what is new comes before what goes is drained"
    assert looks[0].count("-w 0") == 3
    assert done.values["leaving"]["services"] == [WEB81]


def test_who_is_found_to_leave_later_is_waited_for_too(node, monkeypatch):
    waited, genuine = [], node.kernel.apply
    monkeypatch.setattr(_table_tasks._drain, "wait_for_leaving", lambda kernel, servers, timeout, context: waited.extend(servers))

    def apply(operations):
        if not waited:
            servers = node.kernel.table[_model.service_id(DESIRED["services"][0])].servers
            servers.setdefault(_model.ServerId("198.51.100.77", 80), _model.overlay_server(_model.Server(_model.ServerId("198.51.100.77", 80))))
        return genuine(operations)

    node.kernel.apply = apply
    node.run(_table_tasks.manage_table, **PURGE, drain_timeout=60)
    assert "198.51.100.77" in {server.id.address for _ident, server in waited}


def test_connections_that_do_not_end_keep_nobody(node):
    active(node, 3, ("203.0.113.80", "198.51.100.11"))
    active(node, 4, ("203.0.113.81", "198.51.100.11"))
    assert node.run(_table_tasks.manage_table, **PURGE, drain_timeout=0).values["commands"][-3:] == REMOVED
    assert node.warnings == [
        "drain_timeout: 0 seconds have passed and the servers that are no longer listed still had 7 active connections; they were removed anyway"
    ]


def test_nothing_is_waited_for_where_nothing_goes(node):
    node.kernel.statistics = None
    assert node.run(_table_tasks.manage_table, **DESIRED, drain_timeout=60).values["commands"] == [ADDED]


def test_a_whole_table_is_drained(node):
    done = table(node, services=[], prune=True, prune_force=True, drain_timeout=5)
    assert [command.split()[1] for command in done.values["commands"]] == ["-e"] * 3 + ["-C"]
    assert len(done.values["leaving"]["services"]) == 3 and len(done.values["leaving"]["servers"]) == 4


@pytest.mark.parametrize("number", range(6))
def test_all_or_nothing_with_a_drain_in_between(node, number):
    before = rules(node)
    node.kernel.refuse = {number: errno.EBUSY}
    with pytest.raises(IpvsError, match="EBUSY.*(The rest was undone|Nothing was changed)"):
        node.run(_table_tasks.manage_table, **PURGE, drain_timeout=0)
    assert rules(node) == before


def test_a_look_that_fails_undoes_what_was_done(node):
    before = rules(node)

    def statistics(idents):
        raise IpvsError("the table cannot be read")

    node.kernel.statistics = statistics
    with pytest.raises(IpvsError, match=r"cannot be read. The rest was undone \(3 operations\)"):
        node.run(_table_tasks.manage_table, **PURGE, drain_timeout=0)
    assert rules(node) == before


@pytest.mark.parametrize("timeout", [-1, 86400 * 32])
def test_a_time_that_is_none(node, timeout):
    with pytest.raises(OptionError, match=f"drain_timeout: {timeout}: give a number from 0 to 2678400"):
        node.check(_table_tasks.manage_table, **DESIRED, drain_timeout=timeout)


def test_servers_that_stay_although_they_are_not_listed(node):
    unlisted = [
        {"service_address": "203.0.113.80", "service_port": 80, "service_protocol": "tcp", "address": server, "port": 80}
        for server in ("198.51.100.11", "198.51.100.12")
    ]
    assert table(node, **DESIRED).values["unlisted"] == unlisted
    without_servers = [{"address": "203.0.113.80", "port": 80}]
    assert table(node, services=without_servers).values["unlisted"] == []
    assert table(node, **PURGE).values["unlisted"] == []


def test_rules_of_tunnels_are_rules_of_servers_without_one_otherwise(node):
    """What a rule does not say of a tunnel is ipvsadm's default; a server that has no tunnel has no options of one."""
    server = "-a -t 203.0.113.90:80 -r 198.51.100."
    rules = f"-A -t 203.0.113.90:80 -s rr\n{server}11:80 -i --tun-type gue --tun-port 6080\n{server}12:80 -m\n"
    node.run(_table_tasks.manage_table, rules=rules)
    (service,) = [each for each in node.run(_info_tasks.read_info).values["services"] if each.get("address") == "203.0.113.90"]
    assert [(each["address"], each["forward_method"], each.get("tunnel_type"), each.get("tunnel_port")) for each in service["servers"]] == [
        ("198.51.100.11", "tun", "gue", 6080),
        ("198.51.100.12", "nat", None, None),
    ]
    assert not node.run(_table_tasks.manage_table, rules=rules).changed
    assert node.run(_table_tasks.manage_table, rules=rules.replace("-m", "-i")).changed


def test_an_error_that_shows_only_in_the_kernels_table_names_the_place_in_the_list(node):
    """A lower threshold that the server has already is above the upper one that the list gives."""
    server = {"address": "198.51.100.11", "upper_threshold": 90, "lower_threshold": 80}
    table(node, services=[{"fwmark": 70, "servers": [{"address": "198.51.100.12"}, server]}])
    with pytest.raises(OptionError, match=r"^services\[1\]\.servers\[1\]\.upper_threshold: 9: is below"):
        table(node, services=[{"fwmark": 71}, {"fwmark": 70, "servers": [{"address": "198.51.100.12"}, {"address": "198.51.100.11", "upper_threshold": 9}]}])


@pytest.mark.parametrize(("services", "state", "loads"), [([{"fwmark": 7}], "present", True), ([{"fwmark": 7}], "absent", False), ([], "present", False)])
def test_ipvs_is_loaded_only_for_services_to_be(node, monkeypatch, services, state, loads):
    asked, genuine = [], _session.open_kernel
    monkeypatch.setattr(_session, "open_kernel", lambda options, context, load=True: asked.append(load) or genuine(options, context, load))
    table(node, services=services, state=state)
    assert set(asked) == {loads}
