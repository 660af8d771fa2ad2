# SPDX-License-Identifier: GPL-3.0-or-later
"""What the README tells its reader to paste works as pasted."""

from __future__ import annotations

import re

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible
from tests.tools.environments import NEWEST

README = (ROOT / "README.md").read_text()


@pytest.fixture
def director(tmp_path):
    """A new machine in the group directors: (lab, function that runs an Ansible program on it, that of the newest Ansible if asked)."""
    with Lab("readme-test") as lab:
        lab.down()
        lab.up(["director:front,group=directors"])
        inventory = tmp_path / "inventory.yml"
        inventory.write_text(lab.inventory())

        def run(program, *words, newest=False):
            command = NEWEST.program(program) if newest else None
            return ansible(program, "-i", inventory, *words, home=tmp_path, command=command, LVS_LAB_CACHE=str(cache_dir())).stdout

        yield lab, run


def saved(lab):
    return lab.ssh("director", "ipvsadm -Sn", capture_output=True, check=True).stdout.split("\n")[:-1]


def test_playbook_and_commands(director, tmp_path):
    lab, run = director
    modules, role = re.findall(r"```yaml\n(.*?)```", README, re.S)
    playbook = tmp_path / "playbook.yml"
    playbook.write_text(modules)
    assert "changed=3" in run("ansible-playbook", str(playbook))
    expected = [
        "-A -t 203.0.113.80:80 -s wrr",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 2",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 1",
    ]
    assert saved(lab) == expected
    assert "changed=0" in run("ansible-playbook", str(playbook))

    drain, back = re.findall(r"^    ansible (directors -b -m lvs\.ipvs\.ipvs_drain -a) '(.*)'$", README, re.M)
    run("ansible", *drain[0].split(), drain[1])
    assert saved(lab)[1].endswith("-r 198.51.100.11:80 -m -w 0")
    run("ansible", *back[0].split(), back[1])
    assert saved(lab) == expected

    playbook.write_text(role)
    run("ansible-playbook", str(playbook), newest=True)
    assert saved(lab) == expected
    assert "203.0.113.80/32" in lab.ssh("director", "ip -o address", capture_output=True, check=True).stdout
    assert "changed=0" in run("ansible-playbook", str(playbook), newest=True)
