# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import sys
from pathlib import Path

sys.dont_write_bytecode = True  # else root leaves files in an installation that belongs to a user

if __package__:
    from .cli import main
else:  # the folder was started as a program
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    from lab.cli import main

sys.exit(main())
