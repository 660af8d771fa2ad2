# SPDX-License-Identifier: GPL-3.0-or-later
"""The versions that the tests run with, and their environments: python -m tests.tools.environments [all]

Makes what ``make test`` needs besides .venv, or all that ``make test-all`` does. What .venv has is not made again.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
HERE = ".venv/bin/python"
REQUIREMENTS = ROOT / "tests/requirements-unit.txt"
PIP = ("-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--use-pep517")


class Controller(NamedTuple):
    """An ansible-core, on this machine's Python or on that of a newer Debian."""

    core: str
    suite: str = ""

    @property
    def folder(self) -> str:
        return f".cache/{self.suite}{'-' if self.suite else ''}ansible-core-{self.core}"

    def on(self, *command: str) -> tuple[str, ...]:
        """The command as it has to be started."""
        return (HERE, "-m", "tests.tools.debian", self.suite, *command) if self.suite else command

    def program(self, name: str) -> tuple[str, ...]:
        """How one of its programs is started."""
        return self.on(f"{self.folder}/bin/{name}")


NEWEST = Controller("2.21.5", "trixie")
CONTROLLERS = (Controller("2.17.14"), NEWEST)
"""The oldest and the newest: ``make test`` has no time for more. Another one is in .venv."""
OTHER_CONTROLLERS = (
    Controller("2.18.19"),
    *(Controller(core, "trixie") for core in ("2.18.19", "2.19.14", "2.20.10")),
    *(Controller(core, "sid") for core in ("2.20.10", "2.21.5")),
)
PYROUTE2 = ("0.6.13", "0.7.2")
"""The last 0.6 (the first ones do not import on Python 3.11), and the one that Debian 12 has. The newest is in .venv."""
OTHER_PYROUTE2 = ("0.7.12", "0.8.1")


def make_controller(controller: Controller) -> None:
    """Make its environment, unless it is there with today's requirements."""
    folder = ROOT / controller.folder
    stamp = folder / ".stamp"
    if stamp.exists() and stamp.read_text() == REQUIREMENTS.read_text():
        return
    python = ("/usr/bin/python3",) if Path("/usr/bin/python3").exists() else ("python3",)
    requirements = ("--requirement", str(REQUIREMENTS.relative_to(ROOT)))
    run(controller.on(*(python if not controller.suite else ("python3",)), "-m", "venv", "--clear", controller.folder))
    run((*controller.program("python"), *PIP, f"ansible-core=={controller.core}", *requirements))
    stamp.write_text(REQUIREMENTS.read_text())


def make_pyroute2(version: str) -> None:
    """Unpack it into a folder for PYTHONPATH, unless it is there."""
    folder = ROOT / f".cache/pyroute2-{version}"
    if folder.exists():
        return
    part = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    run((HERE, *PIP, "--target", str(part), f"pyroute2=={version}"))
    part.rename(folder)


def run(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, cwd=ROOT, check=False)
    if done.returncode:
        sys.exit(f"exit status {done.returncode}: {' '.join(command)}")


def main(words: list[str]) -> None:
    if words not in ([], ["all"]):
        sys.exit(__doc__)
    for controller in CONTROLLERS + (OTHER_CONTROLLERS if words else ()):
        make_controller(controller)
    for version in PYROUTE2 + (OTHER_PYROUTE2 if words else ()):
        make_pyroute2(version)


if __name__ == "__main__":
    main(sys.argv[1:])
