# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of a node where a task is killed at any of its steps, and where the disk is full at any of its writes."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from .conftest import _call, saved
from .modules import ModuleFailed, run_module
from .node_state import CHECKED, DIRECT, LIST, State, Task, clean_node, is_scratch, places, prepared, put_back, steps

pytestmark = [pytest.mark.once, pytest.mark.slow]
RESTORED = {"addresses": ["198.51.100.11"], "state": "restored"}
DRAINED = {"addresses": ["198.51.100.11"], "drain_interval": 0.05}
TASKS = {
    "table": Task("ipvs_table", {"services": LIST, "purge_servers": True, "prune": True, "prune_force": True}),
    "drain": Task("ipvs_drain", DRAINED, back=("ipvs_drain", RESTORED)),
    "drain of a saved table": Task("ipvs_drain", DRAINED, (("ipvs_saved", {}),), ("ipvs_drain", RESTORED)),
    "restore": Task("ipvs_drain", RESTORED, (("ipvs_drain", DRAINED),)),
    "server drained": Task("ipvs_server", {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11", "state": "drained"}),
    "saved": Task("ipvs_saved", {}),
    "saved anew": Task("ipvs_saved", {}, (("ipvs_saved", {}), ("ipvs_table", {"services": LIST, "purge_servers": True}))),
    "saved no more": Task("ipvs_saved", {"state": "absent"}, (("ipvs_saved", {}),)),
    "modules": Task("ipvs_modules", {"names": ["ip_vs_rr"], "schedulers": ["lc"], "options": {"ip_vs": {"conn_tab_bits": 12}}}),
    "sysctls": Task("ipvs_sysctls", {"settings": {"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.vs.expire_nodest_conn": 1}}),
    "sysctls no more": Task("ipvs_sysctls", {"state": "absent"}, (("ipvs_sysctls", {"settings": {"net.ipv4.vs.conn_reuse_mode": 0}}),)),
    "addresses": Task("ipvs_addresses", {"addresses": ["203.0.113.80"], "interface": "lo", "announce": False}),
    "addresses no more": Task(
        "ipvs_addresses", {"state": "absent"}, (("ipvs_addresses", {"addresses": ["203.0.113.80"], "interface": "lo", "announce": False}),)
    ),
    "real server": Task("ipvs_real_server", {"services": DIRECT, "addresses": ["198.51.100.11"]}),
    "real server no more": Task("ipvs_real_server", {"state": "absent"}, (("ipvs_real_server", {"services": DIRECT, "addresses": ["198.51.100.11"]}),)),
    "firewall": Task("ipvs_firewall", {"marks": [{"mark": 7, "address": "203.0.113.80", "ports": ["80"]}], "load": False, "firewalld": False}),
    "keepalived": Task("ipvs_keepalived", {"services": CHECKED}),
    "keepalived anew": Task("ipvs_keepalived", {"services": CHECKED}, (("ipvs_keepalived", {"services": [{**CHECKED[0], "scheduler": "wlc"}]}),)),
}


@pytest.fixture
def node(netns):
    with clean_node():
        yield


def undisturbed(task, before):
    """The State that the task comes to where nothing goes wrong."""
    assert task.run()["changed"], task
    done = State()
    assert not task.run()["changed"], "not idempotent"
    put_back(before)
    assert not State().against(before), "this test cannot go back"
    return done


def whole(now, before, done):
    """Every file is the former one or the new one, never half of it, and with its own mode."""
    for path, content in now.files.items():
        if not is_scratch(path):
            assert content in (before.files.get(path), done.files.get(path)), path
    for path in before.files.keys() & done.files.keys():
        assert path in now.files, f"{path} was lost"


# killed


def killed(number, task):
    """Run the task in a process that is killed before its n-th step; whether it came so far."""

    def kill(count):
        if count == number:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        try:
            steps.begin(kill)
            task.run()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


KILLED = {name: task for name, task in TASKS.items() if task.name != "ipvs_keepalived"}


@pytest.mark.parametrize("task", KILLED.values(), ids=KILLED)
def test_killed_at_every_step(node, task):
    before = prepared(task)
    done = undisturbed(task, before)
    number = 1
    while killed(number, task):
        now = State()
        whole(now, before, done)
        if task.name == "ipvs_drain":
            assert places(now.table) == places(before.table)
        task.run()
        assert not State().without_scratch().against(done), number
        assert not task.run()["changed"], number
        if task.back:
            run_module(task.back[0], **task.back[1])
            assert saved() == before.table, number
        put_back(before)
        number += 1
    assert number > 2


# the disk

MS_REMOUNT, MS_BIND, MNT_DETACH = 32, 4096, 2
SMALL = "/small-disk"


def set_free(pages):
    """Have so many pages left on the small disk."""
    room = os.statvfs(SMALL)
    size = (room.f_blocks - room.f_bfree) * room.f_frsize + pages * 4096
    _call("mount", None, SMALL.encode(), None, MS_REMOUNT, b"size=%d" % max(size, 4096))


@pytest.fixture
def small_disk():
    """/etc and what else the modules write to lie on a disk of a few pages."""
    os.makedirs(SMALL, exist_ok=True)
    mounted = [SMALL]
    _call("mount", b"small", SMALL.encode(), b"tmpfs", 0, b"size=8m")
    try:
        Path(SMALL, "ballast").write_bytes(bytes(4096))
        for number, folder in enumerate(("/etc", "/var/lib", "/usr/local")):
            upper, work = f"{SMALL}/{number}/upper", f"{SMALL}/{number}/work"
            os.makedirs(upper)
            os.makedirs(work)
            shutil.copystat(folder, upper)
            _call("mount", b"overlay", folder.encode(), b"overlay", 0, f"lowerdir={folder},upperdir={upper},workdir={work}".encode())
            mounted.append(folder)
        yield
    finally:
        for folder in reversed(mounted):
            _call("umount2", folder.encode(), MNT_DETACH)


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_the_disk_is_full_at_every_write(small_disk, node, task):
    before = prepared(task)
    done = undisturbed(task, before)
    if before.files == done.files and task.name in ("ipvs_table", "ipvs_server"):
        set_free(0)
        task.run()  # it needs no disk
        return
    messages = []
    for pages in range(100):
        put_back(before)
        set_free(pages)
        try:
            result = task.run()
        except ModuleFailed as failure:
            result = failure.result
        set_free(1000)
        if not result.get("failed"):
            break
        now = State()
        if task.name == "ipvs_drain" and result.get("changed"):  # the weights are 0 and on record: what it has begun, it goes on with
            whole(now, before, done)
            assert now.table == done.table, (pages, result)
        else:
            assert now.files == before.files, (pages, result)
            assert now.table == before.table and now.sysctls == before.sysctls, (pages, result)
        message = result["msg"]
        assert "No space left on device" in message and "Traceback" not in result.get("exception", ""), result
        assert any(path in message for path in {*before.files, *done.files}), message
        messages.append(message)
        task.run()
        assert not State().against(done), pages
    assert not State().against(done)
    assert messages or before.files.keys() > done.files.keys(), "it needed no room, and did not only remove"
