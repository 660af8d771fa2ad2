# SPDX-License-Identifier: GPL-3.0-or-later
"""From AnsibleModule to an action and back."""

from __future__ import annotations

import errno
import os
import stat

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _runner
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Answer
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError, MissingLibrary, OptionError
from ansible_collections.lvs.ipvs.plugins.module_utils._task._files import NewFile


class Ended(Exception):
    """What exit_json or fail_json was called with."""

    def __init__(self, failed, result):
        self.failed, self.result = failed, result


class FakeModule:
    """As much of AnsibleModule as the runner uses."""

    def __init__(self, diff=False, check=True, **options):
        self.params = {"weight": 1, **options}
        self.check_mode = check
        self._diff = diff
        self.contexts = []
        self.warnings = []

    def warn(self, text):
        self.warnings.append(text)

    def run_command(self, argv):
        return 0, " ".join(argv), ""

    def exit_json(self, **result):
        raise Ended(False, result)

    def fail_json(self, **result):
        raise Ended(True, result)

    def selinux_context(self, path):
        return f"of {os.path.basename(path)}"

    def selinux_default_context(self, path):
        return "of the place"

    def set_context_if_different(self, path, context, changed):
        assert os.path.basename(path).startswith(".ansible_tmp") and os.path.getsize(path) == 0
        self.contexts.append(context)


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


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"path": "/etc/x\0y"}, "path"),
        ({"services": [{}, {"servers": [{"address": "\0"}]}]}, "services[1].servers[0].address"),
        ({"settings": {"net.x\0": 1}}, "settings"),
        ({"names": ["ip_vs", "\0"]}, "names[1]"),
    ],
)
def test_a_null_character_is_refused_before_anything_is_done(options, name):
    ended = end(lambda *words: pytest.fail("the task was begun"), **options)
    assert ended.failed and ended.result["msg"].startswith(f"{name}: ") and ended.result["msg"].endswith(": remove the null character")


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


def write(*files, module=None):
    _runner.write_files(module or FakeModule(), [NewFile(str(path), *rest) for path, *rest in files])


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture
def watched(monkeypatch, tmp_path):
    """[(mode, text)] of every file in the folder, after each step that may have changed what others see of it."""
    seen = []

    def watch(genuine):
        def watching(*words, **options):
            genuine(*words, **options)
            seen.extend((mode_of(path), path.read_text()) for path in tmp_path.iterdir())

        return watching

    for name in ("chmod", "chown", "replace", "fsync"):
        monkeypatch.setattr(os, name, watch(getattr(os, name)))
    return seen


def test_a_new_file_is_readable_by_all_and_one_that_is_there_keeps_its_mode(tmp_path):
    path = tmp_path / "file.conf"
    before = os.umask(0o077)
    try:
        write((path, "one\n"))
    finally:
        os.umask(before)
    assert path.read_text() == "one\n" and mode_of(path) == 0o644
    path.chmod(0o640)
    write((path, "two\udcff\n"))
    assert path.read_bytes() == b"two\xff\n" and mode_of(path) == 0o640
    write((path, "three\n", 0o755))
    assert mode_of(path) == 0o755 and os.listdir(tmp_path) == ["file.conf"]


@pytest.mark.parametrize("former", [None, 0o644, 0o600])
def test_nobody_reads_what_only_root_may_read_not_for_a_moment(tmp_path, watched, former):
    path = tmp_path / "file.conf"
    if former:
        path.write_text("public\n")
        path.chmod(former)
        watched.clear()
    write((path, "secret\n", 0o600))
    assert {mode for mode, text in watched if text == "secret\n"} == {0o600}


def test_none_of_the_files_changes_where_there_is_no_room_for_all(tmp_path, monkeypatch):
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_text("former\n")
    calls = iter([lambda descriptor: None])

    def fsync(descriptor):
        next(calls, full)(descriptor)

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(IpvsError, match=f"^{second}: No space left on device$"):
        write((first, "new\n"), (second, "new\n"))
    assert first.read_text() == "former\n" and os.listdir(tmp_path) == ["first"]


def test_a_missing_folder_is_named_by_the_file(tmp_path):
    with pytest.raises(IpvsError, match=f"^{tmp_path}/missing/file: No such file or directory$"):
        write((tmp_path / "missing/file", "new\n"))


def test_the_context_of_selinux_comes_before_the_text(tmp_path):
    module = FakeModule()
    write((tmp_path / "file", "one\n"), module=module)
    write((tmp_path / "file", "two\n"), module=module)
    assert module.contexts == ["of the place", "of file"]


def test_a_file_is_written_through_a_symbolic_link(tmp_path):
    (tmp_path / "kept").mkdir()
    target, link, other = tmp_path / "kept/file.conf", tmp_path / "file.conf", tmp_path / "other.conf"
    link.symlink_to("kept/file.conf")
    other.symlink_to(link)
    for path, text in ((link, "one\n"), (other, "two\n")):  # at first to a file that isn't there yet
        write((path, text))
        assert path.is_symlink() and target.read_text() == text
    assert not target.is_symlink() and mode_of(target) == 0o644


def test_nothing_but_files_is_replaced(tmp_path):
    pipe, masked, folder, endless = [tmp_path / name for name in ("pipe", "masked.conf", "folder", "endless.conf")]
    os.mkfifo(pipe)
    masked.symlink_to(pipe)
    folder.mkdir()
    endless.symlink_to(endless)
    for path in (pipe, masked, folder, endless):
        with pytest.raises(IpvsError, match="is not a regular file"):
            write((path, "one\n"))
    assert sorted(os.listdir(tmp_path)) == ["endless.conf", "folder", "masked.conf", "pipe"] and os.listdir(folder) == []
    assert masked.is_symlink() and pipe.is_fifo()
