# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived where keepalived does not take up its new configuration: the former one comes back, or the error says what did not."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _election, _use
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .keepalived_node import FAILOVER, FIRST, PROCESSES, SECOND, Node, services


@pytest.fixture
def node(tmp_path, monkeypatch):
    return Node(tmp_path, monkeypatch)


def test_the_way_back_where_it_goes_on(node):
    node.starts(services=services(FIRST))
    node.fault = "it has not taken it up"
    message = node.fails(services=services(SECOND), failover=FAILOVER)
    assert message == "it has not taken it up. The former configuration is restored, and keepalived works by it."
    assert node.loaded == node.named() == node.former and node.done.count("reload") == 1


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


def test_a_fault_that_was_there_before_a_change(node, monkeypatch):
    """The change is not to blame for it and stays; the error says that VRRP does not work."""
    node.starts(services=services(FIRST), failover=FAILOVER)
    node.vrrp = "fault"
    monkeypatch.setattr(_election, "_MARGIN", -4)  # no time to recover
    with pytest.raises(IpvsError, match="VRRP does not work: front on eth0 is in state fault"):
        node.manage(services=services(SECOND), failover=FAILOVER)
    assert node.loaded == node.named() != node.former and f"real_server {SECOND} 80" in node.path.read_text()


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


@pytest.mark.parametrize("names", [{"checker's", "vrrp's"}, set()])
def test_processes_that_did_not_agree_before_are_started_again(node, monkeypatch, names):
    """By which configuration they are to work, no reload could tell them."""
    node.starts(services=services(FIRST))
    told = iter([{"new"}, names])
    monkeypatch.setattr(_daemon, "works_by", lambda processes: next(told))
    node.done.clear()
    desired = _use.Desired("new", {}, None, "keepalived.service")
    _use._bring_back(desired, _use.Work([], [], [], [], False, node.processes, names), False, Context(False, True, print, node.run_command))
    assert node.done == ["systemctl reload-or-restart keepalived.service"]


def test_a_fault_that_comes_with_a_change(node, monkeypatch):
    node.starts(services=services(FIRST), failover=FAILOVER)
    real = node._reload

    def reload(*words):
        node.vrrp = "fault"
        return real(*words)

    monkeypatch.setattr(_daemon, "reload", reload)
    monkeypatch.setattr(_election, "_MARGIN", -4)  # no time to recover
    assert "The former configuration is restored" in node.fails(services=services(SECOND), failover=FAILOVER)
    assert node.loaded == node.former


def test_a_fault_that_a_change_mends_is_waited_for_no_longer_than_that(node, monkeypatch):
    node.starts(services=services(FIRST), failover=FAILOVER)
    node.vrrp, real, pauses = "fault", node._reload, []

    def mend(*words):
        node.vrrp = "backup"
        return real(*words)

    monkeypatch.setattr(_daemon, "reload", mend)
    monkeypatch.setattr(_election, "time", SimpleNamespace(monotonic=time.monotonic, sleep=pauses.append))
    node.manage(services=services(SECOND), failover=FAILOVER)
    assert pauses == []


def test_what_was_not_started_is_not_stopped(node, monkeypatch):
    def refuse(*words):
        raise IpvsError("No space left on device")

    monkeypatch.setattr(_use._own_files, "write", refuse)
    with pytest.raises(IpvsError, match="No space left on device"):
        node.manage(services=services(FIRST))
    assert not [command for command in node.done if "stop" in command]


def test_a_child_that_is_new_has_not_ended(node, monkeypatch):
    node.starts(services=services(FIRST))
    node.processes = PROCESSES._replace(vrrp=None)
    real = node._reload

    def begin(*words):
        node.processes = PROCESSES
        return real(*words)

    monkeypatch.setattr(_daemon, "reload", begin)
    assert node.manage(services=services(FIRST), failover=FAILOVER).changed


def test_a_process_that_works_is_waited_for(node, monkeypatch):
    asked = []

    class Wait:
        def __init__(self, least):
            assert least == _use._PAUSE

        def is_over(self, pids):
            asked.append(tuple(pids))
            return True

    node.starts(services=services(FIRST))
    monkeypatch.setattr(_daemon, "Wait", Wait)
    assert not _use._comes_to(lambda processes: False, None) and asked == [tuple(PROCESSES)]
