# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a test notice when the code is wrong? python -m tests.tools.mutation [--seed N] [--number N] [--only PATH]

Takes a sample of small changes to plugins/module_utils, one at a time in a copy of the checkout, and runs the unit tests that reach the
line, then on the lab's kernel the integration tests for those that survive (--unit: without these). What survives is printed.

The libraries for this (mutmut, cosmic-ray) import the code from a package of their own making; ours is found by Ansible's loader, and the
second half of the tests runs in another kernel.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
COPY = ROOT / ".cache/mutation"
PYTHON = str(ROOT / ".venv/bin/python")
PATIENCE = 5  # times as long as without a change: a mutant may wait for ever
INTEGRATION_LIMIT = 3600  # seconds
COMPARISONS = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}


class Mutant(NamedTuple):
    """A file, relative to the checkout; the line; what is done to it; the whole text then."""

    path: str
    line: int
    what: str
    text: str


def changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """(what, another node in its place)"""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if type(operator) in COMPARISONS:
                other = copy.deepcopy(node)
                other.ops[number] = COMPARISONS[type(operator)]()
                yield "comparison", other
    elif isinstance(node, ast.BoolOp):
        other = copy.deepcopy(node)
        other.op = ast.And() if isinstance(node.op, ast.Or) else ast.Or()
        yield "and/or", other
        for number in range(len(node.values)):
            rest = node.values[:number] + node.values[number + 1 :]
            yield "operand left out", rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "not left out", node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not isinstance(node.left, (ast.List, ast.Constant)):
        other = copy.deepcopy(node)
        other.op = ARITHMETIC[type(node.op)]()
        yield "arithmetic", other
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield "constant", ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, (ast.If, ast.IfExp, ast.While)):
        for value in (True, False):
            if not (isinstance(node, ast.While) and value):
                other = copy.copy(node)
                other.test = ast.Constant(value)
                yield f"always {value}", other
    elif isinstance(node, ast.Return) and node.value is not None and not (isinstance(node.value, ast.Constant) and node.value.value is None):
        yield "return None", ast.Return(ast.Constant(None))
    elif isinstance(node, (ast.Assign, ast.AugAssign)) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield "left out", ast.Pass()
    elif isinstance(node, (ast.Break, ast.Continue)):
        yield "left out", ast.Pass()


class Replace(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST):
        self.old, self.new = old, new

    def visit(self, node):
        return ast.copy_location(self.new, node) if node is self.old else self.generic_visit(node)


def mutants(path: Path) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """(node, what, the other node) of each that is within a function, where tests can reach it."""
    tree = ast.parse(path.read_text())
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        for node in [each for statement in function.body for each in ast.walk(statement)]:
            for what, other in changes(node):
                yield node, what, other


def sample(number: int, seed: int, only: str) -> list[Mutant]:
    """So many mutants, the same for the same seed and the same code."""
    places = []
    for path in sorted(ROOT.glob("plugins/module_utils/**/*.py")):
        name = str(path.relative_to(ROOT))
        if only in name:
            places += [(name, index) for index, _each in enumerate(mutants(path))]
    chosen = []
    for name, index in random.Random(seed).sample(places, min(number, len(places))):
        path = ROOT / name
        tree = ast.parse(path.read_text())
        functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
        found = [(node, *each) for one in functions for statement in one.body for node in ast.walk(statement) for each in changes(node)]
        node, what, other = found[index]
        text = ast.unparse(ast.fix_missing_locations(Replace(node, other).visit(tree)))
        chosen.append(Mutant(name, node.lineno, f"{what}: {ast.unparse(node).splitlines()[0][:100]}", text + "\n"))
    return chosen


def copied() -> None:
    """The checkout as it is, with a collection path of its own."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, check=True, capture_output=True, text=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, COPY / name)
    for path in COPY.glob("plugins/module_utils/**/*.py"):  # as a mutant is written, without comments: that alone must not fail a test
        path.write_text(ast.unparse(ast.parse(path.read_text())) + "\n")
    (COPY / ".cache/collections/ansible_collections/lvs").mkdir(parents=True)
    (COPY / ".cache/collections/ansible_collections/lvs/ipvs").symlink_to(COPY)
    (COPY / ".venv").symlink_to(ROOT / ".venv")


def passes(command: list[str], words: list[str], limit: float | None = None) -> bool:
    """Whether these tests pass in the copy, within so many seconds."""
    pytest = ["nice", *command, "-m", "pytest", "-q", "-x", *words]
    environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COPY / ".cache/collections"), "PYTHONDONTWRITEBYTECODE": "1"}
    with subprocess.Popen(
        pytest, cwd=COPY, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
    ) as process:
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 15)
            return False


UNIT = ["tests/unit", "tests/hostile/test_files.py", "tests/hostile/test_names.py", "tests/hostile/test_netns.py"]
WITHOUT = ["--ignore", "tests/unit/test_collection.py"]  # builds and installs the archive, and reaches no line of the library


def nearest(path: str) -> list[str]:
    """The files of unit tests that name the module, which are quick and kill the most."""
    name = Path(path).stem
    files = [*sorted(COPY.glob("tests/unit/test_*.py")), *map(COPY.joinpath, UNIT[1:])]
    return [str(file.relative_to(COPY)) for file in files if re.search(rf"\b{name}\b", file.read_text())]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--number", type=int, default=60)
    parser.add_argument("--only", default="", help="a part of the names of the files")
    parser.add_argument("--unit", action="store_true", help="unit tests only")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    copied()
    start = time.monotonic()
    if not passes([PYTHON], [*UNIT, *WITHOUT]):
        sys.exit("the unit tests fail without a change, too")
    limit = PATIENCE * (time.monotonic() - start)
    lab = [PYTHON, "-m", "extensions.lab", "run", "--mem", "1G", "--", PYTHON]
    survivors = []
    chosen = sample(options.number, options.seed, options.only)
    killed = {"unit": 0, "integration": 0}
    for mutant in chosen:
        file = COPY / mutant.path
        genuine = file.read_text()
        file.write_text(mutant.text)
        try:
            near = nearest(mutant.path)
            if (near and not passes([PYTHON], near, limit)) or not passes([PYTHON], [*UNIT, *WITHOUT], limit):
                killed["unit"] += 1
                print(f"killed by unit tests: {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
            elif not options.unit and not passes(lab, ["-m", "not slow", "tests/integration"], INTEGRATION_LIMIT):
                killed["integration"] += 1
                print(f"killed by integration tests: {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
            else:
                survivors.append(mutant)
                print(f"survives: {mutant.path}:{mutant.line}: {mutant.what}", flush=True)
        finally:
            file.write_text(genuine)
    print(json.dumps({"mutants": len(chosen), "killed": killed, "survive": len(survivors)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
