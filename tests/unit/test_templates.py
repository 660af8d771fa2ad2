# SPDX-License-Identifier: GPL-3.0-or-later
"""No template of a role or playbook may render nothing: from ansible-core 2.19 on its value is then None, not an empty text."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
import pytest
import yaml
from jinja2 import nodes

ROOT = Path(__file__).resolve().parents[2]
YAML = sorted([*ROOT.glob("roles/**/*.yml"), *ROOT.glob("playbooks/**/*.yml")])
TEMPLATES = sorted([*ROOT.glob("roles/**/*.j2"), *ROOT.glob("playbooks/**/*.j2")])
INCLUDED = {name for path in TEMPLATES for name in re.findall(r"{%-? *(?:from|import|include) '([^']+)'", path.read_text())}
PARSER = jinja2.Environment(trim_blocks=True, extensions=["jinja2.ext.do"])


def always_prints(body):
    """Whether something comes out of these statements whatever the variables are."""
    for node in body:
        if isinstance(node, nodes.Output):
            if any(not isinstance(part, nodes.TemplateData) or part.data for part in node.nodes):
                return True
        elif isinstance(node, nodes.If) and node.else_ and all(map(always_prints, (node.body, node.else_, *(each.body for each in node.elif_)))):
            return True
    return False


def renders_nothing(text):
    return "{%" in text and not always_prints(PARSER.parse(text).body)


@pytest.mark.parametrize(
    ("text", "nothing"),
    [
        ("{% for one in many %}\n{{ one }}\n{% endfor %}\n", True),
        ("{% if sure %}yes{% endif %}", True),
        ("{% if sure %}yes{% else %}{% for one in many %}no{% endfor %}{% endif %}", True),
        ("{% if sure %}yes{% else %}no{% endif %}", False),
        ("All:\n{% for one in many %}\n{{ one }}\n{% endfor %}\n", False),
        ("{% set some = [] %}\n{{ some | to_json }}", False),
        ("{{ one }}", False),
    ],
)
def test_what_counts_as_rendering_nothing(text, nothing):
    assert renders_nothing(text) == nothing


class Loader(yaml.SafeLoader):
    """Reads tags such as !unsafe as plain values."""


Loader.add_multi_constructor("!", lambda loader, _tag, node: getattr(node, "value", ""))


def texts(value):
    if isinstance(value, dict):
        value = [*value.values()]
    if isinstance(value, list):
        return [text for each in value for text in texts(each)]
    return [value] if isinstance(value, str) else []


@pytest.mark.parametrize("path", YAML, ids=[str(path.relative_to(ROOT)) for path in YAML])
def test_no_value_renders_nothing(path):
    assert [text for text in texts(yaml.load(path.read_text(), Loader)) if renders_nothing(text)] == []


@pytest.mark.parametrize("path", TEMPLATES, ids=[str(path.relative_to(ROOT)) for path in TEMPLATES])
def test_no_template_renders_nothing(path):
    assert path.name in INCLUDED or always_prints(PARSER.parse(path.read_text()).body)
