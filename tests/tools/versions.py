# SPDX-License-Identifier: GPL-3.0-or-later
"""The README's table of versions, made of what make test-all has run: python -m tests.tools.versions

It reads the reports of the stages in .cache/results, and takes a version for granted only where no test of its run failed.
"""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree
from collections.abc import Iterable
from pathlib import Path

from extensions.lab.kernels import NEWER
from tests.tools.environments import CONTROLLERS, OTHER_CONTROLLERS, OTHER_PYROUTE2, PYROUTE2

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
BEGIN, END = "<!-- versions: made by tests/tools/versions.py -->\n", "<!-- end of versions -->\n"
WITHOUT_KERNEL = ("unit", *(controller.folder.removeprefix(".cache/") for controller in CONTROLLERS + OTHER_CONTROLLERS))
ON_KERNEL = ("integration", "firewall", *(f"integration-{each}" for each in (*PYROUTE2, *OTHER_PYROUTE2, *NEWER)))


class Missing(Exception):
    """A report that is not there, or in which not everything has passed."""


def properties(path: Path) -> dict[str, str]:
    """What a report says of the versions that ran."""
    try:
        suite = xml.etree.ElementTree.parse(path).getroot().find("testsuite")
    except FileNotFoundError:
        raise Missing(f"{path.name}: run this stage first") from None
    if not int(suite.get("tests")) or any(int(suite.get(key)) for key in ("failures", "errors", "skipped")):
        raise Missing(f"{path.name}: not every test has passed")
    return {each.get("name"): each.get("value") for each in suite.iter("property")}


def by_number(versions: Iterable[str]) -> list[str]:
    return sorted(set(versions), key=lambda text: [int(number) for number in re.findall(r"\d+", text)])


def table(results: Path) -> str:
    """The table, as Markdown."""
    controllers = [properties(results / f"{name}.xml") for name in WITHOUT_KERNEL]
    nodes = [properties(results / f"{name}.xml") for name in ON_KERNEL]
    pythons: dict[str, set[str]] = {}
    for each in controllers:
        pythons.setdefault(each["ansible-core"], set()).add(each["python"].rpartition(".")[0])
    cores = [f"{core} (Python {' and '.join(by_number(pythons[core]))})" for core in by_number(pythons)]
    kernels = by_number(each["kernel"].partition("-")[0] for each in nodes)
    rows = {"ansible-core": cores, "pyroute2": by_number(each["pyroute2"] for each in nodes), "Linux": kernels}
    lines = ["| | the tests have run with |", "|---|---|", *(f"| {name} | {', '.join(versions)} |" for name, versions in rows.items())]
    return "\n".join(lines) + "\n"


def main() -> None:
    try:
        made = table(ROOT / ".cache/results")
    except Missing as error:
        sys.exit(str(error))
    text = README.read_text()
    README.write_text(text[: text.index(BEGIN)] + BEGIN + made + text[text.index(END) :])


if __name__ == "__main__":
    main()
