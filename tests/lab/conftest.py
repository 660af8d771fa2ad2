# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import PATIENCE, ROOT

LAB = [sys.executable, "-m", "extensions.lab"]


@pytest.fixture(scope="session")
def command():
    """Run the lab's command line from the top of the checkout; the result as subprocess.run gives it."""
    def run(*words, **options):
        return subprocess.run([*LAB, *map(str, words)], check=False, **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": PATIENCE, **options})
    return run


class Process(subprocess.Popen):
    """A process that a failed ``with`` block ends, rather than waits for."""

    def __exit__(self, kind, *rest):
        if kind:
            self.kill()
        super().__exit__(kind, *rest)


@pytest.fixture(scope="session")
def start():
    """Start the lab's command line and go on; a Process."""
    def run(*words, **options):
        return Process([*LAB, *map(str, words)], **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options})
    return run
