# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task is given beside its options, and what it gives back; between ``_runner`` and the code that does the work."""

from __future__ import annotations

from typing import Callable, NamedTuple, Optional


class Context(NamedTuple):
    """``check_mode``: change nothing. ``diff``: before and after are wanted. ``warn(text)``: show the user a warning."""

    check_mode: bool
    diff: bool
    warn: Callable[[str], None]


class Answer(NamedTuple):
    """``values``: the task's return values. ``before``/``after``: text for ``--diff``, None where it isn't wanted."""

    changed: bool
    values: dict
    before: Optional[str] = None
    after: Optional[str] = None
