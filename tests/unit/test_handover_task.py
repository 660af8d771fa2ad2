# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_handover with a made-up keepalived, which speaks with the words of a real one."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _daemon, _handover_task, _info_task
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import plain_files
from .test_keepalived_state import text

MASTER = text("2.3.3", "handover")
BACKUP = MASTER.replace("State = MASTER", "State = BACKUP").replace(" scope global set", " scope global")


class Director:
    """``follows``: whether another director takes over when the priority is lowered; ``reads``: whether keepalived reads the file."""

    def __init__(self, path, monkeypatch):
        self.path, self.written = path, []
        self.processes = _daemon.Processes(10, 11, 12)
        self.follows = self.reads = True
        self.fault = None
        path.write_text("0\n")
        self.content = 0
        monkeypatch.setattr(_daemon, "find", lambda netns, context: self.processes)
        monkeypatch.setattr(_daemon, "vrrp_data", self.data)
        monkeypatch.setattr(_handover_task, "_PAUSE", 0.001)

    def data(self, processes):
        if self.reads:
            self.content = int(self.path.read_text())
        words = BACKUP if self.content and self.follows else MASTER
        return words.replace("/var/lib/ipvs-director/handover", str(self.path)).replace("  Status = 0\n", f"  Status = {self.content}\n")

    def write(self, files):
        if self.fault:
            raise OSError(28, self.fault)
        self.written += [(file.path, file.text) for file in files]
        plain_files.write_files(files)

    def run(self, state, check=False, wait_for=None, timeout=None):
        context = Context(check, True, None, None, self.write)
        self.written.clear()
        return _handover_task.manage_handover({"state": state, "wait_for": wait_for, "timeout": timeout}, context)


@pytest.fixture
def director(tmp_path, monkeypatch):
    return Director(tmp_path / "handover", monkeypatch)


def test_there_and_back(director):
    foretold = director.run("lowered", check=True, wait_for="backup")
    assert (foretold.changed, director.written, foretold.values["handover"]["lowered"]) == (True, [], False)
    done = director.run("lowered", wait_for="backup")
    assert (done.changed, done.before, done.after) == (True, foretold.before, foretold.after) == (True, f"{director.path}: 0\n", f"{director.path}: 1\n")
    assert director.written == [(str(director.path), "1\n")]
    assert (done.values["master"], done.values["handover"]) == (False, {"file": str(director.path), "lowered": True})
    assert 0 <= done.values["seconds"] < 60
    again = director.run("lowered", wait_for="backup")
    assert (again.changed, director.written, again.before) == (False, [], again.after)
    at_once = director.run("lowered")
    assert {**at_once.values, "seconds": 0} == {**again.values, "seconds": 0} and not at_once.changed
    back = director.run("restored", wait_for="master")
    assert (back.changed, back.values["master"], director.path.read_text()) == (True, True, "0\n")


def test_it_looks_again_until_another_has_taken_over(director, monkeypatch):
    director.reads, looks = False, []
    monkeypatch.setattr(_handover_task.time, "sleep", lambda seconds: looks.append(setattr(director, "reads", len(looks) == 2)))
    assert director.run("lowered", wait_for="backup").values["master"] is False and len(looks) == 3


def test_where_nobody_takes_over_the_file_is_put_back(director):
    director.follows = False
    expected = r"has not become backup within 0.01 seconds: front is master, back is master\. .*handover is as it was before"
    with pytest.raises(IpvsError, match=expected) as failure:
        director.run("lowered", wait_for="backup", timeout=0.01)
    assert director.path.read_text() == "0\n" and "changed" not in failure.value.details
    # what was like that before stays
    director.path.write_text("1\n")
    with pytest.raises(IpvsError, match="has not become backup within 0.01 seconds: front is master, back is master$"):
        director.run("lowered", wait_for="backup", timeout=0.01)
    assert director.path.read_text() == "1\n"


def test_a_backup_whose_address_stays_is_none_yet(director):
    """Every instance is in the state, and has its addresses, or none."""
    assert director.run("restored", wait_for="master", timeout=0.01).changed is False
    director.run("lowered", wait_for="backup")
    words = BACKUP.replace("198.51.100.250 dev eth0 scope global", "198.51.100.250 dev eth0 scope global set").replace("   Status = 0", "   Status = 1")
    instances = _handover_task._state.instances(words)
    assert not _handover_task._is_in("backup", instances) and _handover_task._is_in(None, instances)
    assert not _handover_task._is_in("master", instances)


def test_it_waits_until_keepalived_has_read_the_file(director):
    director.reads = False
    with pytest.raises(IpvsError, match="has not become lowered within 0.01 seconds"):
        director.run("lowered", timeout=0.01)
    assert director.path.read_text() == "0\n"


def test_it_waits_where_keepalived_has_just_lost_the_file(director, monkeypatch):
    """As long as it reads its configuration again."""
    looks, genuine = [], _info_task.handover_file
    monkeypatch.setattr(_info_task, "handover_file", lambda vrrp: looks.append(vrrp) or (None if len(looks) == 2 else genuine(vrrp)))
    assert director.run("lowered", wait_for="backup").changed and len(looks) > 3


def test_the_time_is_the_preempt_delay_and_more(director):
    assert _handover_task._patience({"timeout": None}, MASTER) == 35
    assert _handover_task._patience({"timeout": None}, "") == 30
    assert _handover_task._patience({"timeout": 2.5}, MASTER) == 2.5
    with pytest.raises(OptionError, match="timeout: -1: "):
        director.run("lowered", timeout=-1)


def test_what_cannot_be_handed_over(director):
    director.processes = director.processes._replace(vrrp=None)
    with pytest.raises(IpvsError, match="keepalived has no VRRP instance on this director"):
        director.run("lowered")
    director.processes = None
    with pytest.raises(IpvsError, match="keepalived does not run on this director"):
        director.run("lowered")


def test_a_keepalived_without_the_file(director, monkeypatch):
    monkeypatch.setattr(_daemon, "vrrp_data", lambda processes: text("2.2.7", "vrrp"))
    with pytest.raises(IpvsError, match="no handover file.*failover.handover_file"):
        director.run("lowered", check=True)


def test_a_file_that_cannot_be_written(director):
    director.fault = "No space left on device"
    with pytest.raises(IpvsError, match="OSError: .*No space left on device. Putting .*handover back failed: .*No space left") as failure:
        director.run("lowered")
    assert failure.value.details == {"changed": True}


def test_a_file_that_was_lost_says_afterwards_what_it_means(director):
    director.path.unlink()
    director.reads = False
    with pytest.raises(IpvsError, match="has not become lowered within 0.01 seconds. .* is as it was before"):
        director.run("lowered", timeout=0.01)
    assert director.path.read_text() == "0\n"


def test_the_time_that_it_took_is_told_in_tenths_of_a_second(director, monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(_handover_task, "time", SimpleNamespace(monotonic=lambda: 0.16 * next(clock), sleep=lambda seconds: None))
    assert director.run("lowered", check=True).values["seconds"] == 0.2
