# SPDX-License-Identifier: GPL-3.0-or-later
"""What is given as a network namespace and is none: the option is named, the task ends, and the process stays where it is."""

from __future__ import annotations

import contextlib
import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from ansible_collections.lvs.ipvs.plugins.module_utils._table._drain_record import Record
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

PATHS = ["../../proc/self/ns/net", "./proc/self/ns/net", "proc/self/ns/net"]  # from the root folder
NAMES = [*PATHS, "a\0b", "\ud800", "", ".", "..", "../..", "/etc/passwd", "/dev/zero", "no such name", "x" * 5000]


def entered(name):
    with _netns.inside(name):
        return True


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_it_is_refused_by_its_name(name, monkeypatch):
    monkeypatch.chdir("/")
    here = os.readlink("/proc/thread-self/ns/net")
    with pytest.raises(IpvsError, match=r"\Anetns: ") as refusal:
        entered(name)
    assert "needs root" not in str(refusal.value)
    assert os.readlink("/proc/thread-self/ns/net") == here


def test_a_named_pipe_keeps_nobody_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(IpvsError, match=r"\Anetns: "):
        entered(str(tmp_path / "pipe"))


def test_nothing_stays_open():
    before = len(os.listdir("/proc/thread-self/fd"))
    with contextlib.suppress(IpvsError):  # entering it needs root
        entered("/proc/thread-self/ns/net")
    assert len(os.listdir("/proc/thread-self/fd")) == before


@pytest.mark.parametrize("name", [name for name in NAMES if name and name.isprintable()], ids=ascii)
def test_the_record_of_a_drain_stays_in_its_folder(tmp_path, name):
    assert os.path.dirname(os.path.realpath(Record(str(tmp_path), name).path)) == str(tmp_path)
