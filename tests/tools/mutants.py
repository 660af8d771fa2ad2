# SPDX-License-Identifier: GPL-3.0-or-later
"""Small faults to put into Python code, one at a time. Pure.

Left alone: what is outside of functions, annotations and the insides of f-strings, whose place Python 3.11 does not tell. Also left
alone is what can hardly matter: ``return None`` in place of another false value, and how long to wait.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

COMPARISONS = {
    ast.Eq: ast.NotEq, ast.NotEq: ast.Eq, ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
ARITHMETIC = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd}
TEXT = (ast.List, ast.Tuple, ast.JoinedStr)
WAITING = ("sleep", "timeout")


class Mutant(NamedTuple):
    """``name`` says function, change and statement, and stays when lines move; ``lines``: of the statement, that tests may reach."""

    path: str
    line: int
    lines: range
    name: str
    begin: int
    end: int
    new: str

    def put_into(self, text: str) -> str:
        """The text of the whole file with the fault in it; ``begin`` and ``end`` count its bytes."""
        raw = text.encode()
        return (raw[: self.begin] + self.new.encode() + raw[self.end :]).decode()


class Change(NamedTuple):
    """A node, and the code in its place."""

    node: ast.expr | ast.stmt
    new: str


def _expression(node: ast.expr) -> Iterator[ast.expr]:
    """What may stand in its place."""
    if isinstance(node, ast.Compare):
        for number, operator in enumerate(node.ops):
            if type(operator) in COMPARISONS:
                yield ast.Compare(node.left, [*node.ops[:number], COMPARISONS[type(operator)](), *node.ops[number + 1 :]], node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.And() if isinstance(node.op, ast.Or) else ast.Or(), node.values)
        for number in range(len(node.values)):
            rest = node.values[:number] + node.values[number + 1 :]
            yield rest[0] if len(rest) == 1 else ast.BoolOp(node.op, rest)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield node.operand
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC and not any(map(_is_text, (node.left, node.right))):
        yield ast.BinOp(node.left, ARITHMETIC[type(node.op)](), node.right)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        yield ast.Constant(not node.value)
    elif isinstance(node, ast.Constant) and isinstance(node.value, int):
        yield ast.Constant(node.value + 1)
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse


def _is_text(node: ast.expr) -> bool:
    """Such a sum with a minus is always an error, which any test notices."""
    return isinstance(node, TEXT) or (isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes)))


def _statement(node: ast.stmt) -> Iterator[Change]:
    if isinstance(node, (ast.If, ast.While)):
        yield Change(node.test, "False")
        if isinstance(node, ast.If):
            yield Change(node.test, "True")
    elif isinstance(node, ast.Return):
        if node.value is not None and not _is_false(node.value):
            yield Change(node, "return None")
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Break, ast.Continue)):
        yield Change(node, "pass")
    elif isinstance(node, ast.Expr) and isinstance(node.value, (ast.Call, ast.Yield)):
        yield Change(node, "pass")


def _is_false(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return not node.value
    return (isinstance(node, (ast.List, ast.Tuple)) and not node.elts) or (isinstance(node, ast.Dict) and not node.keys)


def _changes(node: ast.AST, statement: ast.stmt, function: str) -> Iterator[tuple[Change, ast.stmt, str]]:
    """(change, its statement, its function) of the node and of what is within."""
    if isinstance(node, ast.expr):
        yield from ((Change(node, ast.unparse(ast.fix_missing_locations(other))), statement, function) for other in _expression(node))
    elif isinstance(node, ast.stmt):
        yield from ((change, statement, function) for change in _statement(node))
    for field, value in ast.iter_fields(node):
        if field in ("annotation", "returns", "decorator_list") or isinstance(node, ast.JoinedStr):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.keyword) and child.arg in WAITING:
                continue
            if isinstance(node, ast.Call) and ast.unparse(node.func).rsplit(".", maxsplit=1)[-1] in WAITING:
                continue
            if isinstance(child, ast.AST):
                inner = f"{function}.{child.name}" if isinstance(child, (ast.FunctionDef, ast.ClassDef)) else function
                yield from _changes(child, child if isinstance(child, ast.stmt) else statement, inner)


def _functions(node: ast.AST, prefix: str = "") -> Iterator[tuple[str, ast.FunctionDef]]:
    """The outermost functions and the methods, each with its name."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef):
            yield prefix + child.name, child
        else:
            yield from _functions(child, f"{prefix}{child.name}." if isinstance(child, ast.ClassDef) else prefix)


def mutants(path: str, text: str) -> list[Mutant]:
    """All that there are for the file with this text."""
    starts = [0]
    for line in text.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found: list[Mutant] = []
    names: Counter[str] = Counter()
    for name, function in _functions(ast.parse(text)):
        for statement in function.body:
            for (node, new), around, where in _changes(statement, statement, name):
                begin = starts[node.lineno - 1] + node.col_offset
                end = starts[(node.end_lineno or 0) - 1] + (node.end_col_offset or 0)
                place = new if isinstance(node, ast.stmt) else f"({new})"
                whole = f"{where}: {ast.unparse(node).splitlines()[0]} -> {new}"
                if node is not around:
                    whole += f" [{ast.unparse(around).splitlines()[0]}]"
                names[whole] += 1
                if names[whole] > 1:
                    whole += f" ({names[whole]})"
                body = getattr(around, "body", None)
                last = body[0].lineno - 1 if body else around.end_lineno or around.lineno
                lines = range(around.lineno, max(last, around.lineno) + 1)
                found.append(Mutant(path, node.lineno, lines, whole, begin, end, place))
    return found
