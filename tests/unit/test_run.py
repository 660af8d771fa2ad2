# SPDX-License-Identifier: GPL-3.0-or-later
"""The counting of tests/run.py: nothing that went wrong may count as passed."""

import sys

import pytest

from tests import run

GOOD = "def test_good(): pass\n"
BAD = "def test_bad(): raise ValueError\n"
SKIPPED = "import pytest\ndef test_skipped(): pytest.skip('no kernel')\n"
BROKEN_FIXTURE = "import pytest\n@pytest.fixture\ndef broken(): raise ValueError\ndef test_broken(broken): pass\n"


@pytest.fixture(autouse=True)
def apart(tmp_path, monkeypatch):
    """Nothing of these runs comes into the checkout, as pytest-ansible's folder of collections would."""
    monkeypatch.setattr(run, "RESULTS", tmp_path)
    monkeypatch.setitem(run.ENVIRONMENT, "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


@pytest.fixture
def count():
    """Run a stage of one command; return passed, failed and skipped tests."""

    def count(*command):
        outcome = run.run(run.Stage("stage", "title", (command,)))
        return outcome.passed, outcome.failed, outcome.skipped

    return count


@pytest.fixture
def count_pytest(count, tmp_path):
    def count_pytest(text, *arguments):
        file = tmp_path / "test_stage.py"
        file.write_text(text)
        return count(sys.executable, "-m", "pytest", f"--junitxml={tmp_path}/report.xml", "-p", "no:cacheprovider", *arguments, str(file))

    return count_pytest


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, (1, 0, 0)),
        (GOOD + BAD, (1, 1, 0)),
        (GOOD + SKIPPED, (1, 0, 1)),
        (GOOD + BROKEN_FIXTURE, (1, 1, 0)),
        ("", (0, 1, 0)),
        ("syntax error", (0, 1, 0)),
        (GOOD + "import os, atexit\natexit.register(os._exit, 3)\n", (1, 1, 0)),
    ],
)
def test_a_run_of_pytest_counts_by_its_report(count_pytest, text, expected):
    assert count_pytest(text) == expected


def test_a_run_of_pytest_without_a_report_has_failed(count_pytest):
    assert count_pytest(GOOD) == (1, 0, 0)
    assert count_pytest("import os\nos._exit(0)\n") == (0, 1, 0)


@pytest.mark.parametrize(("command", "expected"), [("true", (1, 0, 0)), ("false", (0, 1, 0)), ("/nonexistent/command", (0, 1, 0))])
def test_any_other_command_counts_by_its_exit_status(count, command, expected):
    assert count(command) == expected


def test_the_outcome_is_the_last_line_and_the_exit_status(monkeypatch, capsys):
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    monkeypatch.setattr(run, "STAGES", [run.Stage("good", "title", (("echo", "hello"), ("true",))), run.Stage("bad", "title", (("false",),))])
    assert run.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "2 passed, 1 failed, 0 skipped"
    assert run.main(["good"]) == 0
    with pytest.raises(SystemExit, match="no such stage: ugly; there are all, fast, good, bad"):
        run.main(["good", "ugly"])


def test_a_skipped_test_makes_the_whole_fail(tmp_path, monkeypatch, capsys):
    """Also where every stage has ended with 0: pytest does, after a test that it skipped."""
    monkeypatch.setattr(run.signal, "signal", lambda *_: None)
    file = tmp_path / "test_stage.py"
    file.write_text(GOOD + SKIPPED)
    command = (sys.executable, "-m", "pytest", f"--junitxml={tmp_path}/report.xml", "-p", "no:cacheprovider", str(file))
    monkeypatch.setattr(run, "STAGES", [run.Stage("some", "title", (command,))])
    assert run.main([]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "1 passed, 0 failed, 1 skipped"


@pytest.mark.parametrize(("words", "chosen"), [(["all"], {"unit", "long"}), ([], {"unit"}), (["fast"], {"unit"}), (["long"], {"long"})])
def test_sets_of_stages(words, chosen, monkeypatch):
    monkeypatch.setattr(run, "LONG", ("long",))
    assert {name for name in ("unit", "long") if run.Stage(name, "", ()).runs(words)} == chosen
    assert set(run.FAST) <= {stage.name for stage in run.STAGES}


def test_the_short_way_leaves_out_the_long_tests_and_nothing_else():
    stages = {stage.name: stage for stage in run.STAGES}
    assert all(stages[name].shortened() == stages[name] for name in ("unit", "lint", "roles", "kube-node"))
    for name in ("integration", "integration-node"):
        for short, whole in zip(stages[name].shortened().commands, stages[name].commands, strict=True):
            assert "not slow and not long" in short and [word.removesuffix(" and not long") for word in short] == list(whole)
