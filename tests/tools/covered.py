# SPDX-License-Identifier: GPL-3.0-or-later
"""Which lines and branches of the plugins the tests reach: python -m tests.tools.covered [--unit]

Runs the unit tests, and the integration tests on the lab's kernel unless ``--unit`` is given. Prints each file that is not reached as a
whole, then the two figures. Fails below the limits.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / ".cache/coverage"
COVERAGE = [".venv/bin/python", "-m", "coverage"]
UNIT = ["tests/unit", "tests/hostile/test_files.py", "tests/hostile/test_names.py", "tests/hostile/test_netns.py"]
LAB = [".venv/bin/python", "-m", "extensions.lab", "run", "--save", ".cache/coverage", "--mem", "1G", "--"]
LIMITS = {"lines": 97.0, "branches": 95.0}  # percent


def percentages(totals: dict[str, int]) -> dict[str, float]:
    """Lines and branches that were reached, from the totals of coverage's JSON report."""
    return {
        "lines": 100 * totals["covered_lines"] / totals["num_statements"],
        "branches": 100 * totals["covered_branches"] / totals["num_branches"],
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unit", action="store_true", help="unit tests only; the limits do not apply")
    options = parser.parse_args()
    shutil.rmtree(DATA, ignore_errors=True)
    DATA.mkdir(parents=True)

    def run(*command: str) -> int:
        return subprocess.run(command, cwd=ROOT, check=False).returncode

    failed = run(*COVERAGE, "run", "-m", "pytest", "-q", *UNIT)
    if not options.unit:
        failed |= run(*LAB, *COVERAGE, "run", "-m", "pytest", "-q", "-m", "not slow", "tests/integration")
    failed |= run(*COVERAGE, "combine", "--quiet")
    run(*COVERAGE, "report", "--show-missing", "--skip-covered")
    failed |= run(*COVERAGE, "json", "--quiet", "-o", str(DATA / "report.json"))
    reached = percentages(json.loads((DATA / "report.json").read_text())["totals"])
    for what, limit in LIMITS.items():
        low = not options.unit and reached[what] < limit
        failed |= low
        print(f"{what}: {reached[what]:.1f} %" + (f", less than {limit:.0f} %" if low else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
