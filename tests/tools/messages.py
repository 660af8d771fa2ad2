# SPDX-License-Identifier: GPL-3.0-or-later
"""Every message that a user can meet, from the source, for a person to read: python tests/tools/messages.py

Errors and warnings of modules and filters, and those of roles and playbooks. {} stands for what is put in.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
WARNINGS = {"warn", "warning", "display_warning"}


class Message(NamedTuple):
    """Where it is said, whether it is an error or a warning, and its text."""

    place: str
    kind: str
    text: str


def texts(node: ast.expr) -> list[str]:
    """The texts that an expression can become; empty for one that has no text of its own."""
    if isinstance(node, ast.Constant):
        return [re.sub(r"%(?:\([a-z_]+\))?[-.0-9]*[sdrfg]", "{}", node.value).replace("%%", "%")] if isinstance(node.value, str) else []
    if isinstance(node, ast.JoinedStr):
        return ["".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)]
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod):
        return texts(node.left)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return [one + other for one in texts(node.left) or ["{}"] for other in texts(node.right) or ["{}"]]
    if isinstance(node, ast.IfExp):
        return texts(node.body) + texts(node.orelse)
    return []


def said(node: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    """Whether a statement or an expression says something to the user: the kind, and the call with the text."""
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        yield "error", node.exc
    if isinstance(node, ast.Call) and name(node) in WARNINGS:
        yield "warning", node
    if isinstance(node, ast.Call) and (name(node) == "fail_json" or name(node).endswith("Error")):
        yield "error", node


def name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""


def of_python(path: Path) -> Iterator[Message]:
    """The messages of a plugin's file."""
    place = path.relative_to(ROOT)
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        for kind, call in said(node):
            words = [*call.args, *(keyword.value for keyword in call.keywords)]
            parts = [options for options in map(texts, words) if options]
            if parts:
                # An error names its option first, as OptionError does: the last text is what is said.
                yield from (Message(f"{place}:{call.lineno}", kind, " ".join(text.split())) for text in parts[-1])


def of_yaml(path: Path) -> Iterator[Message]:
    """The messages of a file of tasks or of plays."""

    def walk(value):
        if isinstance(value, list):
            for each in value:
                yield from walk(each)
        elif isinstance(value, dict):
            if "fail_msg" in value:
                yield value["fail_msg"]
            if "ansible.builtin.fail" in value:
                yield value["ansible.builtin.fail"]["msg"]
            yield from walk(list(value.values()))

    for text in walk(yaml.safe_load(path.read_text())):
        yield Message(str(path.relative_to(ROOT)), "error", " ".join(re.sub(r"{{.*?}}|{%.*?%}", "{}", text, flags=re.S).split()))


def messages() -> list[Message]:
    """All of them, in the order of their places. A text that only passes on others is left out."""
    python = [path for folder in ("modules", "module_utils", "filter", "plugin_utils") for path in (ROOT / "plugins" / folder).rglob("*.py")]
    plays = [*ROOT.glob("roles/*/tasks/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")]
    found = {message for path in python for message in of_python(path)} | {message for path in plays for message in of_yaml(path)}
    return sorted(message for message in found if re.search(r"[a-z]{3}", message.text))


if __name__ == "__main__":
    for message in messages():
        print(f"{message.place}: {message.kind}: {message.text}")
