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
    if {"any_errors_fatal", "serial"} & set(play) and path.stem != "kube_proxy_mode"
}
FORMS = {json.dumps(play): play for play in PLAYS.values()}  # plays of the same form are tried once


def played(folder, book, groups):
    """The run of these plays, and what they logged; ``groups``: {name of a group: {host: whether it is fine, fails or is lost}}."""
    (folder / "connection_plugins").mkdir()
    (folder / "connection_plugins/lost.py").write_text(LOST)
    found = {}
    for group, kinds in groups.items():
        hosts = {name: {"ansible_connection": "lost" if kind == "lost" else "local", "fails": kind == "fails"} for name, kind in kinds.items()}
        found[group] = {"hosts": hosts}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": {"ansible_python_interpreter": "/usr/bin/python3"}, "children": found}}))
    (folder / "playbook.json").write_text(json.dumps(book))
    settings = {"ANSIBLE_STRATEGY": "free", "ANSIBLE_CONNECTION_PLUGINS": str(folder / "connection_plugins")}
    done = ansible("ansible-playbook", "-i", folder / "inventory.json", folder / "playbook.json", home=folder, succeeds=None, **settings)
    return done, (folder / "log").read_text().split() if (folder / "log").exists() else []


def log(folder):
    return {"shell": f"echo {{{{ inventory_hostname }}}} >>{folder}/log"}


def ran(folder, play, kinds):
    """The hosts that came through a play with these settings, and of the play after it; ``kinds``: {host: is it fine, does it fail, is it lost}."""
    steps = [{"command": "true"}, {"fail": {}, "when": "fails"}, log(folder)]
    book = [{**play, "hosts": "these", "gather_facts": False, "tasks": steps}]
    book += [{"hosts": "others", "gather_facts": False, "tasks": [log(folder)]}]
    return played(folder, book, {"these": kinds, "others": {"later": "fine"}})[1]


def test_the_plays_that_change_live_nodes_are_among_them():
    assert {name.partition(":")[0] for name in PLAYS} == {"director_drain", "director_handover", "director_upgrade", "drain", "site"}
    assert [name for name in PLAYS if name.startswith("site: ")] == [
        "site: Set up real servers", "site: Group directors by VRRP", "site: Directors that leave VRRP", "site: Directors under VRRP", "site: Directors"
    ]  # fmt: skip


@pytest.mark.parametrize("kinds", [["lost"], ["lost", "fine"], ["fails", "fine"], ["lost", "fails"]], ids=" ".join)
@pytest.mark.parametrize("form", FORMS)
def test_a_host_that_is_lost_or_fails_ends_the_run(tmp_path, form, kinds):
    assert ran(tmp_path, FORMS[form], {f"host{number}": kind for number, kind in enumerate(kinds)}) == []


def test_where_all_is_well_the_run_goes_on(tmp_path):
    assert ran(tmp_path, PLAYS["site: Set up real servers"], {"host0": "fine"}) == ["host0", "later"]


@pytest.mark.parametrize(("mode", "kinds"), [("ipvs", ["lost", "fine"]), ("ipvs", ["lost"]), ("ipvs", ["fine"]), ("nftables", ["lost", "fine"])], ids=str)
def test_kube_proxy_gets_no_mode_whose_modules_a_node_may_lack(tmp_path, mode, kinds):
    """A node that was never seen is only warned of, so the playbook finds out by itself which of those that were do not answer any more."""
    plays = yaml.safe_load((PLAYBOOKS / "kube_proxy_mode.yml").read_text())
    (load,) = [play for play in plays if play["name"] == "Load the scheduler's kernel modules"]
    (change,) = [play for play in plays if play["name"] == "Set kube-proxy's mode"]
    (prepare,) = load["tasks"]
    prepare["block"][0] = {"command": "true"}
    load = {**load, "become": False, "tasks": [{"set_fact": {"kube_proxy_found": {}}, "when": "inventory_hostname != 'unseen'"}, prepare]}
    change = {**change, "hosts": "later", "tasks": [change["tasks"][0], log(tmp_path)]}
    book = [{**play, "vars": {**play.get("vars", {}), "kube_proxy_mode": mode}} for play in (load, change)]
    nodes = {f"node{number}": kind for number, kind in enumerate(kinds)}
    done, logged = played(tmp_path, book, {"kube_nodes": {**nodes, "unseen": "fine"}, "others": {"later": "fine"}})
    refused = mode == "ipvs" and "lost" in kinds
    assert logged == ([] if refused else ["later"])
    assert ("node0" in done.line and "could not load the scheduler's kernel modules there" in done.line) == refused
