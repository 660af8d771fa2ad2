# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles say of themselves in their defaults, argument specs and READMEs is the same; and they compute nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.tools import role_readmes

ROLES = sorted(path.name for path in role_readmes.ROLES.iterdir() if path.is_dir())


def read(role, name):
    return yaml.safe_load((role_readmes.ROLES / role / name).read_text())


def test_there_are_four():
    assert ROLES == ["director", "kube_node", "kube_proxy", "real_server"]


@pytest.mark.parametrize("role", ROLES)
def test_defaults_and_specs_agree(role):
    specs = role_readmes.options(role)
    assert read(role, "defaults/main.yml") == {name: option.get("default") for name, option in specs.items() if name in read(role, "defaults/main.yml")}
    with_default = {name for name, option in specs.items() if "default" in option and name.startswith(role)}
    assert with_default <= set(read(role, "defaults/main.yml"))


@pytest.mark.parametrize("role", ROLES)
def test_the_readme_has_every_variable_as_it_is(role):
    text = (role_readmes.ROLES / role / "README.md").read_text()
    assert role_readmes.with_table(role, text) == text, "run python tests/tools/role_readmes.py"
    named = set(re.findall(rf"`({role}_[a-z0-9_]+)[`:]", text))
    unknown = named - set(role_readmes.options(role)) - tags(role)
    assert unknown == set()


def tags(role):
    """The tags of a role's tasks."""
    return set(re.findall(r"\w+", " ".join(re.findall(r"tags: \[([^\]]*)\]", "".join(path.read_text() for path in tasks(role))))))


def tasks(role):
    return sorted((role_readmes.ROLES / role / "tasks").glob("*.yml"))


@pytest.mark.parametrize("role", ["director", "real_server"])
def test_a_role_decides_nothing(role):
    """No template, and no statement of Jinja, in tasks and variables; nothing of another role."""
    files = [path for path in (role_readmes.ROLES / role).rglob("*") if path.is_file() and path.suffix != ".md"]
    assert [path.name for path in files if path.suffix in (".j2", ".py")] == []
    for path in files:
        text = path.read_text()
        assert re.findall(r"{%.*?%}", text) == []
        assert re.findall(r"\.\./(?:director|real_server|kube_node|kube_proxy)", text) == []


@pytest.mark.parametrize("role", ["director", "real_server"])
def test_a_newcomer_reads_it_in_a_minute(role):
    lines = {path.name: len(Path(path).read_text().splitlines()) for path in tasks(role)}
    assert lines["main.yml"] < 50 and max(lines.values()) < 140
