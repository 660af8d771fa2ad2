# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that root writes: through no symbolic link of another user's, into no folder of theirs, and by no other code than the one that is tested."""

from __future__ import annotations

import ast
import os

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _modules, _own_files
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_record
from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError
from tests.support import ROOT

OTHER = 12345


@pytest.fixture
def belongs_to_another(monkeypatch):
    """``belongs_to_another(path)``: to a user who is neither root nor who runs the module."""

    def give(path):
        if os.geteuid() == 0:
            os.lchown(path, OTHER, OTHER)
        else:
            monkeypatch.setattr(os, "geteuid", lambda: OTHER)

    return give


@pytest.fixture(params=["the file", "its folder", "a link to a link", "relative"])
def led(request, tmp_path, belongs_to_another):
    """A path whose way leads over a link of another user's to a file of root's."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file.conf").write_text("# Written by root: secret\n")
    (tmp_path / "other").mkdir()
    link = tmp_path / "other/link"
    if request.param == "its folder":
        link.symlink_to(tmp_path / "root")
        path = link / "file.conf"
    elif request.param == "a link to a link":
        link.symlink_to(tmp_path / "root/file.conf")
        path = tmp_path / "first.conf"
        path.symlink_to("other/./../other/link")
    else:
        link = tmp_path / "other/file.conf"
        link.symlink_to("../root/file.conf" if request.param == "relative" else tmp_path / "root/file.conf")
        path = link
    belongs_to_another(link)
    return path


@pytest.mark.parametrize("task", [
    _files.target,
    _own_files.read,
    lambda path: _own_files.plan([_own_files.File(path, "new\n")]),
    lambda path: _modules._read_file(path, "path", ""),
], ids=["written", "read", "planned", "listed"])  # fmt: skip
def test_the_link_of_another_user_is_not_followed(led, task, tmp_path):
    with pytest.raises(IpvsError, match="is a symbolic link that belongs to another user") as refusal:
        task(str(led))
    assert str(led) in str(refusal.value) and "secret" not in str(refusal.value)


def test_a_path_from_where_we_are(led, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(IpvsError, match="belongs to another user"):
        _files.check_links(str(led.relative_to(tmp_path)))


def test_links_of_our_own_are_followed(tmp_path):
    (tmp_path / "root").mkdir()
    (tmp_path / "root/file").write_text("text\n")
    (tmp_path / "folder").symlink_to("root")
    (tmp_path / "file").symlink_to("folder/../root/file")
    assert _files.target(str(tmp_path / "file")) == str(tmp_path / "root/file")
    assert _own_files.read(str(tmp_path / "folder/file")).text == "text\n"


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "one").symlink_to("two")
    (tmp_path / "two").symlink_to("one")
    with pytest.raises(IpvsError, match="not a regular file"):
        _files.target(str(tmp_path / "one"))


@pytest.mark.parametrize("number", [1, 39])
def test_the_last_link_that_the_kernel_follows_counts_too(tmp_path, belongs_to_another, number):
    """It follows forty."""
    (tmp_path / "link0").write_text("secret\n")
    for each in range(1, number + 2):
        (tmp_path / f"link{each}").symlink_to(f"link{each - 1}")
    first = tmp_path / f"link{number + 1}"
    assert first.read_text() == "secret\n"
    belongs_to_another(tmp_path / "link1")
    with pytest.raises(IpvsError, match=f"{first}: {tmp_path}/link.* is a symbolic link that belongs to another user"):
        _own_files.read(str(first))


@pytest.mark.parametrize("mode", [0o777, 0o1777])
def test_a_folder_that_others_write_holds_no_record(tmp_path, mode):
    folder = tmp_path / "state"
    folder.mkdir()
    (folder / "drained.json").write_text("[]")
    folder.chmod(mode)
    record = _drain_record.Record(str(folder))
    for use in (record.read, lambda: record.locked().__enter__()):
        with pytest.raises(IpvsError, match=f"state_directory: '{folder}': other users may write there"):
            use()


def test_a_folder_of_another_user_holds_no_record(tmp_path, belongs_to_another):
    folder = tmp_path / "state"
    folder.mkdir()
    belongs_to_another(folder)
    if os.geteuid() != OTHER:
        with pytest.raises(IpvsError, match="state_directory: "):
            _drain_record.Record(str(folder)).read()


def test_a_link_of_another_user_is_no_record(tmp_path, belongs_to_another):
    (tmp_path / "secret").write_text("[]")
    (tmp_path / "state").mkdir()
    (tmp_path / "state/drained.json").symlink_to("../secret")
    belongs_to_another(tmp_path / "state/drained.json")
    with pytest.raises(IpvsError, match="belongs to another user"):
        _drain_record.Record(str(tmp_path / "state")).read()


def writers():
    """{file: the calls in it that write, move or link files}"""
    words = {"atomic_move", "mkstemp", "NamedTemporaryFile", "TemporaryDirectory", "replace_file", "write_text", "link", "symlink", "rename", "copyfile"}
    found = {}
    for path in sorted(ROOT.glob("plugins/**/*.py")):
        for call in ast.walk(ast.parse(path.read_text())):
            if not isinstance(call, ast.Call):
                continue
            function, owner = getattr(call.func, "attr", getattr(call.func, "id", "")), getattr(getattr(call.func, "value", None), "id", "")
            modes = [word.value for word in call.args[1:2] + [each.value for each in call.keywords if each.arg == "mode"] if isinstance(word, ast.Constant)]
            writes = function == "open" and any(isinstance(mode, str) and set(mode) & set("wax+") for mode in modes)
            if writes or (owner in ("os", "tempfile", "shutil", "module") and function in words) or (owner, function) == ("os", "replace"):
                found.setdefault(str(path.relative_to(ROOT / "plugins/module_utils")), set()).add(function)
    return found


def test_who_writes_files():
    """What is new here has to create files with their mode and follow no link: _task/_runner.py does."""
    assert writers() == {
        "_task/_runner.py": {"mkstemp", "replace"},
        "_table/_drain_record.py": {"mkstemp", "replace"},
        "_table/_drain_files.py": {"NamedTemporaryFile", "link"},
        "_keepalived/_use_task.py": {"TemporaryDirectory", "open"},  # what keepalived tries, in a folder of root's
        "_keepalived/_pool_guard.py": {"open", "rename"},  # the program's own record, in /run
        "_keepalived/_election.py": {"open"},  # the handover file, which is there: keepalived's own
        "_node/_sysctls.py": {"open"},  # /proc/sys
        "_node/_network_node.py": {"open"},  # /proc/sys
    }


def test_a_record_leaves_nothing_open(tmp_path):
    record, before = _drain_record.Record(str(tmp_path)), len(os.listdir("/proc/thread-self/fd"))
    _drain_record.replace(record.path, "[]\n", str(tmp_path))
    record.write({})
    assert len(os.listdir("/proc/thread-self/fd")) == before and os.listdir(tmp_path) == []
