# SPDX-License-Identifier: GPL-3.0-or-later
"""A stranger's machine: an empty home, an empty folder, and the guide."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import shlex
import subprocess
import sys

import pytest

from extensions.lab.host import cache_dir
from tests.support import PATIENCE, ROOT
from tests.tools.archive import build

GUIDE = (ROOT / "docs/molecule.md").read_text()


def commands(section):
    """What a section of the guide has its reader type, line by line."""
    text = re.search(rf"^## {section}$(.*?)^## ", GUIDE, re.S | re.M)[1]
    return [line.removeprefix("$ ") for line in re.search(r"```console\n(.*?)```", text, re.S)[1].splitlines()]


class Stranger:
    """Runs commands as the guide's reader does: in a folder of their own, with nothing of this checkout but the archive."""

    def __init__(self, folder):
        self.folder, self.home, self.repository = folder, folder / "home", folder / "repository"
        for each in (self.home, self.repository):
            each.mkdir()

    @property
    def environment(self):
        return {
            "HOME": str(self.home), "PATH": f"{self.repository}/.venv/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8", "NO_COLOR": "1",
            "LVS_LAB_CACHE": str(cache_dir()), "PIP_CONSTRAINT": str(ROOT / "tests/constraints.txt"),
            **{name: value for name, value in os.environ.items() if name.startswith("PIP_") and name != "PIP_CONSTRAINT"},
        }

    def run(self, line):
        """Run one line of shell in the repository, with the virtual environment that it may have; its output."""
        done = subprocess.run(
            ["sh", "-ec", line], cwd=self.repository, env=self.environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, timeout=PATIENCE * 3, check=False,
        )
        sys.stdout.write(f"$ {line}\n{done.stdout}")
        assert done.returncode == 0, line
        return done.stdout

    def run_at_terminal(self, line, typed):
        """The same at a terminal, where the reader types this."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(["sh", "-ec", line], cwd=self.repository, env=self.environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
            os.close(theirs)
            os.write(ours, typed.encode())
            shown = b""
            with contextlib.suppress(OSError):  # which is how a terminal ends
                while more := os.read(ours, 4096):
                    shown += more
            assert process.wait(PATIENCE) == 0, shown
        os.close(ours)
        return shown.decode()


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """A Stranger who has followed the guide up to the scenario: {line of the guide: its output} is in ``outputs``."""
    folder = tmp_path_factory.mktemp("outside")
    archive = build(folder)
    reader = Stranger(folder)
    settings = os.path.expanduser("~/.config/pip")
    if os.path.isdir(settings):  # where this machine has its packages from
        (reader.home / ".config").mkdir()
        (reader.home / ".config/pip").symlink_to(settings)
    apt, *lines = commands("From an empty folder to a passing test")
    packages = shlex.split(apt)[4:]
    assert apt.startswith("sudo apt-get install --yes ")
    installed = subprocess.run(["dpkg-query", "--show", "--showformat", "${db:Status-Status}\n", *packages], capture_output=True, text=True, check=False)
    assert installed.stdout.split() == ["installed"] * len(packages), installed.stderr
    assert lines[-2:] == ["ansible-playbook lvs.ipvs.lab_init", "molecule test"]
    for line in lines[:-1]:
        # A release on Galaxy is what this archive becomes.
        reader.run(line.replace("collection install lvs.ipvs", f"collection install --offline {shlex.quote(str(archive))}"))
    return reader
