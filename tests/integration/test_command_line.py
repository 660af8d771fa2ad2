# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules by Ansible itself: the examples that have templates, the action group, check mode and diff at the command line."""

from __future__ import annotations

import functools
import json
import re
import sys

import pytest
import yaml

from tests import support

from .conftest import new_netns
from .test_documentation import TEMPLATED, document

pytestmark = pytest.mark.once

RULES = "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1\n"
MORE = RULES + "-A -t 203.0.113.81:80 -s rr\n"


@pytest.fixture
def ansible(tmp_path):
    """Run one of Ansible's programs, whose modules run by this Python too."""
    return functools.partial(support.ansible, home=tmp_path, ANSIBLE_PYTHON_INTERPRETER=sys.executable)


@pytest.fixture
def playbook(ipvs, tmp_path):
    """The examples with templates and what they need, on the namespace that the defaults of the action group name."""
    tasks = [
        task
        for module in ("ipvs_info", "ipvs_table")
        for task in document(module, "EXAMPLES")
        if module == "ipvs_info" or (module, task["name"]) in TEMPLATED
    ]
    assert {task["name"] for task in tasks} >= {name for _module, name in TEMPLATED}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "module_defaults": {"group/lvs.ipvs.ipvs": {"netns": ipvs.netns}},
        "tasks": tasks,
    }
    (tmp_path / "ipvsadm.rules").write_text(MORE)
    ipvs.restore(RULES)
    before = ipvs.module("ipvs_info")
    (tmp_path / "before.json").write_text(json.dumps(before))
    path = tmp_path / "playbook.yml"
    path.write_text(yaml.safe_dump([play], sort_keys=False))
    return str(path)


@pytest.mark.long
def test_a_playbook(ipvs, ansible, playbook):
    with new_netns():
        output = ansible("ansible-playbook", "--diff", playbook).output
        # the first table adds a service, the second takes it away again
        assert "+-A -t 203.0.113.81:80 -s rr" in output and "--A -t 203.0.113.81:80 -s rr" in output
        assert recap(output) == {"ok": 6, "changed": 2}
        assert "198.51.100.11: 0" in output
        assert ipvs.is_empty(), "the defaults of the action group were not used"
    assert ipvs.saved() == sorted(RULES.splitlines())


@pytest.mark.long
def test_check_mode_and_diff(ipvs, ansible):
    arguments = json.dumps({"rules": MORE})
    output = ansible("ansible", "localhost", "--check", "--diff", "-m", "lvs.ipvs.ipvs_table", "-a", arguments).output
    assert "localhost | CHANGED" in output
    assert [line for line in output.splitlines() if line.startswith("+-")] == ["+" + rule for rule in MORE.splitlines()]
    assert ipvs.is_empty()


def recap(output):
    line = output.split("PLAY RECAP")[1]
    return {word: int(re.search(rf"\b{word}=(\d+)", line)[1]) for word in ("ok", "changed")}
