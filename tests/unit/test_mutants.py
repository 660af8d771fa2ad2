# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults that mutation.py puts into the code, and the list of those that nobody can notice."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import yaml

from tests.tools.mutants import mutants

ROOT = Path(__file__).parents[2]
EQUIVALENT = yaml.safe_load((ROOT / "tests/tools/equivalent_mutants.yml").read_text())


@pytest.mark.parametrize("path", EQUIVALENT)
def test_an_equivalent_mutant_is_one_of_this_code(path):
    """The name of a mutant shows its line. When that changes, so may the reason."""
    made = {mutant.name for mutant in mutants(path, (ROOT / path).read_text())}
    assert [each["mutant"] for each in EQUIVALENT[path] if each["mutant"] not in made] == []


def test_a_mutant_is_other_code_under_a_name_of_its_own():
    source = "def first(given):\n    if given and given[0] != 0:\n        return given[0] + 1\n    return None\n"
    made = mutants("plugins/a.py", source)
    texts = {mutant.name: mutant.put_into(source) for mutant in made}
    assert len(texts) == len(made) > 5 and "first: given and given[0] != 0 -> given or given[0] != 0 [if given and given[0] != 0:]" in texts
    assert ast.dump(ast.parse(source)) not in {ast.dump(ast.parse(text)) for text in texts.values()}
