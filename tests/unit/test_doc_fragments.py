# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules' documentation as an editor sees it, which reads the files and runs none of them."""

from __future__ import annotations

import re

import pytest
import yaml

from tests.support import ROOT
from tests.tools import doc_fragments
from tests.unit.test_argspec import MODULES, spec_of

FRAGMENTS = {path.stem: path.read_text() for path in (ROOT / "plugins/doc_fragments").glob("[!_]*.py")}
# As the Ansible language server finds texts in a file: names in capitals and triple quotes, wherever they stand.
TEXT = re.compile(r"[ \t]*(?P<name>[A-Z0-9_]+)\s*=\s*r?(?P<quotes>'''|\"\"\")(?:\n---)?\n?(?P<text>.*?)(?P=quotes)", re.S)


def texts(source):
    """The parsed texts of a file, by name."""
    return {match["name"]: yaml.safe_load(match["text"]) for match in TEXT.finditer(source)}


def merged(below, above):
    """Two texts as one; where both have something, that of the second stands."""
    if isinstance(below, dict) and isinstance(above, dict):
        return {key: merged(below[key], above[key]) if key in below and key in above else {**below, **above}[key] for key in {**below, **above}}
    return above


def options_of(module):
    """The documented options of a module, with those of its fragments."""
    document = texts((ROOT / f"plugins/modules/{module}.py").read_text())["DOCUMENTATION"]
    options = {}
    for name in document["extends_documentation_fragment"]:
        _namespace, _collection, file, *part = name.split(".")
        options = merged(options, texts(FRAGMENTS[file])[(part or ["documentation"])[0].upper()].get("options", {}))
    return merged(options, document.get("options", {}))


def differences(documented, spec, path=""):
    """The options that only one of the two has, at any depth, and those whose type or choices differ."""
    for name in sorted({*documented, *spec}):
        where = f"{path}{name}"
        if name not in documented or name not in spec:
            yield f"{where} is missing in the {'argument spec' if name in documented else 'documentation'}"
            continue
        text, option = documented[name], spec[name]
        if not text.get("description"):
            yield f"{where} is not described"
        for key in ("type", "elements", "choices", "required", "default"):
            if text.get(key, False if key == "required" else None) != option.get(key, False if key == "required" else None):
                yield f"{where}: {key} is {text.get(key)} in the documentation and {option.get(key)} in the argument spec"
        yield from differences(text.get("suboptions", {}), option.get("options", {}), f"{where}.")


@pytest.mark.parametrize("module", MODULES)
def test_an_editor_finds_every_option(module, monkeypatch):
    assert list(differences(options_of(module), spec_of(module, monkeypatch))) == []


def test_a_missing_option_is_found():
    spec = {"servers": {"type": "list", "elements": "dict", "options": {"weight": {"type": "int"}}}}
    documented = {"servers": {"description": "x", "type": "list", "elements": "dict"}}
    assert list(differences(documented, spec)) == ["servers.weight is missing in the documentation"]


def test_fragments_of_one_service_and_one_server_are_those_of_the_list():
    made = doc_fragments.files()
    assert {name: FRAGMENTS[name.removesuffix(".py")] for name in made} == made, "run: python tests/tools/doc_fragments.py"
