# SPDX-License-Identifier: GPL-3.0-or-later
"""From AnsibleModule to an action and back."""

from __future__ import annotations

import os
import stat

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _runner
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, MissingLibrary, OptionError


class Ended(Exception):
    """What exit_json or fail_json was called with."""

    def __init__(self, failed, result):
        self.failed, self.result = failed, result


class FakeModule:
    """As much of AnsibleModule as the runner uses."""

    def __init__(self, tmpdir=None, diff=False, check=True, **options):
        self.params = {"weight": 1, **options}
        self.check_mode = check
        self._diff = diff
        self.tmpdir = tmpdir
        self.modes = []
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def run_command(self, argv):
        return 0, " ".join(argv), ""

    def exit_json(self, **result):
        raise Ended(False, result)

    def fail_json(self, **result):
        raise Ended(True, result)

    def atomic_move(self, source, target):
        os.replace(source, target)

    def set_mode_if_different(self, path, mode, changed):
        os.chmod(path, mode)
        self.modes.append(mode)


def end(action, **settings):
    with pytest.raises(Ended) as ended:
        _runner.run(FakeModule(**settings), action)
    return ended.value


def test_an_answer():
    def action(options, context):
        assert options == {"weight": 1} and context.check_mode and not context.diff
        assert context.run_command(["echo", "hi"]) == (0, "echo hi", "")
        return Answer(True, {"server": None}, "a", "b")

    ended = end(action)
    assert not ended.failed and ended.result == {"changed": True, "server": None, "invocation": {"module_args": {"weight": 1}}}


def test_of_a_long_list_the_result_repeats_the_length():
    ended = end(lambda options, context: Answer(False, {"services": len(options["services"])}), services=["x"] * 101, names=["x"] * 100)
    assert ended.result["invocation"]["module_args"] == {"weight": 1, "services": "101 elements", "names": ["x"] * 100}
    assert ended.result["services"] == 101


def test_a_diff_is_there_when_it_is_asked_for():
    assert end(lambda options, context: Answer(False, {}, "a", "a"), diff=True).result["diff"] == {"before": "a", "after": "a"}
    # ipvs_info has none
    assert "diff" not in end(lambda options, context: Answer(False, {}), diff=True).result


def failing(error, **settings):
    def action(options, context):
        raise error

    return end(action, **settings)


def test_a_failure_is_its_message_and_its_details():
    ended = failing(IpvsError("no such thing", commands=["x"], changed=True))
    assert ended.failed and ended.result == {"msg": "no such thing", "commands": ["x"], "changed": True}
    assert failing(OptionError("servers[0].weight", -1, "no")).result["msg"] == "servers[0].weight: -1: no"


def test_a_missing_library_is_told_the_usual_way():
    ended = failing(MissingLibrary("pyroute2", "python3-pyroute2", "the trace"), check=False)
    assert ended.failed
    assert "Failed to import the required Python library (pyroute2 (Debian, Ubuntu, Fedora: python3-pyroute2))" in ended.result["msg"]
    assert ended.result["exception"] == "the trace"


def test_a_check_without_the_library_says_that_it_compares_nothing():
    """Of a fresh node, where an earlier task would install it."""
    module = FakeModule()

    def action(options, context):
        raise MissingLibrary("pyroute2", "python3-pyroute2", "the trace")

    with pytest.raises(Ended) as ended:
        _runner.run(module, action)
    assert not ended.value.failed
    assert ended.value.result == {"changed": False, "skipped": True, "differences": ["pyroute2 is not installed"], "commands": []}
    assert len(module.warnings) == 1 and "the changes cannot be determined" in module.warnings[0]


def test_a_bug_stays_a_bug():
    with pytest.raises(ZeroDivisionError):
        _runner.run(FakeModule(), lambda options, context: 1 / 0)


def test_write_file(tmp_path):
    target = tmp_path / "file.conf"
    module = FakeModule(tmpdir=str(tmp_path))
    _runner.write_file(module, str(target), "one\n")
    assert target.read_text() == "one\n" and stat.S_IMODE(target.stat().st_mode) == 0o644
    _runner.write_file(module, str(target), "two\udcff\n")
    assert target.read_bytes() == b"two\xff\n"
    assert module.modes == [0o644], "a file that is there keeps its mode"
    assert os.listdir(tmp_path) == ["file.conf"]


def test_write_file_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / "kept").mkdir()
    target, link, other = tmp_path / "kept/file.conf", tmp_path / "file.conf", tmp_path / "other.conf"
    module = FakeModule(tmpdir=str(tmp_path))
    link.symlink_to("kept/file.conf")
    other.symlink_to(link)
    for path, text in ((link, "one\n"), (other, "two\n")):  # at first to a file that isn't there yet
        _runner.write_file(module, str(path), text)
        assert path.is_symlink() and target.read_text() == text
    assert not target.is_symlink() and module.modes == [0o644]


def test_write_file_replaces_nothing_but_files(tmp_path):
    module = FakeModule(tmpdir=str(tmp_path))
    pipe, masked, folder, endless = [tmp_path / name for name in ("pipe", "masked.conf", "folder", "endless.conf")]
    os.mkfifo(pipe)
    masked.symlink_to(pipe)
    folder.mkdir()
    endless.symlink_to(endless)
    for path in (pipe, masked, folder, endless):
        with pytest.raises(IpvsError, match="is not a regular file"):
            _runner.write_file(module, str(path), "one\n")
    assert sorted(os.listdir(tmp_path)) == ["endless.conf", "folder", "masked.conf", "pipe"] and os.listdir(folder) == []
    assert masked.is_symlink() and pipe.is_fifo()
