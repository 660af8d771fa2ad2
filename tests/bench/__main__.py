# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m tests.bench``: measure in the lab's kernel, and write the results to .cache/bench."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def parser():
    top = argparse.ArgumentParser(prog="python -m tests.bench", description="The collection's speed beside what users would otherwise run.")
    top.add_argument("--quick", action="store_true", help="small tables, few rounds: a minute, and no figures to rely on")
    top.add_argument("--only", choices=("library", "tasks", "growth", "drain"), action="append", help="a part of it (repeatable)")
    top.add_argument("--results", type=Path, default=ROOT / ".cache/bench", help="folder for the results (default: .cache/bench)")
    top.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    return top


def main(words):
    arguments = parser().parse_args(words)
    if not arguments.inside:
        return in_the_lab(words, arguments.results.resolve())
    from . import inside  # needs the kernel's tools and the collection on the path

    inside.measure_all(inside.QUICK if arguments.quick else inside.FULL, arguments.only or inside.PARTS, arguments.results)
    return 0


def in_the_lab(words, results):
    """Run this program again, in the lab's kernel."""
    command = [sys.executable, "-m", "extensions.lab", "run", "--mem", "2G", "--save", str(results), "--"]
    command += [sys.executable, "-m", "tests.bench", "--inside", *words]
    path = os.pathsep.join([str(ROOT), str(ROOT / ".cache/collections")])
    return subprocess.run(command, cwd=ROOT, env=dict(os.environ, PYTHONPATH=path), check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
