# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived_info on a fake kernel, with what a real keepalived has told of itself."""

from __future__ import annotations

import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _info_task
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _table_tasks
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .task_node import Node
from .test_keepalived_state import text

ALL = _daemon.Processes(10, 11, 12)


class Director:
    """A machine with a fake kernel and a keepalived. ``processes``: None where it does not run."""

    def __init__(self, monkeypatch, folder):
        self.node = Node(monkeypatch)
        self.folder = folder
        self.processes = None
        self.vrrp = text("2.3.3", "vrrp")
        self.checker = text("2.3.3", "checker")
        monkeypatch.setattr(_daemon, "find", lambda netns, context: self.processes)
        monkeypatch.setattr(_daemon, "version", lambda context, processes: "2.3.3")
        monkeypatch.setattr(_daemon, "vrrp_data", lambda processes: self.vrrp)
        monkeypatch.setattr(_daemon, "checker_data", lambda processes: self.checker)
        monkeypatch.setattr(_drain_files, "FOLDER", str(folder))

    def drain_file(self, name, content, written=0):
        self.folder.mkdir(exist_ok=True)
        (self.folder / name).write_text(content)
        os.utime(self.folder / name, (written, written))

    def read(self):
        answer = self.node.run(_info_task.read_keepalived)
        assert not answer.changed  # it only looks
        return answer.values


@pytest.fixture
def director(monkeypatch, tmp_path):
    return Director(monkeypatch, tmp_path / "drain")


def test_nothing_runs(director):
    assert director.read() == {
        "version": "2.3.3",
        "running": False,
        "processes": {"parent": None, "checker": None, "vrrp": None},
        "instances": [],
        "master": None,
        "handover": None,
        "services": [],
        "drained": [],
    }


def test_it_needs_no_kernel_where_there_are_no_services(director):
    director.node.modules = {"ip_vs": "missing"}
    director.node.loaded = False
    director.processes = ALL._replace(checker=None)
    values = director.read()
    assert (values["running"], values["services"], values["master"]) == (True, [], False)
    director.processes = ALL
    assert {server["weight"] for service in director.read()["services"] for server in service["servers"]} == {None}


def test_instances(director):
    director.processes = ALL
    front, back, broken = director.read()["instances"]
    assert front == {
        "name": "front",
        "state": "master",
        "since": "2026-11-22T00:52:37Z",
        "interface": "d0",
        "router_id": 51,
        "priority": 150,
        "effective_priority": 150,
        "sync_group": "directors",
        "preempt_delay": 0,
        "addresses": [
            {"address": "203.0.113.80", "interface": "d0", "present": True},
            {"address": "2001:db8::80", "interface": "d0", "present": True},
        ],
    }
    assert (back["state"], broken["state"], broken["sync_group"]) == ("master", "fault", None)


def test_master_is_who_is_master_of_all(director):
    director.processes = ALL
    assert director.read()["master"] is False
    director.vrrp = director.vrrp.replace("   State = FAULT", "   State = MASTER")
    assert director.read()["master"] is True
    director.processes = ALL._replace(vrrp=None)
    assert director.read()["master"] is None


@pytest.mark.parametrize(("version", "lowered"), [("2.2.7", True), ("2.3.3", False)])
def test_the_file_by_which_it_is_handed_over(director, version, lowered):
    director.processes = ALL
    assert director.read()["handover"] is None
    director.vrrp = text(version, "handover")
    assert director.read()["handover"] == {"file": "/var/lib/ipvs-director/handover", "lowered": lowered}
    director.vrrp = director.vrrp.replace(" Track file = handover", " Track file = another")
    assert director.read()["handover"] is None


def test_servers_and_what_the_kernel_has_of_them(director):
    director.processes = ALL
    servers = [{"address": "198.51.100.11", "forward_method": "nat", "weight": 7}, {"address": "198.51.100.12", "forward_method": "nat", "weight": 0}]
    director.node.run(_table_tasks.manage_table, services=[{"address": "203.0.113.80", "port": 80, "servers": servers}, {"fwmark": 7}])
    services = director.read()["services"]
    first = services[0]
    assert (first["address"], first["port"], first["protocol"], first["quorum_up"]) == ("203.0.113.80", 80, "tcp", True)
    up = {"up": True, "ran": True}
    assert first["servers"][:2] == [
        {
            "address": "198.51.100.11",
            "port": 80,
            "health": "up",
            "checks": [{"type": "tcp", **up}, {"type": "file", **up}],
            "drained": False,
            "configured_weight": 5,
            "weight": 7,
        },
        {
            "address": "198.51.100.12",
            "port": 80,
            "health": "up",
            "checks": [{"type": "tcp", **up}, {"type": "file", **up}],
            "drained": True,
            "configured_weight": 5,
            "weight": 0,
        },
    ]
    assert [(server["health"], server["weight"]) for server in first["servers"][2:]] == [("down", None), ("down", None), ("unknown", None)]
    assert [service.get("family") for service in services if "fwmark" in service] == ["ipv4", "ipv6"]


def test_a_group_of_services_is_left_out(director):
    director.processes = ALL
    assert len(director.read()["services"]) == 6
    assert director.node.warnings == ["the virtual server group [many]:0 is left out: its services have one health for all of them"]


@pytest.mark.parametrize(
    ("content", "drained"),
    [("-100000\n", True), ("-100000", True), (" -200000 # for the update\n", True), ("0\n", False), ("-99999\n", False), ("", False), ("down", False)],
)
def test_drained(director, content, drained):
    director.drain_file("2001:db8::11", content, written=86400)
    expected = [{"address": "2001:db8::11", "since": "1970-01-02T00:00:00Z"}] if drained else []
    assert director.read()["drained"] == expected


def test_what_else_is_in_the_folder(director):
    director.drain_file("198.51.100.12", "-100000")
    director.drain_file("198.51.100.11", "-100000")
    (director.folder / "old").mkdir()
    (director.folder / "gone").symlink_to("nowhere")
    assert [each["address"] for each in director.read()["drained"]] == ["198.51.100.11", "198.51.100.12"]
    (director.folder / "circle").symlink_to("circle")
    with pytest.raises(IpvsError, match="drain/circle: Too many levels"):
        director.read()
