# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
LAB = [sys.executable, "-m", "tests.lab"]


@pytest.fixture(scope="session")
def command():
    """Run the lab's command line from the top of the checkout; the result as subprocess.run gives it."""
    def run(*words, **options):
        return subprocess.run([*LAB, *map(str, words)], check=False, **{"cwd": ROOT, "capture_output": True, "text": True, "timeout": 300, **options})
    return run


@pytest.fixture(scope="session")
def start():
    """Start the lab's command line and go on; a Popen."""
    def run(*words, **options):
        return subprocess.Popen([*LAB, *map(str, words)], **{"cwd": ROOT, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options})
    return run


@pytest.fixture(scope="session")
def eventually():
    """Wait until a function answers true; fail when it hasn't within 60 seconds."""
    def wait(question):
        end = time.monotonic() + 60
        while not question():
            assert time.monotonic() < end, "it never happened"
            time.sleep(0.05)
    return wait
