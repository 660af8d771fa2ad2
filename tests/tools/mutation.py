# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a test notice when the code is wrong? python -m tests.tools.mutation [--seed N] [--number N] [--only PATH] [--unit] [--again]

Puts a sample of small faults into the plugins, one at a time, in a copy of the checkout. For each it runs the unit tests that reach the
line, and then, on the lab's kernel, the integration tests for those that survive (--unit: without these). Prints what survives. Those
that change nothing do not count: equivalent_mutants.yml names them with the reason. The sample is the same for the same seed and code.

The libraries for this (mutmut, cosmic-ray) import the code from a package of their own making; ours is found by Ansible's loader, and the
second half of the tests runs in another kernel.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import coverage
import yaml

from tests.tools.mutants import Mutant, mutants

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / ".cache/mutation"
LAST = ROOT / ".cache/mutation.json"  # names of those that survived the last run
EQUIVALENT = Path(__file__).with_name("equivalent_mutants.yml")
PYTHON = str(ROOT / ".venv/bin/python")
ENVIRONMENT = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COPY / ".cache/collections"), "PYTHONDONTWRITEBYTECODE": "1"}
PATIENCE = 10  # times as long as without a change, and a minute: a mutant may wait for ever
INTEGRATION_LIMIT = 3600  # seconds
LIMIT = 97.0  # percent
UNIT = ["tests/unit", "tests/hostile/test_files.py", "tests/hostile/test_names.py", "tests/hostile/test_netns.py"]
# The first builds and installs the archive; the others are about the text of the code, or about no plugin.
WITHOUT = [f"--ignore=tests/unit/test_{name}.py" for name in ("collection", "layers", "messages", "mutants", "run", "versions", "release_files")]


def sample(number: int, seed: int, only: str) -> list[Mutant]:
    """So many mutants, the same for the same seed and the same code."""
    everything = [
        mutant
        for path in sorted(ROOT.glob("plugins/**/*.py"))
        if only in str(path.relative_to(ROOT))
        for mutant in mutants(str(path.relative_to(ROOT)), path.read_text())
    ]
    return random.Random(seed).sample(everything, min(number, len(everything)))


def equivalent() -> dict[tuple[str, str], str]:
    """(path, name of a mutant) -> why nobody can notice it."""
    listed = yaml.safe_load(EQUIVALENT.read_text())
    return {(path, each["mutant"]): each["why"] for path, entries in listed.items() for each in entries}


def copied() -> None:
    """The checkout as it is, with a collection path of its own."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    (COPY / ".cache/collections/ansible_collections/lvs").mkdir(parents=True)
    (COPY / ".cache/collections/ansible_collections/lvs/ipvs").symlink_to(COPY)
    (COPY / ".venv").symlink_to(ROOT / ".venv")


class Tests:
    """The unit tests in the copy, and which of them reach a line."""

    def __init__(self) -> None:
        data = COPY / ".cache/coverage/unit"
        data.parent.mkdir()
        command = [PYTHON, "-m", "coverage", "run", f"--data-file={data}", "-m", "tests.tools.mutation_run", *UNIT, *WITHOUT]
        if subprocess.run(command, cwd=COPY, env=ENVIRONMENT, check=False, stdout=subprocess.DEVNULL).returncode:
            sys.exit("the unit tests fail without a change, too")
        subprocess.run([PYTHON, "-m", "coverage", "combine", "--quiet", f"--data-file={data}"], cwd=COPY, check=True)
        self._data = coverage.CoverageData(str(data))
        self._data.read()
        self._seconds = json.loads((COPY / ".cache/seconds.json").read_text())
        self._server = subprocess.Popen(  # pylint: disable=consider-using-with
            [PYTHON, "-m", "tests.tools.mutation_run"], cwd=COPY, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def that_reach(self, mutant: Mutant) -> list[str]:
        """The tests that reach the mutant's lines, the quickest first; all where the lines run before any test."""
        contexts = self._data.contexts_by_lineno(mutant.path)
        found = {name for line in mutant.lines for name in contexts.get(line, [])}
        return [*UNIT, *WITHOUT] if "" in found else sorted(found, key=lambda name: self._seconds[name])

    def kill(self, mutant: Mutant) -> bool:
        chosen = self.that_reach(mutant)
        if not chosen:
            return False
        seconds = 60 + PATIENCE * sum(self._seconds.get(name, 10) for name in chosen)
        assert self._server.stdin and self._server.stdout
        self._server.stdin.write(json.dumps([seconds, *chosen]) + "\n")
        self._server.stdin.flush()
        answer = self._server.stdout.readline().strip()
        if answer not in ("0", "1", "2", "4", "timeout"):  # 2 and 4: a file of tests cannot be loaded
            sys.exit(f"pytest ended with {answer}, see {COPY / '.cache/output.txt'}")
        return answer != "0"

    def end(self) -> None:
        assert self._server.stdin
        self._server.stdin.close()
        self._server.wait()


def integration_kills() -> bool:
    """Half of the files in each of two kernels at once; the first test that fails ends both."""
    files = sorted(str(path.relative_to(COPY)) for path in COPY.glob("tests/integration/**/test_*.py"))
    lab = [PYTHON, "-m", "extensions.lab", "run", "--mem", "1G", "--", PYTHON, "-m", "pytest", "-q", "-x", "-m", "not slow"]
    runs = [
        subprocess.Popen([*lab, *half], cwd=COPY, env=ENVIRONMENT, stdout=subprocess.DEVNULL)  # pylint: disable=consider-using-with
        for half in (files[::2], files[1::2])
    ]
    end = time.monotonic() + INTEGRATION_LIMIT
    while any(run.poll() is None for run in runs) and not any(run.poll() for run in runs) and time.monotonic() < end:
        time.sleep(0.5)
    passed = all(run.poll() == 0 for run in runs)
    for run in runs:
        run.terminate()
        run.wait()
    return not passed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--only", default="", help="a part of the names of the files")
    parser.add_argument("--unit", action="store_true", help="unit tests only")
    parser.add_argument("--again", action="store_true", help="of the sample, only those that survived the last run")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    chosen = sample(options.number, options.seed, options.only)
    if options.again:
        last = {tuple(each) for each in json.loads(LAST.read_text())}
        chosen = [mutant for mutant in chosen if (mutant.path, mutant.name) in last]
    excused = equivalent()
    counts = {"unit": 0, "integration": 0, "equivalent": 0, "survive": 0}
    survivors = []
    copied()
    tests = Tests()
    for mutant in chosen:
        if (mutant.path, mutant.name) in excused:
            counts["equivalent"] += 1
            continue
        file = COPY / mutant.path
        genuine = file.read_text()
        file.write_text(mutant.put_into(genuine))
        if tests.kill(mutant):
            outcome = "unit"
        else:
            outcome = "integration" if not options.unit and integration_kills() else "survive"
        file.write_text(genuine)
        counts[outcome] += 1
        if outcome == "survive":
            survivors.append((mutant.path, mutant.name))
            reach = len(tests.that_reach(mutant))
            print(f"survives: {mutant.path}:{mutant.line}: {mutant.name} (unit tests that reach it: {reach})", flush=True)
        else:
            print(f"{outcome}: {mutant.path}:{mutant.line}: {mutant.name}", flush=True)
        LAST.write_text(json.dumps(survivors))
    tests.end()
    count = sum(counts.values()) - counts["equivalent"]
    killed = 100 * (1 - counts["survive"] / count) if count else 100.0
    print(json.dumps(counts))
    print(f"killed: {killed:.1f} % of {count}" + (f", less than {LIMIT:.0f} %" if killed < LIMIT else ""))
    return int(killed < LIMIT)


if __name__ == "__main__":
    sys.exit(main())
