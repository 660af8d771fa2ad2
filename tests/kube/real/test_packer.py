# SPDX-License-Identifier: GPL-3.0-or-later
"""The guide's template for Packer: validated as it stands, and built with Packer's null builder on a machine of the lab.

Debian has Packer 1.6.6. It brings its plugins itself and knows no block required_plugins, so that this block is all that is left out.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from extensions.lab import Lab
from extensions.lab.image import key
from tests.kube.parts import PACKER, programs
from tests.support import BIN, ROOT, eventually
from tests.tools.archive import build

GUIDE = (ROOT / "docs/kube_node_images.md").read_text()
SCHEDULERS = {f"ip_vs_{name}" for name in ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq")}
NULL = """\
source "null" "node" {{
  ssh_host             = "{address}"
  ssh_username         = "root"
  ssh_private_key_file = "{key}"
}}
"""


def block(language: str, start: str) -> str:
    """The one block of the guide that starts with that line."""
    (text,) = (each for each in re.findall(rf"^```{language}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL) if each.startswith(start))
    return text


def without(text: str, head: str) -> str:
    """HCL without the block of the outermost level that has this head."""
    left, number = re.subn(rf"^{re.escape(head)} {{\n.*?^}}\n", "", text, flags=re.MULTILINE | re.DOTALL)
    assert number == 1, head
    return left


TEMPLATE = without(block("hcl", "packer {"), "packer")


def packer(folder: Path, *words: str, before=()) -> subprocess.CompletedProcess:
    settings = {"CHECKPOINT_DISABLE": "1", "HOME": str(folder), "LC_ALL": "C.UTF-8", "PATH": f"{BIN}:{os.environ['PATH']}", "TMPDIR": str(folder)}
    command = [*before, programs(PACKER) / "packer", *words, "."]
    return subprocess.run(command, cwd=folder, env=settings, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path):
    """The guide's three files."""
    (tmp_path / "requirements.yml").write_text(block("yaml", "collections:"))
    (tmp_path / "image.yml").write_text(block("yaml", "- name: Prepare the image"))
    (tmp_path / "node.pkr.hcl").write_text(TEMPLATE)
    return tmp_path


def test_the_template_is_valid(folder):
    done = packer(folder, "validate", "-var", "region=eu-west-1", "-var", "kubernetes_version=1.33")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("use_proxy ", "use_proxi ", 'An argument named "use_proxi" is not'),
        ("owners ", "owner ", 'An argument named "owner" is not expected'),
        ("most_recent = true", "most_recent = often", 'There is no variable named "often"'),
        ('"image.yml"', '"images.yml"', "images.yml"),
    ],
)
def test_what_packer_refuses_is_seen(folder, old, new, message):
    """The oracle itself."""
    assert TEMPLATE.count(old) == 1
    (folder / "node.pkr.hcl").write_text(TEMPLATE.replace(old, new))
    done = packer(folder, "validate")
    assert done.returncode != 0, done.stdout
    assert message in done.stdout + done.stderr


def test_a_machine_is_made_ready_over_ssh(folder):
    """With the guide's provisioner and playbook and the collection's archive; the null builder makes no image of the machine, which reboots instead."""
    (folder / "requirements.yml").write_text(f"collections:\n  - name: {build(folder)}\n    type: file\n")
    with Lab("packer") as lab:
        lab.up(["node1:mem=512M"])

        def ssh(command):
            return lab.ssh("node1", command, capture_output=True).stdout

        def loaded():
            return {line.split()[0] for line in ssh("lsmod").splitlines()}

        template = without(TEMPLATE, 'source "amazon-ebs" "node"').replace("source.amazon-ebs.node", "source.null.node").replace('"ec2-user"', '"root"')
        (folder / "node.pkr.hcl").write_text(NULL.format(address=lab.machine("node1").address, key=key()) + template)
        inside = lab.exec_command([])
        done = packer(folder, "build", "-color=false", before=inside)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "was installed successfully" in done.stdout
        assert re.search(r"changed=[1-9].*failed=0", done.stdout), done.stdout
        assert not SCHEDULERS & loaded(), "an image build loads nothing"
        again = packer(folder, "build", "-color=false", before=inside)
        assert again.returncode == 0, again.stdout + again.stderr
        assert "changed=0" in again.stdout, again.stdout

        boot = ssh("cat /proc/sys/kernel/random/boot_id")
        ssh("systemctl reboot")
        eventually(lambda: ssh("cat /proc/sys/kernel/random/boot_id") not in ("", boot))
        assert ssh("systemctl is-system-running --wait").strip() == "running"
        assert loaded() >= SCHEDULERS | {"ip_vs", "nf_conntrack"}
        assert ssh("dpkg-query --show --showformat '${db:Status-Status} ' ipset ipvsadm") == "installed installed "
