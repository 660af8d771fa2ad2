# SPDX-License-Identifier: GPL-3.0-or-later
"""reuse lint, on a copy of the files that are git's or could be: python tests/tools/licences.py

reuse looks for its settings in every folder, those that git ignores too, and fails where another stage removes one meanwhile.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout
    with tempfile.TemporaryDirectory() as copy:
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # or it has been deleted since
                target = Path(copy, name)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, target)
        return subprocess.run(["reuse", "--root", copy, "lint", "--lines"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
