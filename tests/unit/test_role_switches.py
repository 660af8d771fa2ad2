# SPDX-License-Identifier: GPL-3.0-or-later
"""Booleans of the roles: an inventory in INI form, or ``-e name=false``, gives them as text, and the text ``false`` counts as true in a condition."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
ROLES = sorted(path.name for path in (ROOT / "roles").iterdir())


def switches(role):
    specs = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    return sorted({name for spec in specs.values() for name, about in spec.get("options", {}).items() if about.get("type") == "bool"})


def texts(value):
    """All texts of a YAML value, each with the key that it stands under."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in pairs:
        if isinstance(inner, str):
            yield key, inner
        yield from texts(inner)


def expressions(role):
    """(file, expression) of all that a role and the playbooks compute; a value that is handed to a module as it is counts as none."""
    for path in sorted([*(ROOT / f"roles/{role}").glob("*/*.yml"), *(ROOT / "playbooks").rglob("*.yml")]):
        if path.parent.name == "meta":
            continue
        for key, text in texts([yaml.safe_load(path.read_text())]):
            if key in ("when", "until", "failed_when", "changed_when", "that", "check_mode") or isinstance(key, int):
                yield path, text
            elif not re.fullmatch(r"{{ \w+ }}\s*", text):
                yield from ((path, inner) for inner in re.findall(r"{[{%].*?[%}]}", text, re.DOTALL))


@pytest.mark.parametrize("role", ROLES)
def test_a_switch_is_made_a_boolean_where_it_is_asked(role):
    names = switches(role)
    asked = re.compile(rf"(?<![\w'.])(?:{'|'.join(names)})\b(?!'|(?: \| default\(\w+\))? \| bool\b| is )") if names else re.compile("(?!)")
    found = [f"{path.relative_to(ROOT)}: {match[0]} in {text!r}" for path, text in expressions(role) for match in [asked.search(text)] if match]
    assert not found, "\n".join(found)
