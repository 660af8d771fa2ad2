# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys

import pytest

from tests.support import PATIENCE, ROOT

LAB = [sys.executable, "-m", "tests.lab"]


@pytest.fixture(scope="session")
def command():
    """Run the lab's command line from the top of the checkout; the result as subprocess.run gives it."""
    def run(*words, **options):
        return subprocess.run([*LAB, *map(str, words)], check=False, **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": PATIENCE, **options})
    return run


@pytest.fixture(scope="session")
def start():
    """Start the lab's command line and go on; a Popen."""
    def run(*words, **options):
        return subprocess.Popen([*LAB, *map(str, words)], **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options})
    return run
