# SPDX-License-Identifier: GPL-3.0-or-later
"""Units of systemd: what it says of them, and what is said where it fails. A stand-in for systemctl; the real one is in tests/machines."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _units
from ansible_collections.lvs.ipvs.plugins.module_utils._task._answer import Context
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import IpvsError


class Systemctl:
    """``says``: {the words that follow its name: (status, output, errors)}; all else is done without a word."""

    def __init__(self, says=()):
        self.says, self.done = dict(says), []

    def __call__(self, words):
        self.done.append(" ".join(words[1:] if words[0] == "systemctl" else words))
        return next((answer for part, answer in self.says.items() if part in " ".join(words)), (0, "", ""))

    @property
    def context(self):
        return Context(False, False, lambda text: None, self)


@pytest.fixture
def booted(monkeypatch):
    monkeypatch.setattr(_units, "running", lambda: True)


@pytest.fixture
def image(monkeypatch):
    """An image build, in which systemd does not run."""
    monkeypatch.setattr(_units, "running", lambda: False)


@pytest.mark.usefixtures("booted")
@pytest.mark.parametrize(
    ("enabled", "there", "comes"),
    [
        ("enabled", True, True),
        ("enabled-runtime", True, True),
        ("static", True, True),
        ("generated", True, True),
        ("alias", True, True),
        ("indirect", True, True),
        ("disabled", True, False),
        ("linked", True, False),
        ("not-found", False, False),
        ("", False, False),
    ],
)
def test_what_is_known_of_a_unit(enabled, there, comes):
    for status, active in ((0, True), (3, False)):
        systemctl = Systemctl({"is-enabled x.service": (0, enabled + "\n", ""), "is-active x.service": (status, "", "")})
        assert _units.state("x.service", systemctl.context) == ("x.service", there, comes, active)


@pytest.mark.usefixtures("image")
def test_in_an_image_nothing_is_active_and_nothing_is_asked_of_what_does_not_run():
    systemctl = Systemctl({"is-enabled": (0, "enabled\n", "")})
    assert _units.state("x.service", systemctl.context) == ("x.service", True, True, False)
    for do in (_units.start, _units.halt, _units.announce_halt):
        do("x.service", systemctl.context)
    _units.reload_manager(systemctl.context)
    assert systemctl.done == ["is-enabled x.service"]
    _units.enable("x.service", systemctl.context)
    _units.stop("x.service", systemctl.context)
    assert systemctl.done[1:] == ["enable x.service", "disable x.service"]


@pytest.mark.usefixtures("booted")
@pytest.mark.parametrize("masked", ["masked", "masked-runtime"])
def test_a_masked_unit(masked):
    with pytest.raises(IpvsError, match="^x.service is masked, but it is needed at boot: run systemctl unmask x.service$"):
        _units.state("x.service", Systemctl({"is-enabled": (1, masked, "")}).context)


@pytest.mark.usefixtures("booted")
def test_what_is_done_with_a_unit():
    systemctl = Systemctl()
    for do in (_units.enable, _units.start, _units.stop, _units.restart, _units.disable, _units.halt, _units.announce_halt):
        do("x.service", systemctl.context)
    assert systemctl.done == [
        "daemon-reload",
        "enable x.service",
        "reload-or-restart x.service",
        "stop x.service",
        "disable x.service",
        "restart x.service",
        "disable x.service",
        "stop x.service",
        "stop --no-block x.service",
    ]


@pytest.mark.usefixtures("booted")
@pytest.mark.parametrize(("do", "word"), [(_units.start, "reload-or-restart"), (_units.restart, "restart")])
def test_a_unit_that_does_not_start_tells_the_end_of_its_journal(do, word):
    journal = "one\n  two\n\none\n"
    systemctl = Systemctl({word: (1, "", "see journalctl"), "journalctl --boot --output=cat --lines=10 --unit=x.service": (0, journal, "")})
    with pytest.raises(IpvsError, match=f"^systemctl {word} x.service failed: one / two$"):
        do("x.service", systemctl.context)
    with pytest.raises(IpvsError, match=f"^systemctl {word} x.service failed: exit status 4$"):
        do("x.service", Systemctl({word: (4, "", "see journalctl")}).context)


@pytest.mark.usefixtures("booted")
def test_what_else_fails_gives_its_own_reason():
    with pytest.raises(IpvsError, match="^systemctl enable x.service failed: no such file$"):
        _units.enable("x.service", Systemctl({"enable": (1, "", "no such\n file\n"), "journalctl": (0, "another", "")}).context)
    with pytest.raises(IpvsError, match="^systemctl stop x.service failed: exit status 5$"):
        _units.halt("x.service", Systemctl({"stop": (5, "", "")}).context)


def test_whether_systemd_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(_units.os.path, "isdir", lambda path, isdir=_units.os.path.isdir: isdir(tmp_path / path.lstrip("/")))
    assert not _units.running()
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert _units.running()
