# SPDX-License-Identifier: GPL-3.0-or-later
"""keepalived's own reader of configurations, of this machine's version and of Debian 13's. It reads; nothing of it is ever started.

Needs root: it reads in network and mount namespaces of its own, with the interfaces, folders and the user that texts name.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _version
from tests.support import ROOT

READER = Path(__file__).with_name("reader.sh")
KINDS = {
    "this machine": ["unshare", "--net", "--mount"],
    "Debian 13": [sys.executable, "-m", "tests.tools.debian", "trixie", "unshare", "--net", "--mount", "--propagation", "unchanged"],
}


class Read(NamedTuple):
    """What the reader says of a text."""

    status: int
    complaints: str


class Reader:
    """A shell in the namespaces, which has keepalived test one file after the other."""

    def __init__(self, folder, command):
        self.file, self.complaints = folder / "keepalived.conf", folder / "complaints"
        self.process = subprocess.Popen(
            [*command, "sh", READER, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, cwd=ROOT
        )
        printed = iter(self.process.stdout.readline, "ready\n")
        self.version = _version.parse("".join(printed))

    def __call__(self, text) -> Read:
        self.file.write_text(text)
        self.process.stdin.write("test\n")
        return Read(int(self.process.stdout.readline()), self.complaints.read_text())

    def accepts(self, text, commands=False):
        """Fail unless the reader has nothing to say against the text. ``commands``: whether it runs any as a user."""
        done = self(text)
        ended = commands and _version.commands_end_its_test(self.version)
        assert done == (Read(143, "Terminated\n") if ended else Read(0, "")), text  # the word is the shell's

    def end(self):
        self.process.stdin.close()
        assert self.process.wait() == 0


@pytest.fixture(scope="session", params=KINDS)
def reader(request, tmp_path_factory):
    reader = Reader(tmp_path_factory.mktemp("reader"), KINDS[request.param])
    yield reader
    reader.end()
