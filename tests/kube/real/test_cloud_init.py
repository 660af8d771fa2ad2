# SPDX-License-Identifier: GPL-3.0-or-later
"""User data of the role kube_node, taken by cloud-init itself on the first boot of a machine: the source NoCloud, with no network but apt's folder."""

from __future__ import annotations

import json
import subprocess

import pytest

from extensions.lab import Lab, host
from extensions.lab.builds import SMALL
from extensions.lab.image import INSTALLED, MAKING, WITHOUT_TEXTS
from extensions.lab.image import disk as make_disk
from tests.kube.real.machines import ANSIBLE_PLAYBOOK
from tests.support import ansible, eventually

SEED = "var/lib/cloud/seed/nocloud"
# As on a machine of the lab: its network, its key and apt's folder are there already, and translations are left out of its files.
SETTINGS = {
    "datasource_list": ["NoCloud"], "disable_root": False, "ssh_deletekeys": False, "preserve_hostname": True, "network": {"config": "disabled"},
    "apt": {"preserve_sources_list": True}, "locale": False,
}  # fmt: skip
MODULES = {"ip_vs", *(f"ip_vs_{name}" for name in ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq")), "nf_conntrack"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A root file system with cloud-init. Needs root, as every image build does."""
    tree = tmp_path_factory.mktemp("cloud-init") / "root"
    done = subprocess.run(
        [host.find("mmdebstrap"), "--quiet", "--mode=root", *SMALL, *WITHOUT_TEXTS, f"--include={','.join([*INSTALLED, 'cloud-init'])}",
         f'--customize-hook={MAKING}/add-packages.sh "$1" ipset ipvsadm', "bookworm", tree],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (tree / "etc/cloud/cloud.cfg.d/90-lab.cfg").write_text(json.dumps(SETTINGS))
    (tree / SEED).mkdir(parents=True)
    (tree / SEED / "meta-data").write_text("instance-id: node1\n")
    return tree


@pytest.mark.parametrize("kind", ["shell", "mime", "cloud-config"])
def test_user_data_makes_the_node_ready_on_its_first_boot(root, tmp_path, kind):
    play = [
        {
            "hosts": "localhost",
            "connection": "local",
            "gather_facts": False,
            "tasks": [{"ansible.builtin.include_role": {"name": "lvs.ipvs.kube_node", "tasks_from": "user_data"}}],
            "vars": {"kube_node_user_data_path": str(root / SEED / "user-data"), "kube_node_user_data_format": kind},
        }
    ]
    (tmp_path / "play.yml").write_text(json.dumps(play))
    ansible(None, tmp_path / "play.yml", home=tmp_path, command=[ANSIBLE_PLAYBOOK])
    make_disk(root, tmp_path / "disk.ext4")
    with Lab("cloud-init") as lab:
        lab.up([f"node1:mem=512M,disk={tmp_path}/disk.ext4"])

        def ssh(command):
            return lab.ssh("node1", command, capture_output=True).stdout

        def shows():
            listed = ssh("lsmod; cat /etc/modules-load.d/ipvs.conf; dpkg-query --show --showformat '${db:Status-Status} ' ipset ipvsadm")
            lines = listed.splitlines()
            return {line.split()[0] for line in lines if " " in line} >= MODULES, set(lines) >= MODULES, lines[-1]

        assert "status: done" in ssh("cloud-init status --wait"), ssh("cloud-init status --long; tail -n 30 /var/log/cloud-init-output.log")
        assert shows() == (True, True, "installed installed ")
        if kind == "cloud-config":
            assert "Valid" in ssh(f"cloud-init schema --config-file /{SEED}/user-data")
        boot = ssh("cat /proc/sys/kernel/random/boot_id")
        ssh("systemctl reboot")
        eventually(lambda: ssh("cat /proc/sys/kernel/random/boot_id") not in ("", boot))
        assert "status: done" in ssh("cloud-init status --wait")
        assert shows() == (True, True, "installed installed "), "the modules are there after a boot that runs no user data"
