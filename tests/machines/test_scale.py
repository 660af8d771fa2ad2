# SPDX-License-Identifier: GPL-3.0-or-later
"""A list with 10,000 real servers through the roles and the playbooks, on whole machines."""

from __future__ import annotations

import json

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible

SERVICES, SERVERS = 100, 100
OURS = "2001:db8::12"
LIST = [
    {
        "address": f"2001:db8:80::{service:x}", "port": 80, "scheduler": "wrr",
        "servers": [{"address": OURS}] + [{"address": f"2001:db8:1:{service:x}::{server:x}"} for server in range(1, SERVERS)],
    }
    for service in range(1, SERVICES + 1)
]  # fmt: skip
MEANWHILE = [
    {"name": "Read the table", "ansible.builtin.command": "ipvsadm -S -n", "delegate_to": "director", "register": "seen"},
    {
        "name": "See that it is out everywhere",
        "ansible.builtin.assert": {"that": f"seen.stdout_lines | select('search', '{OURS}.* -w 0$') | length == {SERVICES}"},
    },
]

pytestmark = pytest.mark.slow


@pytest.fixture
def lab():
    with Lab("scale-test") as lab:
        lab.down()
        lab.up(["director:mem=512M,group=directors", "rs1:mem=512M,group=real_servers"])
        yield lab


def test_ten_thousand_real_servers(lab, tmp_path):
    (tmp_path / "inventory.yml").write_text(lab.inventory())
    (tmp_path / "list.json").write_text(json.dumps({"director_services": LIST}))

    def play(name, **more):
        options = ["-i", tmp_path / "inventory.yml", "-e", f"@{tmp_path / 'list.json'}", "-e", json.dumps(more)]
        return ansible("ansible-playbook", *options, ROOT / f"playbooks/{name}.yml", home=tmp_path, LVS_LAB_CACHE=str(cache_dir())).stdout

    def weights():
        """How often each weight of rs1 stands in the table, and how many real servers there are."""
        lines = [line.split() for line in lab.ssh("director", "ipvsadm -S -n", check=True, capture_output=True).stdout.splitlines()]
        servers = [words for words in lines if words[0] == "-a"]
        ours = [words[-1] for words in servers if words[4].startswith(f"[{OURS}]")]
        return {each: ours.count(each) for each in ours}, len(servers)

    play("site")
    assert weights() == ({"1": SERVICES}, SERVICES * SERVERS)
    recap = [line for line in play("site").splitlines() if " : ok=" in line]
    assert len(recap) == 2 and all("changed=0" in line for line in recap), recap
    play("verify")
    addresses = json.loads(lab.ssh("rs1", "ip -json address show dev lo", check=True, capture_output=True).stdout)[0]["addr_info"]
    assert len([each for each in addresses if each["local"].startswith("2001:db8:80::")]) == SERVICES
    (tmp_path / "meanwhile.yml").write_text(json.dumps(MEANWHILE))
    play("drain", drain_hosts="rs1", drain_tasks=str(tmp_path / "meanwhile.yml"))
    assert weights() == ({"1": SERVICES}, SERVICES * SERVERS)
