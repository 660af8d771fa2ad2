# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived on a made-up node with a made-up keepalived. The real one is in tests/integration and tests/machines."""

from __future__ import annotations

import itertools
import json
import os
import re
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import (
    _daemon,
    _election,
    _generation,
    _guard_files,
    _pool_guard,
    _state,
    _use,
)
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _model
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .fake_kernel import copy
from .keepalived_node import FAILOVER, FIRST, PROCESSES, SECOND, SORRY, THEIRS, WEB, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_from_nothing(node):
    foretold = node.manage(check=True, services=services(FIRST))
    assert node.files() == {} and node.done == ["test"] and node.processes is None
    done = node.manage(services=services(FIRST))
    assert done == foretold and done.changed
    assert done.values["differences"] == [
        f"{node.path} is missing",
        f"{node.addition} is missing",
        f"{node.root}/stopped.rules is missing",
        f"{node.root}/failed.rules is missing",
        f"{node.folder}/{FIRST} is missing",
        "keepalived.service is not enabled",
        "keepalived does not run",
    ]
    assert node.done == ["test", "systemctl daemon-reload", "systemctl daemon-reload", "systemctl enable keepalived.service",
                         "systemctl reload-or-restart keepalived.service"]  # fmt: skip
    again = node.manage(services=services(FIRST))
    assert (again.changed, again.values["differences"], node.done) == (False, [], [])


def test_an_image_build_only_enables(node):
    node.booted = False
    node.manage(services=services(FIRST))
    assert node.enabled and node.processes is None
    assert not node.manage(services=services(FIRST)).changed


def test_a_list_that_changes_is_read_again_and_nothing_is_started(node):
    node.starts(services=services(FIRST))
    done = node.manage(services=services(SECOND))
    assert node.done == ["test", "reload"] and node.loaded == node.named()
    assert done.values["differences"] == [
        f"{node.path} is not as it should be",
        f"{node.root}/failed.rules is not as it should be",
        f"{node.folder}/{SECOND} is missing",
        f"{node.folder}/{FIRST} is of no use any more",
        "keepalived works by another configuration",
    ]
    assert sorted(path.name for path in node.folder.iterdir()) == [SECOND]


def test_the_folder_of_the_handover_file(node):
    failover = {**FAILOVER, "handover_file": f"{node.root}/new/handover"}
    done = node.manage(services=services(FIRST), failover=failover)
    assert f"{node.root}/new is missing" in done.values["differences"] and (node.root / "new").is_dir()
    assert node.tested.count("/new/") == 0 == node.tested.count(str(node.folder)) and f"file {node.root}/new/handover" in node.path.read_text()
    assert not node.manage(services=services(FIRST), failover=failover).changed


def test_a_drained_server_stays_so(node):
    node.starts(services=services(FIRST, SECOND))
    (node.folder / FIRST).write_text("-100000\n")
    node.manage(services=services(SECOND))
    assert (node.folder / FIRST).read_text() == "-100000\n"
    node.manage(services=services(FIRST, SECOND))
    assert (node.folder / FIRST).read_text() == "-100000\n"


def test_a_configuration_that_was_changed_behind_its_back_is_taken_up(node):
    node.starts(services=services(FIRST))
    node.loaded = "another"
    assert node.manage(services=services(FIRST)).values["differences"] == ["keepalived works by another configuration"]
    assert node.loaded == node.named()


# refusals


def test_what_keepalived_does_not_take(node):
    node.starts(services=services(FIRST))
    node.problems = ["(PATH: Line 3) wrong"]
    assert node.fails(services=services(SECOND)).endswith("nothing was changed: (the configuration: Line 3) wrong")
    with pytest.raises(IpvsError):
        node.manage(check=True, services=services(SECOND))


def test_a_configuration_with_a_command_ends_the_test_of_an_old_keepalived(node):
    listed = services(SECOND, check={"type": "script", "command": "/bin/true"})
    node.problems = ["exit status -15"]
    assert node.manage(services=services(FIRST, check={"type": "script", "command": "/bin/true"})).changed
    assert "exit status -15" in node.fails(services=services(SECOND))
    node.problems = ["exit status 143", "(PATH: Line 3) wrong"]
    assert node.fails(services=listed).endswith("nothing was changed: (the configuration: Line 3) wrong")
    node.version, node.problems = "2.3.3", ["exit status 143"]
    assert "exit status 143" in node.fails(services=listed)


def test_a_file_of_others(node):
    node.path.write_text(THEIRS)
    assert "set replace=true" in node.fails(services=services(FIRST))
    done = node.manage(services=services(FIRST), replace=True)
    assert THEIRS in done.before and THEIRS not in done.after
    node.path.write_text(THEIRS + "vrrp_instance a {\n    authentication {\n        auth_type PASS\n\tauth_pass s3 cret\n    }\n}\n")
    shown = node.manage(check=True, services=services(FIRST), replace=True).before
    assert "s3" not in shown and "cret" not in shown and "\tauth_pass ********\n    }" in shown
    node.path.write_text(THEIRS)
    assert node.manage(state="absent").changed is False and node.path.read_text() == THEIRS and node.processes


def test_bad_options(node):
    for options, name in (({"services": services()}, "services[0].servers"), ({"service": "a b", "services": services(FIRST)}, "service"), ({}, "services")):
        with pytest.raises(OptionError) as failure:
            node.manage(**options)
        assert failure.value.option == name
    assert node.files() == {} and node.done == []


def test_without_keepalived(node):
    node.version = None
    assert "install the package" in node.fails(services=services(FIRST))
    done = node.manage(check=True, services=services(FIRST))
    assert done.values["version"] is None and "not installed yet" in node.warnings[0]
    node.version = "2.2.4"
    assert "version 2.2.7 or newer is required" in node.fails(services=services(FIRST))


def test_the_program_that_holds_a_share(node, monkeypatch):
    program, settings = node.root / "libexec/guard", node.root / "pool_guard.json"
    record = node.root / "pool_guard.record"
    record.write_text("of a program that no longer runs")
    half = {"services": services(FIRST, SECOND, max_unhealthy=50)}
    monkeypatch.setattr(_guard_files, "_problem", lambda: "install it")
    assert "services[0].max_unhealthy: 50: install it" in node.fails(**half)
    assert node.manage(check=True, **half).changed and node.warnings == ["services[0].max_unhealthy: install it"]
    node.manage(services=services(FIRST, SECOND, max_unhealthy=100))
    assert not program.exists() and not record.exists()
    record.write_text("of a program that had an event to write while it ended")

    monkeypatch.setattr(_guard_files, "_problem", lambda: None)
    done = node.manage(**half)
    assert f"{program} is missing" in done.values["differences"] and "lvs_notify_fifo_script" not in node.tested
    assert program.stat().st_mode & 0o777 == 0o755 and program.read_text().startswith("#!/")
    assert not record.exists()
    (pool,) = _pool_guard.read_pools(settings)
    assert (pool.service, pool.share, sorted(pool.servers)) == ("[203.0.113.80]:tcp:80", 50, [f"[{FIRST}]:80", f"[{SECOND}]:80"])
    assert not node.manage(**half).changed

    node.done.clear()
    name = node.named()
    record.write_text("kept")
    monkeypatch.setattr(_guard_files._programs, "source", lambda module: "another\n")
    node.manage(**half)  # keepalived starts it anew
    assert node.named() != name and "reload" in node.done and "lvs_notify_fifo_script" in node.tested
    assert record.exists()
    node.manage(services=services(FIRST, SECOND))
    assert not program.exists() and not settings.exists() and not record.exists()


def test_where_keepalived_starts_no_program(monkeypatch):
    monkeypatch.setattr(_guard_files._programs, "find", lambda name: "/sbin/" + name)
    with monkeypatch.context() as patched:
        patched.setattr(_guard_files.os, "stat", lambda path: os.stat_result((0o40775 if path == "/usr/local" else 0o40755, 0, 0, 0, 0, 50, 0, 0, 0, 0)))
        problem = _guard_files._problem()
    assert problem == "keepalived starts no program below /usr/local, which others than root may write; run chmod go-w /usr/local"
    monkeypatch.setattr(_guard_files._programs, "find", lambda name: None)
    assert "install the package ipvsadm" in _guard_files._problem()


@pytest.mark.parametrize(
    ("version", "quorum_up", "refused"),
    [("2.3.3", False, True), ("2.3.3", True, False), ("2.3.4", False, False), ("2.2.7", False, False)],
)
def test_the_crash_over_a_sorry_server(node, version, quorum_up, refused):
    node.version = version
    node.starts(services=services(FIRST, sorry_server=SORRY))
    node.states = [_state.Service(None, "", quorum_up, ())]
    if refused:
        assert "203.0.113.80 80 may be" in node.fails(services=services(FIRST))
        node.manage(services=services(FIRST, SECOND, sorry_server=SORRY))
    else:
        node.manage(services=services(FIRST))


def test_checks_are_not_given_up_with_the_table(node):
    node.starts(services=services(FIRST), failover=FAILOVER)
    assert "checks: False: keepalived checks services now" in node.fails(services=services(FIRST), checks=False, failover=FAILOVER)
    node.processes = PROCESSES._replace(checker=None)
    node.manage(services=services(FIRST), checks=False, failover=FAILOVER)


# failures


def test_the_way_back_where_it_goes_on(node):
    node.starts(services=services(FIRST))
    node.fault = "it has not taken it up"
    message = node.fails(services=services(SECOND), failover=FAILOVER)
    assert message == "it has not taken it up. The former configuration is restored, and keepalived works by it."
    assert node.loaded == node.named() == node.former


def test_the_way_back_where_it_works_by_the_new_one(node, monkeypatch):
    node.starts(services=services(FIRST))

    def align(*words):
        raise IpvsError("the table")

    monkeypatch.setattr(_use, "_align", align)
    assert "The former configuration is restored, and keepalived works by it." in node.fails(services=services(SECOND))
    assert node.done == ["test", "reload", "reload"] and node.loaded == node.former


def test_the_way_back_where_it_was_not_running(node):
    node.fault = "it does not start"
    assert node.fails(services=services(FIRST)).endswith("The former configuration is restored.")
    assert not node.enabled and node.processes is None and "systemctl stop keepalived.service" in node.done


def test_the_way_back_where_it_has_ended(node):
    node.starts(services=services(FIRST))
    node.ends_by_reload = True
    assert "and keepalived works by it" in node.fails(services=services(SECOND))
    assert node.processes == PROCESSES and node.loaded == node.former


def test_what_cannot_be_put_back_is_said(node):
    node.starts(services=services(FIRST))
    node.booted = False
    node.ends_by_reload = True
    with pytest.raises(IpvsError) as failure:
        node.manage(services=services(SECOND))
    assert failure.value.details["not_undone"] == ["keepalived has ended and could not be started again"] and failure.value.details["changed"]


def test_a_child_that_is_another_one_afterwards(node, monkeypatch):
    node.starts(services=services(FIRST))
    real = node._reload

    def crash(*words):
        node.processes = _daemon.Processes(10, 13, 12)
        return real(*words)

    monkeypatch.setattr(_daemon, "reload", crash)
    assert "the checker process of keepalived (11) ended" in node.fails(services=services(SECOND))


# the unit, giving up


def test_the_addition_to_the_unit(node):
    node.manage(services=services(FIRST), failover=FAILOVER)
    lines = node.addition.read_text().splitlines()
    assert "Restart=on-failure" in lines and lines.index("After=ipvsadm.service ipvs-table.service") < lines.index("[Service]")
    ends = [line for line in lines if line.startswith("ExecStopPost=")]
    assert ends[:2] == ["ExecStopPost=-ip address delete 203.0.113.80/32 dev eth0", "ExecStopPost=-ip address delete 2001:db8::80/128 dev eth0"]
    assert ends[2].startswith("ExecStopPost=-/bin/sh -c ") and len(ends) == 3  # the table is the last: no address answers without it
    node.manage(services=services(FIRST), failover={**FAILOVER, "sync": {}})
    assert "ExecStopPost=-ipvsadm --stop-daemon master" in node.addition.read_text()
    node.manage(services=services(FIRST))
    assert "ip address" not in node.addition.read_text() and "--stop-daemon" not in node.addition.read_text()


@pytest.mark.parametrize("unit, start", [
    ("ExecStart=/usr/sbin/keepalived --dont-fork $DAEMON_ARGS\n", "/usr/sbin/keepalived --dont-fork $DAEMON_ARGS --dont-release-ipvs"),
    ("ExecStart=/bin/false\nExecStart=/sbin/keepalived \\\n -n\nType=notify\n", "/sbin/keepalived   -n --dont-release-ipvs"),
    ("ExecStart=/sbin/keepalived -n --dont-release-ipvs", "/sbin/keepalived -n --dont-release-ipvs"),
    ("Type=notify\n", None),
    (None, None),
])  # fmt: skip
def test_how_the_unit_starts_keepalived(node, unit, start):
    (node.root / "lib").mkdir()
    if unit:
        (node.root / "lib/keepalived.service").write_text("[Service]\n" + unit)
    node.manage(services=services(FIRST))
    assert re.findall("(?m)^ExecStart=(.*)$", node.addition.read_text()) == ([] if start is None else ["", start])
    # the administrator's unit stands before the distribution's
    (node.root / "etc").mkdir()
    (node.root / "etc/keepalived.service").write_text("[Service]\nExecStart=/opt/keepalived -n\n")
    node.manage(services=services(FIRST))
    assert "\nExecStart=/opt/keepalived -n --dont-release-ipvs\n" in node.addition.read_text()
    # a table that is not keepalived's is none of its business
    node.processes = None
    node.manage(services=services(FIRST), checks=False, failover=FAILOVER)
    assert "ExecStart=" not in node.addition.read_text() and "--restore" not in node.addition.read_text()
    assert not (node.root / "stopped.rules").exists() and not (node.root / "failed.rules").exists()


def test_what_becomes_of_the_table(node):
    listed = services(SECOND, FIRST, sorry_server=SORRY)
    listed[0]["servers"][0].update(weight=7, upper_threshold=100)
    tunnel = {"address": FIRST, "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080}
    node.manage(services=[{"fwmark": 9, "family": "ipv6", "servers": [{"address": "2001:db8::1", "forward_method": "dr"}]}, *listed,
                          {"address": "203.0.113.80", "port": 53, "protocol": "udp", "servers": [{**tunnel, "port": 53}]}])  # fmt: skip
    assert (node.root / "stopped.rules").read_text().splitlines() == ["-D -t 203.0.113.80:80", "-D -u 203.0.113.80:53", "-D -f 9 -6"]
    assert (node.root / "failed.rules").read_text().splitlines() == [
        f"-e -t 203.0.113.80:80 -r {FIRST}:80 -m -w 0",
        f"-e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 0 -x 100",
        "-d -t 203.0.113.80:80 -r 198.51.100.99:80",
        f"-e -u 203.0.113.80:53 -r {FIRST}:53 -i -w 0 --tun-type gue --tun-port 6080 --tun-nocsum",
        "-e -f 9 -6 -r [2001:db8::1]:0 -g -w 0",
    ]


def test_without_ipvsadm(node):
    node.programs.clear()
    assert "install the package ipvsadm" in node.fails(services=services(FIRST))
    assert node.manage(check=True, services=services(FIRST)).changed and "not installed yet" in node.warnings[0]


def test_giving_up(node):
    node.starts(services=services(FIRST, SECOND))
    (node.folder / FIRST).write_text("-100000\n")
    (node.folder / "198.51.100.77").write_text("-100000\n")  # not listed: it may be again, and it stays drained
    foretold = node.manage(check=True, state="absent")
    done = node.manage(state="absent")
    assert done == foretold and node.done == ["systemctl disable keepalived.service", "systemctl daemon-reload", "end"]
    assert f"{node.folder}/{FIRST} drains a server of keepalived's" in done.values["differences"]
    assert sorted(node.files()) == ["drain/198.51.100.77", "drained.json"] and not node.enabled
    recorded = {"service_address": WEB["address"], "service_port": 80, "service_protocol": "tcp", "address": FIRST, "port": 80, "weight": 1}
    assert json.loads(node.files()["drained.json"]) == [recorded]
    assert not node.manage(state="absent").changed


def weights(node):
    return {server.id.address: server.weight for entry in node.kernel.read().values() for server in entry.servers.values()}


def fail(node):
    """What its unit does after a failure for good."""
    node.processes = None
    node.kernel.table = _model.created_table(services(FIRST, SECOND))
    for entry in node.kernel.table.values():
        entry.servers.update({ident: server._replace(weight=0) for ident, server in entry.servers.items()})


@pytest.mark.parametrize(("drained", "after"), [("", {FIRST: 1, SECOND: 1}), (FIRST, {FIRST: 0, SECOND: 1})], ids=["none drained", "one drained"])
def test_giving_up_what_has_failed_for_good(node, drained, after):
    node.starts(services=services(FIRST, SECOND))
    if drained:
        (node.folder / drained).write_text("-100000\n")
    fail(node)
    foretold = node.manage(check=True, state="absent")
    assert set(weights(node).values()) == {0}
    assert node.manage(state="absent") == foretold and weights(node) == after
    assert f"ipvsadm -e -t 203.0.113.80:80 -r {SECOND}:80 -m -w 1" in foretold.values["differences"]


@pytest.mark.parametrize("failed", [False, True], ids=["it runs", "it has failed for good"])
def test_a_service_that_leaves_the_list_with_the_health_checks(node, failed):
    listed = services(FIRST, SECOND)
    node.starts(services=[*listed, {**listed[0], "port": 81, "servers": listed[0]["servers"][:1]}])
    table = _model.created_table([*listed, {**listed[0], "port": 81}, {**listed[0], "port": 99}])
    if failed:
        fail(node)
    node.kernel.table = dict(table)
    (node.folder / FIRST).write_text("-100000\n")
    foretold = node.manage(check=True, services=listed, state="absent")
    assert {ident.port for ident in node.kernel.table} == {80, 81, 99}
    assert node.manage(services=listed, state="absent") == foretold and "ipvsadm -D -t 203.0.113.80:81" in foretold.values["differences"]
    assert {ident.port for ident in node.kernel.table} == {80, 99}, "that of others stays"
    assert {each["service_port"] for each in json.loads(node.files()["drained.json"])} == {80}
    assert not node.manage(services=listed, state="absent").changed


def test_a_weight_that_somebody_has_given_stays(node):
    node.starts(services=services(FIRST, SECOND))
    fail(node)
    (entry,) = node.kernel.table.values()
    ident = next(each for each in entry.servers if each.address == FIRST)
    entry.servers[ident] = entry.servers[ident]._replace(weight=7)
    node.manage(state="absent")
    assert weights(node) == {FIRST: 7, SECOND: 1}


def test_names_follow_the_text(node):
    first, text = _generation.named("global_defs {\n}\n")
    assert text.count(first) == 1 and _generation.named("global_defs {\n    x\n}\n")[0] != first


def test_sorry_servers_that_a_configuration_loses():
    services = "".join(
        f"virtual_server 203.0.113.80 53 {{\n    protocol {protocol}\n    sorry_server 198.51.100.99 {port}\n}}\n"
        for protocol, port in (("TCP", 53), ("UDP", 54))
    )
    assert _generation.lost_sorry_servers(services, services) == []
    lost = [("203.0.113.80 53", "198.51.100.99 53")]
    assert _generation.lost_sorry_servers(services, services.replace("    sorry_server 198.51.100.99 53\n", "")) == lost
    assert _generation.lost_sorry_servers(services, services.replace(".99 53", ".98 53")) == lost


def test_files_that_somebody_else_makes_meanwhile(node):
    node.folder.mkdir()
    (node.folder / FIRST).write_text("-100000\n")
    _drain_files.make([str(node.folder / FIRST)])
    _drain_files.remove([str(node.folder / FIRST)])
    assert (node.folder / FIRST).read_text() == "-100000\n"


def test_a_server_that_was_drained_before_stays_drained(node):
    place = {"service_address": WEB["address"], "service_port": 80, "service_protocol": "tcp", "address": FIRST, "port": 80, "weight": 3}
    (node.root / "drained.json").write_text(json.dumps([place]))
    node.starts(services=services(FIRST, SECOND))
    assert [(node.folder / address).read_text() for address in (FIRST, SECOND)] == [_drain_files.text(True), _drain_files.text(False)]


def test_a_fault_that_was_there_before_a_change(node, monkeypatch):
    """The change is not to blame for it and stays; the error says that VRRP does not work."""
    node.starts(services=services(FIRST), failover=FAILOVER)
    node.vrrp = "fault"
    monkeypatch.setattr(_election, "_MARGIN", -4)  # no time to recover
    with pytest.raises(IpvsError, match="VRRP does not work: front on eth0 is in state fault"):
        node.manage(services=services(SECOND), failover=FAILOVER)
    assert node.loaded == node.named() != node.former and f"real_server {SECOND} 80" in node.path.read_text()


def test_giving_up_vrrp(node):
    """Another director takes over first, unless addresses stay here."""
    node.vrrp = "backup"
    file = node.root / "new/handover"
    for kept, text in (([], "1\n"), (["203.0.113.80"], None)):
        node.manage(services=services(FIRST), failover={**FAILOVER, "handover_file": str(file)})
        seen = []
        node.monkeypatch.setattr(_daemon, "end", lambda processes, seen=seen: (seen.append(file.read_text() if file.exists() else None), node._end(processes)))
        node.manage(state="absent", keep_addresses=kept)
        assert seen == [text] and not file.exists() and not node.path.exists()


# the table


def believed(*weights, quorum_up=True, ran=True):
    """What keepalived says of FIRST and SECOND: the weight of each, 0 where its check fails."""
    (ident,) = _model.created_table(services(FIRST))
    servers = [
        _state.Server(_model.ServerId(address, 80), bool(weight), 1, weight, (_state.Check("tcp", bool(weight), ran, 0),))
        for address, weight in zip((FIRST, SECOND), weights, strict=False)
    ]
    return [_state.Service(ident, "", quorum_up, tuple(servers))]


OUT = f"ipvsadm -e -t 203.0.113.80:80 -r {FIRST}:80 -m -w 0"


@pytest.fixture
def balancing(node):
    """Both servers are in the table, and pass."""
    node.starts(services=services(FIRST, SECOND))
    node.kernel.table = copy(_model.created_table(services(FIRST, SECOND)))
    node.states = believed(1, 1)
    return node


def test_a_weight_that_is_not_what_keepalived_takes_it_for_is_put_right(balancing):
    options = {"services": services(FIRST, SECOND)}
    assert not balancing.manage(**options).changed
    balancing.states = believed(0, 1)
    balancing.kernel.read_only = True
    foretold = balancing.manage(check=True, **options)
    assert foretold.values["differences"] == [OUT]
    balancing.kernel.read_only = False
    assert balancing.manage(**options) == foretold and balancing.done == []
    assert not balancing.manage(**options).changed
    assert [server.weight for entry in balancing.kernel.table.values() for server in entry.servers.values()] == [0, 1]


@pytest.mark.parametrize("services_too", [True, False])
def test_the_table_is_left_alone_where_no_checker_is_at_work(balancing, services_too):
    balancing.processes = PROCESSES._replace(checker=None)
    balancing.kernel.read_only = True
    balancing.states = believed(0, 1)
    options = {"services": services(FIRST, SECOND), "failover": FAILOVER, "checks": services_too}
    balancing.manage(check=True, **options)
    balancing.manage(**options)


def test_a_check_says_nothing_of_the_table_before_the_configuration_is_taken_up(balancing):
    balancing.states = believed(0, 1)
    assert OUT not in balancing.manage(check=True, services=services(FIRST)).values["differences"]
    assert OUT in balancing.manage(services=services(FIRST)).values["differences"]


def test_too_few_servers_and_those_that_get_connections_all_the_same(balancing):
    balancing.states = believed(0, 0, quorum_up=False)
    assert not balancing.manage(services=services(FIRST, SECOND)).changed
    text = "service tcp 203.0.113.80:80: too few servers pass their check; those that got connections before keepalived started still do"
    assert balancing.warnings == [text]


def test_health_that_changes_while_the_table_is_read(balancing):
    answers = [believed(1, 1), believed(0, 1), believed(0, 1)]
    balancing.services = lambda: answers.pop(0)
    assert balancing.manage(services=services(FIRST, SECOND)).values["differences"] == [OUT] and answers == []
    weights = itertools.cycle((0, 1))
    balancing.services = lambda: believed(next(weights), 1)
    with pytest.raises(IpvsError, match="^the health of the servers changes all the time, so that the table cannot be compared with it: try again"):
        balancing.manage(services=services(FIRST, SECOND))


def test_a_start_waits_for_the_first_result_of_every_check(node):
    answers = [believed(0, ran=False), believed(1), believed(1)]
    node.services = lambda: answers.pop(0) if len(answers) > 1 else answers[0]
    node.manage(services=services(FIRST))
    assert node.warnings == [] and len(answers) == 1


def test_checks_without_a_result_are_told(node):
    node.states = believed(0, ran=False)
    node.manage(services=services(FIRST))
    assert node.warnings == ["servers whose check has had no result yet: 1, and none came within 0 seconds; they get no connections until one passes"]


def test_a_start_waits_as_long_as_the_number_of_unchecked_servers_falls(node):
    """Each result alone comes within PATIENCE, which is 0.1, all of them do not."""
    begin, number = time.monotonic(), 8

    def states():
        checked = int((time.monotonic() - begin) / 0.06)
        return [_state.Service(None, "", True, tuple(believed(0, ran=each < checked)[0].servers[0] for each in range(number)))]

    node.services = states
    node.manage(services=services(FIRST))
    assert node.warnings == [] and time.monotonic() - begin > 0.06 * number


def test_a_start_that_does_not_use_the_configuration(node, monkeypatch):
    monkeypatch.setattr(_daemon, "works_by", lambda processes: {"another"})
    message = node.fails(services=services(FIRST))
    assert message.startswith("keepalived was started and does not use its configuration: journalctl -u keepalived.service")
    assert node.processes is None and not node.enabled


def test_a_start_without_one_of_its_children(node, monkeypatch):
    run = node.run_command

    def childless(words):
        answer = run(words)
        if node.processes:
            node.processes = PROCESSES._replace(vrrp=None)
        return answer

    monkeypatch.setattr(node, "run_command", childless)
    assert "does not use its configuration" in node.fails(services=services(FIRST), failover=FAILOVER)
    node.manage(services=services(FIRST))


def test_a_former_configuration_that_is_not_taken_up_again(node, monkeypatch):
    node.starts(services=services(FIRST))
    node.ends_by_reload = True
    node.fault = "x"
    with pytest.raises(IpvsError) as failure:
        node.manage(services=services(SECOND))
    assert failure.value.details["not_undone"][0].startswith("systemctl reload-or-restart keepalived.service failed")
    node.fault, node.processes, node.loaded = None, PROCESSES, node.former
    monkeypatch.setattr(_daemon, "works_by", lambda processes: {node.former} if node.loaded is not None else {"another"})

    def restart(words, run=node.run_command):
        answer = run(words)
        if words[1] == "reload-or-restart":
            node.loaded = None
        return answer

    monkeypatch.setattr(node, "run_command", restart)
    with pytest.raises(IpvsError) as failure:
        node.manage(services=services(SECOND))
    told = "keepalived was started again and does not use its former configuration: journalctl -u keepalived.service"
    assert failure.value.details["not_undone"] == [told]
