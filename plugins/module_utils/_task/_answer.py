# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a task is given beside its options, and what it gives back; between ``_runner`` and the code that does the work."""

from __future__ import annotations

from typing import Callable, List, NamedTuple, Optional, Tuple

from ansible_collections.lvs.ipvs.plugins.module_utils._task import _files


class Context(NamedTuple):
    """What ``_runner`` lends to the code that does the work.

    ``check_mode``: change nothing. ``diff``: before and after are wanted. ``warn(text)``: show the user a warning.
    ``run_command(argv)`` -> (exit status, stdout, stderr): run a program.
    ``write_files(files)``: replace files, a list of NewFile of ``_files``, each in one step, and none where there is no room for all.
    Raises IpvsError that names the file.
    """

    check_mode: bool
    diff: bool
    warn: Callable[[str], None]
    run_command: Optional[Callable[[List[str]], Tuple[int, str, str]]] = None
    write_files: Optional[Callable[[List[_files.NewFile]], None]] = None

    def write_file(self, path, text):
        """Replace one file. It keeps its mode and owner; a new one is readable by all."""
        self.write_files([_files.NewFile(path, text)])


class Answer(NamedTuple):
    """``values``: the task's return values. ``before``/``after``: text for ``--diff``, None where it isn't wanted."""

    changed: bool
    values: dict
    before: Optional[str] = None
    after: Optional[str] = None
