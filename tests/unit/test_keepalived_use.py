# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived on a made-up node with a made-up keepalived: what it sets up, changes and refuses. The real one is in tests/integration and
tests/machines.
"""

from __future__ import annotations

import json

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _generation, _state, _use
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .keepalived_node import FAILOVER, FIRST, PROCESSES, SECOND, SORRY, THEIRS, WEB, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_from_nothing(node):
    foretold = node.manage(check=True, services=services(FIRST))
    assert node.files() == {} and node.done == ["test"] and node.processes is None
    done = node.manage(services=services(FIRST))
    assert done == foretold and done.changed and done.values["version"] == "2.2.7"
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


def test_a_configuration_that_was_changed_behind_its_back_is_taken_up(node):
    node.starts(services=services(FIRST))
    node.loaded = "another"
    assert node.manage(services=services(FIRST)).values["differences"] == ["keepalived works by another configuration"]
    assert node.loaded == node.named()


def test_a_file_that_was_changed_and_not_taken_up_yet_is_tested_all_the_same(node):
    node.starts(services=services(FIRST))
    node.path.write_text(node.path.read_text() + "\n")
    node.problems = ["(PATH: Line 3) wrong"]
    assert "Line 3) wrong" in node.fails(services=services(FIRST))


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


@pytest.mark.parametrize("service", ["keepalived", "keepalived.service"])
def test_the_unit_has_its_suffix_once(node, service):
    assert node.manage(services=services(FIRST), service=service).values["unit"] == "keepalived.service"


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
    node.path.unlink()  # and wherever it has its configuration
    done = node.manage(state="absent")
    assert "keepalived runs" not in done.values["differences"] and node.processes


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


def test_a_file_that_somebody_has_removed_names_no_sorry_server(node):
    node.version = "2.3.3"
    node.starts(services=services(FIRST))
    node.path.unlink()
    assert node.manage(services=services(FIRST, SECOND)).changed


def test_checks_are_not_given_up_with_the_table(node):
    node.starts(services=services(FIRST), failover=FAILOVER)
    assert "checks: False: keepalived checks services now" in node.fails(services=services(FIRST), checks=False, failover=FAILOVER)
    node.processes = PROCESSES._replace(checker=None)
    node.manage(services=services(FIRST), checks=False, failover=FAILOVER)


def test_without_ipvsadm(node):
    node.programs.clear()
    assert "install the package ipvsadm" in node.fails(services=services(FIRST))
    assert node.manage(check=True, services=services(FIRST)).changed and "not installed yet" in node.warnings[0]


# configurations by their text


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


def test_nobody_checks_where_keepalived_has_ended(node):
    assert _use._unchecked(None) == _use._unchecked(_daemon.Processes(10, None, 12)) == 0


def test_where_nothing_is_checked_the_table_is_not_looked_at(node):
    """IPVS may not even be loaded."""
    assert _use._align(_use.Desired("x", {}, None, "u"), PROCESSES, None) == []


def test_checks_that_have_all_had_a_result_are_not_waited_for(node, monkeypatch):
    monkeypatch.setattr(_daemon.Wait, "pause", None)
    assert _use._wait_for_checks(None) == 0


def test_a_keepalived_that_does_not_come_is_not_waited_for_for_ever(node, monkeypatch):
    pauses, pause = [], _daemon.Wait.pause
    monkeypatch.setattr(_daemon.Wait, "pause", lambda wait: (pauses.append(1), pause(wait)))
    assert not _use._comes_to(lambda processes: True, None) and pauses


@pytest.mark.parametrize("number", [100, 101])
def test_of_very_many_services_the_whole_table_is_read(node, number):
    asked = []
    table = dict.fromkeys(range(number))
    node.kernel.read = lambda idents: asked.append(idents) or {}
    assert _use._settled(node.kernel, table, PROCESSES) == ({}, []) and asked == [list(table) if number == 100 else None]
