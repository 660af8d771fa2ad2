# SPDX-License-Identifier: GPL-3.0-or-later
"""The sync daemons on a fake kernel."""

from __future__ import annotations

import errno

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _multicast, _settings, _settings_tasks, _tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from .task_node import WEB, Node


@pytest.fixture
def node(monkeypatch):
    return Node(monkeypatch)


DAEMON = _settings.Daemon("master", "eth0", 7, 1472, "224.0.0.81", 8848, 1)


@pytest.mark.parametrize("check", [True, False])
def test_a_daemon_that_cannot_start_is_refused_before_the_one_that_runs_is_stopped(node, monkeypatch, check):
    node.kernel.running_daemons["master"] = DAEMON
    node.kernel.read_only = True
    asked = []

    def refuse(daemon, netns):
        asked.append((daemon, netns))
        raise OptionError("interface", daemon.interface, "there is no such interface")

    monkeypatch.setattr(_multicast, "check_daemon", refuse)
    with pytest.raises(OptionError, match="interface: 'eth1': there is no such interface"):
        node.run(_settings_tasks.manage_sync_daemon, check=check, role="master", interface="eth1", netns="blue")
    assert asked == [(DAEMON._replace(interface="eth1"), "blue")]
    # nothing is asked where nothing is to start
    same = node.run(_settings_tasks.manage_sync_daemon, check=check, role="master", interface="eth0")
    assert not same.changed and same.values["sync_daemon"] == DAEMON._asdict()
    none = node.run(_settings_tasks.manage_sync_daemon, check=check, role="backup", state="absent")
    assert not none.changed and none.values["sync_daemon"] is None
    assert len(asked) == 1


@pytest.mark.parametrize("check", [True, False])
def test_no_daemon_starts_beside_a_server_of_the_other_family(node, check):
    node.run(_tasks.manage_service, **WEB, servers=[{"address": "2001:db8::11", "forward_method": "tun"}])
    node.kernel.read_only = True
    with pytest.raises(IpvsError, match=r"another address family than its service: \[2001:db8::11\]:80 of service tcp 203.0.113.80:80. Remove"):
        node.run(_settings_tasks.manage_sync_daemon, check=check, role="master", interface="eth0")


@pytest.mark.parametrize("back", [True, False])
def test_a_daemon_that_does_not_start_all_the_same(node, back):
    node.kernel.running_daemons["master"] = DAEMON
    node.kernel.refuse = {1: errno.EADDRINUSE} if back else {1: errno.EADDRINUSE, 2: errno.ENODEV}
    with pytest.raises(IpvsError, match="start daemon .master.: the kernel answered EADDRINUSE") as failure:
        node.run(_settings_tasks.manage_sync_daemon, role="master", multicast_port=8849)
    assert node.kernel.running_daemons == ({"master": DAEMON} if back else {})
    if back:
        assert "The master sync daemon runs as before: ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7" in str(failure.value)
    else:
        assert "The master sync daemon that ran before does not run" in str(failure.value) and failure.value.details["changed"]


def test_a_daemon_that_started_and_cannot_be_read_afterwards_is_a_change(node, monkeypatch):
    genuine = node.kernel.daemons

    def daemons():
        if node.kernel.running_daemons:
            raise IpvsError("read the table: the kernel answered EAGAIN")
        return genuine()

    monkeypatch.setattr(node.kernel, "daemons", daemons)
    with pytest.raises(IpvsError, match="EAGAIN") as failure:
        node.run(_settings_tasks.manage_sync_daemon, role="master", interface="eth0")
    assert failure.value.details["changed"] is True
    assert [command.split(" --mcast")[0] for command in failure.value.details["commands"]] == ["ipvsadm --start-daemon master"]


@pytest.mark.parametrize(("number", "shown"), [(20, ", eth19"), (21, ", eth19 and others")])
def test_the_interfaces_that_there_are(monkeypatch, number, shown):
    monkeypatch.undo()
    monkeypatch.setattr(_multicast.socket, "if_nameindex", lambda: [(index, f"eth{index}") for index in range(number)])
    with pytest.raises(OptionError, match=f"there are eth0, eth1, .*{shown}$"):
        _multicast.check_daemon(DAEMON._replace(interface="no-such-if"), None)


@pytest.mark.parametrize("check", [True, False])
def test_what_is_odd_about_a_daemon_is_a_warning(node, monkeypatch, check):
    monkeypatch.setattr(_multicast, "check_daemon", lambda daemon, netns: "interface eth0 has no IPv4 address")
    assert node.run(_settings_tasks.manage_sync_daemon, check=check, role="master", interface="eth0").changed
    assert node.warnings == ["interface eth0 has no IPv4 address"]
