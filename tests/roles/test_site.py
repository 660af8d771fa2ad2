# SPDX-License-Identifier: GPL-3.0-or-later
"""What site.yml takes from real servers and when, and that the role hands its options to every change of the table."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from tests.support import ansible

ROOT = Path(__file__).resolve().parents[2]
SKIPPED = {"skipped": True}
DIRECTORS = {
    # name: (what the role's tasks of ipvs_table and ipvs_keepalived have answered, whether the director sends nothing any more to servers that
    # are not listed)
    "purges": ({"__director_table": {"unlisted": []}, "__director_checked": SKIPPED}, True),
    "keeps": ({"__director_table": {"unlisted": ["server"]}}, False),
    "of_others": ({"__director_table": SKIPPED}, True),
    "checks": ({"__director_table": SKIPPED, "__director_checked": {"changed": False}, "director_health": "keepalived"}, True),
    "checks_left_alone": ({"__director_table": SKIPPED, "__director_checked": SKIPPED, "director_health": "keepalived"}, False),
    "checks_left_out_by_tags": ({"__director_table": SKIPPED, "director_health": "keepalived"}, False),
}


def tasks(path):
    return yaml.safe_load((ROOT / path).read_text())


def cleaned_up(folder, directors):
    """(the directors that site.yml says may send connections, whether it cleans real servers up) after the role's last step on all but not_reached."""
    (record,) = [task for task in tasks("roles/director/tasks/present.yml") if "director_applied" in task.get("ansible.builtin.set_fact", {})]
    (last,) = [play for play in tasks("playbooks/site.yml") if "site_unasked" in play.get("vars", {})]
    known = tasks("roles/director/vars/main.yml")
    variables = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3", "director_health": "none"}
    variables.update({name: known[name] for name in ("__director_checking", "__director_keepalived_told")})
    groups = {"directors": {"hosts": directors}, "real_servers": {"hosts": {"rs1": {"real_server_leftovers": True}}}}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": variables, "children": groups}}))
    write = {"copy": {"dest": str(folder / "unasked"), "content": "{{ site_unasked | to_json }}", "mode": "0644"}}
    keep, clean = last["tasks"]
    clean = {"copy": {"dest": str(folder / "cleaned"), "content": "", "mode": "0644"}, "when": clean["when"]}
    plays = [
        {"hosts": "directors:!not_reached", "gather_facts": False, "tasks": [record]},
        {"hosts": "real_servers", "gather_facts": False, "vars": last["vars"], "tasks": [write, keep, clean]},
    ]
    (folder / "playbook.json").write_text(json.dumps(plays))
    done = ansible("ansible-playbook", "-i", folder / "inventory.json", folder / "playbook.json", home=folder)
    cleaned = (folder / "cleaned").exists()
    assert ("rs1 keeps settings that it no longer needs" in done.line) == (not cleaned)
    return json.loads((folder / "unasked").read_text()), cleaned


def test_real_servers_keep_what_a_director_may_still_need(tmp_path):
    outcome = cleaned_up(tmp_path, {**{name: answers for name, (answers, _done) in DIRECTORS.items()}, "not_reached": {}})
    assert (sorted(outcome[0]), outcome[1]) == (sorted(["not_reached", *(name for name, (_answers, done) in DIRECTORS.items() if not done)]), False)


def test_real_servers_are_cleaned_up_where_no_director_needs_it(tmp_path):
    assert cleaned_up(tmp_path, {name: answers for name, (answers, done) in DIRECTORS.items() if done}) == ([], True)


def test_without_directors_nobody_can_say_what_is_needed(tmp_path):
    """A group of another name is all that it takes."""
    assert cleaned_up(tmp_path, {}) == ([], False)


def test_every_change_of_the_table_gets_the_role_s_options():
    first, second = [task["lvs.ipvs.ipvs_table"] for task in tasks("roles/director/tasks/present.yml") if "lvs.ipvs.ipvs_table" in task]
    assert first.pop("postpone_removals") == "{{ not __director_checking }}"
    # nothing is removed without it: where the first does it, and where the second does
    assert first.pop("drain_timeout") == "{{ director_drain_timeout if __director_checking else omit }}"
    assert second.pop("drain_timeout") == "{{ director_drain_timeout }}"
    assert first == second
    assert first["rollback"] == "{{ director_rollback }}" and first["prune_force"] == "{{ director_prune_force }}"


# Which directors come one after the other, and in which order.
UNDER_VRRP = {
    "comes1": {"director_failover": "vrrp", "director_vrrp": False},
    "stays2": {"director_failover": "vrrp", "director_vrrp": True},
    "leaves3": {"director_failover": "none", "director_vrrp": True},
    "leaves4": {"director_vrrp": True},
    "absent5": {"director_failover": "vrrp", "director_vrrp": True, "director_state": "absent"},
    "static6": {"director_vrrp": False},
    "static7": {"director_vrrp": False},
}


def batches(folder, hosts):
    """The batches of directors that site.yml does the role for, [[name]]."""
    plays = tasks("playbooks/site.yml")
    (group,) = [task for play in plays for task in play.get("tasks", []) if "ansible.builtin.group_by" in task]
    directors = [play for play in plays if [each["role"] for each in play.get("roles", [])] == ["lvs.ipvs.director"]]
    log = {"shell": f"echo {{{{ ansible_play_batch | join(' ') }}}} >>{folder}/batches", "run_once": True}
    kept = ("hosts", "serial", "order", "vars", "gather_facts")
    book = [{"hosts": "directors", "gather_facts": False, "tasks": [group]}]
    book += [{**{key: play[key] for key in kept if key in play}, "tasks": [log]} for play in directors]
    local = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
    (folder / "inventory.json").write_text(json.dumps({"all": {"vars": local, "children": {"directors": {"hosts": hosts}}}}))
    (folder / "playbook.json").write_text(json.dumps(book))
    done = ansible("ansible-playbook", "-i", folder / "inventory.json", folder / "playbook.json", home=folder)
    assert "Could not match" not in done.stdout + done.stderr
    return [line.split() for line in (folder / "batches").read_text().splitlines()]


def test_directors_under_vrrp_come_one_after_the_other(tmp_path):
    expected = [["absent5"], ["leaves4"], ["leaves3"], ["comes1"], ["stays2"], ["static6", "static7"]]
    assert batches(tmp_path, UNDER_VRRP) == expected


def test_directors_without_vrrp_come_together(tmp_path):
    static = {name: UNDER_VRRP[name] for name in ("static6", "static7")}
    assert batches(tmp_path, static) == [["static6", "static7"]]
