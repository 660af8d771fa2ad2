# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a host fails or is lost, nothing that comes later in a playbook runs: Ansible does not see to that by itself, nor with the strategy free."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.support import ansible

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
KEYS = ("any_errors_fatal", "max_fail_percentage", "serial", "strategy")
LOST = '''
from ansible.errors import AnsibleConnectionFailure
from ansible.plugins.connection.local import Connection as Local

DOCUMENTATION = """
name: lost
short_description: a host that does not answer
description: It never does.
"""


class Connection(Local):
    transport = "lost"

    def exec_command(self, *words, **named):
        raise AnsibleConnectionFailure("no answer")
'''
PLAYS = {
    f"{path.stem}: {play['name']}": {key: play[key] for key in KEYS if key in play}
    for path in sorted(PLAYBOOKS.glob("*.yml"))
    for play in yaml.safe_load(path.read_text())
    if {"any_errors_fatal", "serial"} & set(play)
}
FORMS = {json.dumps(play): play for play in PLAYS.values()}  # plays of the same form are tried once


def ran(folder, play, kinds):
    """The hosts that came through a play with these settings, and of the play after it; ``kinds``: {host: is it fine, does it fail, is it lost}."""
    (folder / "connection_plugins").mkdir()
    (folder / "connection_plugins/lost.py").write_text(LOST)
    local = {"ansible_python_interpreter": "/usr/bin/python3"}
    hosts = {name: {"ansible_connection": "lost" if kind == "lost" else "local", "fails": kind == "fails"} for name, kind in kinds.items()}
    groups = {"these": {"hosts": hosts}, "others": {"hosts": {"later": {"ansible_connection": "local"}}}}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": local, "children": groups}}))
    log = {"shell": f"echo {{{{ inventory_hostname }}}} >>{folder}/log"}
    steps = [{"command": "true"}, {"fail": {}, "when": "fails"}, log]
    book = [{**play, "hosts": "these", "gather_facts": False, "tasks": steps}]
    book += [{"hosts": "others", "gather_facts": False, "tasks": [log]}]
    (folder / "playbook.json").write_text(json.dumps(book))
    settings = {"ANSIBLE_STRATEGY": "free", "ANSIBLE_CONNECTION_PLUGINS": str(folder / "connection_plugins")}
    ansible("ansible-playbook", "-i", folder / "inventory.json", folder / "playbook.json", home=folder, succeeds=None, **settings)
    return (folder / "log").read_text().split() if (folder / "log").exists() else []


def test_the_plays_that_change_live_nodes_are_among_them():
    assert {name.partition(":")[0] for name in PLAYS} == {"director_drain", "director_handover", "director_upgrade", "drain", "kube_proxy_mode", "site"}
    assert [name for name in PLAYS if name.startswith("site: ")] == [
        "site: Set up real servers", "site: Group directors by VRRP", "site: Directors that leave VRRP", "site: Directors under VRRP", "site: Directors"
    ]  # fmt: skip


@pytest.mark.parametrize("kinds", [["lost"], ["lost", "fine"], ["fails", "fine"], ["lost", "fails"]], ids=" ".join)
@pytest.mark.parametrize("form", FORMS)
def test_a_host_that_is_lost_or_fails_ends_the_run(tmp_path, form, kinds):
    assert ran(tmp_path, FORMS[form], {f"host{number}": kind for number, kind in enumerate(kinds)}) == []


def test_where_all_is_well_the_run_goes_on(tmp_path):
    assert ran(tmp_path, PLAYS["site: Set up real servers"], {"host0": "fine"}) == ["host0", "later"]
