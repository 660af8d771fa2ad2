# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation fragments of one service and of one server, made from those of the list: python tests/tools/doc_fragments.py

A fragment has to be one literal, because editors and language servers read it without running it. So the same options stand in several
files, once for each depth, and only plugins/doc_fragments/services.py is written by hand.
"""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "plugins/doc_fragments"
IDENTITY = ("address", "port", "protocol", "fwmark", "family")

FILE = '''\
# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Made by tests/tools/doc_fragments.py from services.py."""

from __future__ import annotations


class ModuleDocFragment:
    """{title}"""
'''


def literals(path: Path) -> dict[str, str]:
    """The texts of a file's ModuleDocFragment, by name, as whoever reads it without running it sees them."""
    (fragment,) = [each for each in ast.parse(path.read_text()).body if isinstance(each, ast.ClassDef) and each.name == "ModuleDocFragment"]
    return {each.targets[0].id: ast.literal_eval(each.value) for each in fragment.body if isinstance(each, ast.Assign)}


def suboptions(text: str, option: str) -> str:
    """The suboptions of an option at the left margin, moved to the margin, with references to them instead of to suboptions."""
    start = re.search(rf"^{option}:\n(?:  .*\n)*?  suboptions:\n", text, re.M).end()
    block = re.match(r"(?: {4}.*\n)+", text[start:]).group()
    return textwrap.dedent(block)


def without_prefix(text: str, prefix: str) -> str:
    return text.replace(f"O({prefix}", "O(")


def only(text: str, names: tuple[str, ...]) -> str:
    """The options with these names, of those at the left margin."""
    return "".join(block for block in re.findall(r"^\w+:\n(?: .*\n)+", text, re.M) if block.split(":")[0] in names)


def fragment(title: str, texts: dict[str, str]) -> str:
    """A file with these options, by the name of the fragment."""
    parts = [f'\n    {name} = r"""\noptions:\n{textwrap.indent(text, "  ")}"""\n' for name, text in texts.items()]
    return FILE.format(title=title) + "".join(parts)


def files() -> dict[str, str]:
    """What the files made have to hold, by file name."""
    written = textwrap.dedent(literals(FOLDER / "services.py")["DOCUMENTATION"].partition("options:\n")[2])
    service = without_prefix(suboptions(written, "services"), "services[].")
    server = without_prefix(suboptions(service, "servers"), "servers[].")
    return {
        "service.py": fragment("The options of one virtual service.", {"DOCUMENTATION": service, "IDENTITY": only(service, IDENTITY)}),
        "server.py": fragment("The options of one real server.", {"DOCUMENTATION": server}),
    }


if __name__ == "__main__":
    for name, text in files().items():
        (FOLDER / name).write_text(text)
