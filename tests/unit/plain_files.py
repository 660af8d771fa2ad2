# SPDX-License-Identifier: GPL-3.0-or-later
"""What writes files for a Context in unit tests, whose user may own none of root's."""

from __future__ import annotations

from pathlib import Path


def write_files(files):
    for file in files:
        Path(file.path).write_text(file.text)
        if file.mode is not None:
            Path(file.path).chmod(file.mode)
