# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of variables in the roles' READMEs, made from meta/argument_specs.yml: python tests/tools/role_readmes.py"""

from __future__ import annotations

import json
from pathlib import Path

import yaml

ROLES = Path(__file__).resolve().parents[2] / "roles"
BEGIN, END = "<!-- variables: made by tests/tools/role_readmes.py -->\n", "<!-- end of variables -->\n"


def options(role: str) -> dict[str, dict]:
    """The variables of a role, of all its entry points."""
    specs = yaml.safe_load((ROLES / role / "meta/argument_specs.yml").read_text())["argument_specs"]
    return {name: option for entry in reversed(specs.values()) for name, option in entry["options"].items()}


def table(role: str) -> str:
    """The table, as Markdown."""
    rows = ["| variable | default | meaning |", "|---|---|---|"]
    for name, option in options(role).items():
        description = option["description"]
        text = description if isinstance(description, str) else " ".join(description)
        default = "required" if option.get("required") else f"`{json.dumps(option['default'])}`" if "default" in option else ""
        rows.append(f"| `{name}` | {default} | {' '.join(text.split()).replace('|', chr(92) + '|')} |")
    return "\n".join(rows) + "\n"


def with_table(role: str, text: str) -> str:
    """A README with the table as it should be. Raises ValueError where the README has no place for it."""
    start, end = text.index(BEGIN) + len(BEGIN), text.index(END)
    return text[:start] + table(role) + text[end:]


if __name__ == "__main__":
    for path in sorted(ROLES.glob("*/README.md")):
        path.write_text(with_table(path.parent.name, path.read_text()))
