# SPDX-License-Identifier: GPL-3.0-or-later
"""What director_handover.yml does where the other director does not become the master. Handing over is tested on machines."""

from __future__ import annotations

import json

import pytest

from tests.support import ROOT, ansible
from tests.unit.director_hosts import host

# Answers for the module that it reads, and writes down to which state the priority is set.
ANSWERING = """#!/bin/sh
module=$(cat)
case $module in
*ipvs_keepalived_info*) cat {folder}/{name}-keepalived ;;
*ipvs_handover*)
    case $module in *restored*) state=restored ;; *) state=lowered ;; esac
    echo "{name} $state" >>{folder}/log
    echo '{{"changed": true, "seconds": 30}}' ;;
*) cat {folder}/{name}-seen ;;
esac
"""


@pytest.fixture
def handed_over(tmp_path):
    """The finished process of a handover between directors that stay as they are, and [which priority was set to what]."""

    def run(*directors):
        hosts = {}
        for each in directors:
            name = each["inventory_hostname"]
            for answer in ("keepalived", "seen"):
                (tmp_path / f"{name}-{answer}").write_text(json.dumps(each[f"director_{answer}"]))
            python = tmp_path / f"{name}-python"
            python.write_text(ANSWERING.format(folder=tmp_path, name=name))
            python.chmod(0o755)
            hosts[name] = {"director_python": str(python)}
        local = {"ansible_connection": "local", "ansible_become": False}
        (tmp_path / "inventory.json").write_text(json.dumps({"all": {"vars": local, "children": {"directors": {"hosts": hosts}}}}))
        done = ansible("ansible-playbook", "-i", tmp_path / "inventory.json", ROOT / "playbooks/director_handover.yml", home=tmp_path, succeeds=False)
        return done, (tmp_path / "log").read_text().splitlines()

    return run


def test_priorities_are_put_back_where_the_other_does_not_become_the_master(handed_over):
    done, log = handed_over(host("lb1", "master"), host("lb2", "backup"))
    assert log[0] == "lb1 lowered" and sorted(log[1:]) == ["lb1 restored", "lb2 restored"]
    assert "lb2 has not become the master, and all priorities are as they were before." in done.line


def test_a_priority_that_was_lowered_before_is_lowered_again(handed_over):
    done, log = handed_over(host("lb1", "backup", lowered=True), host("lb2", "master"))
    assert log[0] == "lb1 restored" and sorted(log[1:]) == ["lb1 lowered", "lb2 restored"]
    assert "lb1 has not become the master" in done.line


def test_one_that_handed_nothing_over_before_is_left_alone(handed_over):
    third = host("lb3", "backup")
    third["director_keepalived"]["handover"] = None
    done, log = handed_over(host("lb1", "master"), host("lb2", "backup"), third)
    assert not [line for line in log if "lb3" in line] and "lb2 has not become the master" in done.line
