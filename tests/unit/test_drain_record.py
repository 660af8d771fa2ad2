# SPDX-License-Identifier: GPL-3.0-or-later
"""The record of a drain: a file that is whole, on the disk, and gone when it is not needed."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_record, _model, _places
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError

from .drain_director import HTTP, RS1, Director


@pytest.fixture
def director(monkeypatch, tmp_path):
    return Director(monkeypatch, tmp_path / "state")


def test_a_record_that_cannot_be_removed(tmp_path, monkeypatch):
    record = _drain_record.Record(str(tmp_path))
    (tmp_path / "drained.json").write_text("[]")

    def refuse(path):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(_drain_record.os, "unlink", refuse)
    with pytest.raises(IpvsError, match=f"^{tmp_path}/drained.json: Read-only file system$"):
        record.write({})


def test_in_check_mode_not_even_the_folder_is_made(director, tmp_path):
    assert director.run(RS1, check=True).changed and not (tmp_path / "state").exists()
    director.run(RS1)
    assert (tmp_path / "state").stat().st_mode & 0o7777 == 0o755


def test_what_is_written_and_what_is_removed_reaches_the_disk(tmp_path, monkeypatch):
    reached = []

    def note(handle):
        status = os.fstat(handle)
        reached.append(os.listdir(handle) if stat.S_ISDIR(status.st_mode) else status.st_size > 0)

    monkeypatch.setattr(os, "fsync", note)
    record = _drain_record.Record(str(tmp_path))
    place = _places.Place(_model.service_id(HTTP), _model.ServerId(RS1, 80))
    record.write({place: 3})
    record.write({})
    record.write({})
    assert reached == [True, ["drained.json"], []]
