# SPDX-License-Identifier: GPL-3.0-or-later
"""The demo, as a user starts it. It checks each of its steps itself and ends with an error where one is wrong."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from extensions.lab import Lab

DEMO = Path(__file__).resolve().parent.parent / "demo.py"


def test_demo():
    done = subprocess.run([sys.executable, str(DEMO), "--lab", "demo-test"], capture_output=True, text=True, check=False)
    print(done.stdout)
    assert done.returncode == 0, done.stderr
    assert "everything is gone again" in done.stdout
    assert "demo-test" not in Lab.names()
