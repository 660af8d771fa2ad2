# SPDX-License-Identifier: GPL-3.0-or-later
"""The private library goes one way: no file imports one from a room above its own, and none imports itself round a circle.

No file of the plugins and of the tests is so long that it is about more than one thing.
"""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
PREFIX = "ansible_collections.lvs.ipvs.plugins.module_utils."
ROOMS = ["_task", "_node", "_table", "_keepalived"]  # the ground first
FILES = sorted((PLUGINS / "module_utils").rglob("_*.py"))
TOO_LONG = {"plugins": 450, "tests": 350}  # lines


def imported(path):
    """{"ROOM.FILE"} of the private library that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PREFIX):
            words = node.module[len(PREFIX) :].split(".")
            found |= {".".join(words)} if len(words) == 2 else {f"{words[0]}.{name.name}" for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level:  # files that also run where there is no collection
            found.add(f"{path.parent.name}.{node.module}")
    return found


def name_of(path):
    return f"{path.parent.name}.{path.stem}"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_imports_one_from_a_room_above(path):
    room = ROOMS.index(path.parent.name)
    assert [name for name in imported(path) if ROOMS.index(name.split(".")[0]) > room] == []


def test_no_file_imports_itself_round_a_circle():
    graph = {name_of(path): imported(path) for path in FILES}
    assert set().union(*graph.values()) <= set(graph)
    assert len(list(TopologicalSorter(graph).static_order())) == len(graph)


@pytest.mark.parametrize("path", sorted((PLUGINS / "modules").glob("*.py")), ids=lambda path: path.stem)
def test_a_module_has_no_logic(path):
    """Documentation, an argument spec and one call: no condition, no loop, no function but main."""
    tree = ast.parse(path.read_text())
    assert [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)] == ["main"]
    logic = (ast.For, ast.While, ast.Try, ast.comprehension, ast.IfExp)
    assert [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, logic)] == []


@pytest.mark.parametrize("folder", TOO_LONG)
def test_no_file_is_too_long(folder):
    """One that gets so long is split by subject, so that its name tells what is in it."""
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines()) for path in (ROOT / folder).rglob("*.py")}
    assert lengths
    assert {path: length for path, length in lengths.items() if length >= TOO_LONG[folder]} == {}
