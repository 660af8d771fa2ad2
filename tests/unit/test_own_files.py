# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that a module owns whole, on a real disk. What another user may have put there is in tests/hostile."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._node._own_files import Change, File
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, OptionError

from . import plain_files

OWN = f"{os.geteuid()}:{os.getegid()}"
CONTEXT = Context(False, True, lambda text: None, write_files=plain_files.write_files)


@pytest.fixture
def place(tmp_path):
    return str(tmp_path / "folder/file")


def wanted(path, text="text\n", mode=0o644):
    return File(path, text, mode, OWN)


def have(*files):
    changes = _own_files.plan(files)
    _own_files.write(changes, CONTEXT)
    return _own_files.differences(changes)


def test_a_file_comes_with_its_folder_and_goes(place, tmp_path):
    assert _own_files.read(place) == File(place, None, None)
    assert have(wanted(place)) == [f"{place} is missing"]
    assert _own_files.read(place) == File(place, "text\n", 0o644, OWN) and (tmp_path / "folder").stat().st_mode & 0o7777 == 0o755
    assert have(wanted(place)) == []
    assert have(wanted(place, None)) == [f"{place} is there and is no longer needed"] and not os.path.exists(place)
    assert have(wanted(place, None)) == []


def test_what_differs_is_told(place):
    have(wanted(place))
    assert _own_files.differences(_own_files.plan([wanted(place, "other\n", 0o600)])) == [f"{place} is not as it should be"]
    assert have(wanted(place, mode=0o600)) == [f"{place}: mode and owner are 0644 {OWN}, not 0600 {OWN}"]
    assert _own_files.read(place).mode == 0o600
    other = wanted(place, mode=0o600)._replace(owner="7:8")
    assert _own_files.differences(_own_files.plan([other])) == [f"{place}: mode and owner are 0600 {OWN}, not 0600 7:8"]


def test_text_that_is_not_utf_8_is_read_and_written_back(place, tmp_path):
    have(wanted(place))
    (tmp_path / "folder/file").write_bytes(b"a\xff\n")
    found = _own_files.read(place)
    assert found.text == "a\udcff\n"
    assert [change.found for change in _own_files.plan([wanted(place)])] == [found]


def test_what_is_no_file(place, tmp_path):
    (tmp_path / "folder/file").mkdir(parents=True)
    with pytest.raises(IpvsError, match=f"^{place}: {os.strerror(errno.EISDIR)}$"):
        _own_files.read(place)
    assert _own_files.read(place + "/x").text is None
    (tmp_path / "text").write_text("")
    assert _own_files.read(str(tmp_path / "text/x")).text is None  # below a file there is none
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "null").symlink_to("/dev/null")
    with pytest.raises(IpvsError, match="null is a symbolic link to /dev/null, which is not a regular file: remove the link, or use another path"):
        _own_files.plan([wanted(str(tmp_path / "null"))])


def test_a_folder_that_cannot_be_made_is_named(place, tmp_path):
    (tmp_path / "folder").write_text("a file")
    with pytest.raises(IpvsError, match=f"^{place}: {os.strerror(errno.EEXIST)}$"):
        have(wanted(place))
    with pytest.raises(IpvsError, match=f"^{place}: {os.strerror(errno.ENOTDIR)}$"):
        _own_files.write([Change(wanted(place), wanted(place, None))], CONTEXT)


def test_what_was_changed_is_put_back_and_the_rest_is_not_touched(place, tmp_path):
    have(wanted(place, "old\n", 0o600))
    other = str(tmp_path / "folder/other")
    changes = _own_files.plan([wanted(place), wanted(other)])
    _own_files.write(changes[:1], CONTEXT)
    before = os.stat(place).st_ino, sorted(os.listdir(tmp_path / "folder"))
    _own_files.put_back(changes, CONTEXT)
    assert _own_files.read(place) == wanted(place, "old\n", 0o600) and before[1] == ["file"]
    _own_files.write(changes, CONTEXT)
    _own_files.put_back(changes, CONTEXT)
    assert os.listdir(tmp_path / "folder") == ["file"]


def test_files_as_text(place):
    assert _own_files.shown([wanted(place, "one\n"), wanted("/gone", None), wanted("/two", "two\n")]) == f"# {place}\none\n# /two\ntwo\n"


@pytest.mark.parametrize(("user", "owner", "followed"), [(0, 0, True), (0, 1, False), (1000, 0, True), (1000, 1000, True), (1000, 1, False), (1, 1000, False)])
def test_whose_links_are_followed(tmp_path, monkeypatch, user, owner, followed):
    """Root's, and those of whoever runs the task."""
    (tmp_path / "file").write_text("text\n")
    (tmp_path / "link").symlink_to("file")
    genuine = os.lstat(tmp_path / "link")
    fake = os.stat_result((*genuine[:4], owner, *genuine[5:]))
    lstat = os.lstat
    monkeypatch.setattr(os, "lstat", lambda path, **more: fake if os.fspath(path) == str(tmp_path / "link") else lstat(path, **more))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if followed:
        _files.check_links(str(tmp_path / "link"))
    else:
        with pytest.raises(IpvsError, match=f"link is a symbolic link that belongs to another user .UID {owner}"):
            _files.check_links(str(tmp_path / "link"))


@pytest.mark.parametrize(
    ("user", "owner", "group", "mode", "taken"),
    [
        (0, 0, 0, 0o700, True), (0, 1, 0, 0o700, False), (1000, 1000, 0, 0o700, True), (1000, 0, 0, 0o700, True), (1000, 1, 0, 0o700, False),
        (0, 0, 0, 0o702, False), (0, 0, 0, 0o770, True), (0, 0, 1, 0o770, False), (0, 0, 1, 0o750, True),
    ],
)  # fmt: skip
def test_whose_folders_are_taken(tmp_path, monkeypatch, user, owner, group, mode, taken):
    genuine = os.stat(tmp_path)
    fake = os.stat_result((stat.S_IFDIR | mode, *genuine[1:4], owner, group, *genuine[6:]))
    real = os.stat
    monkeypatch.setattr(_files, "check_links", lambda path: None)
    monkeypatch.setattr(os, "stat", lambda path, **more: fake if path == str(tmp_path) else real(path, **more))
    monkeypatch.setattr(os, "geteuid", lambda: user)
    if taken:
        _files.check_folder(str(tmp_path), "state_directory")
    else:
        with pytest.raises(OptionError, match="state_directory: .*: other users may write there"):
            _files.check_folder(str(tmp_path), "state_directory")


def test_a_link_that_leads_to_no_file_can_be_removed(tmp_path):
    (tmp_path / "masked").symlink_to("/dev/null")
    (change,) = _own_files.plan([_own_files.File(str(tmp_path / "masked"), None)])
    assert change.wanted.text is None
    with pytest.raises(IpvsError, match="is not a regular file"):
        _own_files.plan([_own_files.File(str(tmp_path / "masked"), "text")])
