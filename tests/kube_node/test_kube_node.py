# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the role kube_node needs no machine: detection, package managers, user data, documentation.

An image that is baked and booted is the molecule scenario kube_node_image.
"""

from __future__ import annotations

import email
import os
import re
import subprocess
import sys

import pytest
import yaml

from tests.support import BIN, ROOT, ansible

ROLE = ROOT / "roles/kube_node"
# The EKS best practices guide, "Running kube-proxy in IPVS Mode".
AWS_GUIDE = ["ip_vs", *(f"ip_vs_{name}" for name in ("rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq")), "nf_conntrack"]


@pytest.fixture(scope="session")
def play(tmp_path_factory):
    """Run plays with the real ansible-playbook; returns what it printed, in one line. ``hosts``: name -> variables."""
    home = tmp_path_factory.mktemp("ansible")

    def run(plays, hosts, path="", succeeds=True):
        variables = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        (home / "inventory.yml").write_text(yaml.safe_dump({"all": {"vars": variables, "hosts": hosts}}))
        (home / "play.yml").write_text(yaml.safe_dump(plays))
        words = ["-i", home / "inventory.yml", home / "play.yml"]
        return ansible("ansible-playbook", *words, home=home, succeeds=succeeds, PATH=f"{path}:{BIN}:{os.environ['PATH']}").line

    return run


def with_facts(tasks_from, **variables):
    """A play that gives each host the facts in its variable ``facts`` and then runs a part of the role."""
    return {
        "hosts": "all",
        "gather_facts": False,
        "tasks": [
            {"ansible.builtin.set_fact": {"cacheable": True, **{name: f"{{{{ facts.{name} }}}}" for name in FACTS}}},
            {"ansible.builtin.include_role": {"name": "lvs.ipvs.kube_node", "tasks_from": tasks_from, "rolespec_validate": False}, "vars": variables},
        ],
    }


FACTS = ("is_chroot", "pkg_mgr", "virtualization_role", "virtualization_type")


def facts(is_chroot=False, pkg_mgr="apt", role="guest", kind="kvm"):
    return {"facts": dict(zip(FACTS, (is_chroot, pkg_mgr, role, kind), strict=True))}


def test_an_image_build_is_detected(play):
    hosts = {
        "chroot": facts(is_chroot=True),
        "podman": facts(kind="podman"),
        "docker": facts(kind="docker"),
        "told": facts() | {"kube_node_image_build": True},
        "told-by-words": facts() | {"kube_node_image_build": "yes"},
        "virtual": facts(),
        "docker-host": facts(role="host", kind="docker"),
        "metal": facts(role="NA", kind="NA"),
        "told-not": facts(is_chroot=True) | {"kube_node_image_build": False},
    }
    said = play([with_facts("facts")], hosts)
    images = {name for name in hosts if f'ok: [{name}] => {{ "msg": "Image build: nothing is loaded' in said}
    assert images == {"chroot", "podman", "docker", "told", "told-by-words"}


def test_an_image_without_a_kernel(play, tmp_path):
    (tmp_path / "ls").write_text("#!/bin/sh\nexit 2\n")
    (tmp_path / "ls").chmod(0o755)
    said = play([with_facts("modules", kube_node_image_build=True)], {"image": facts()}, path=tmp_path, succeeds=False)
    assert "/lib/modules is empty" in said
    assert "install the image's kernel first" in said


@pytest.fixture(scope="session")
def user_data(play, tmp_path_factory):
    """The user data by format, with and without the kernel parameters."""
    folder = tmp_path_factory.mktemp("user_data")
    names = [(kind, sysctls) for kind in ("shell", "mime", "cloud-config") for sysctls in (False, True)]
    tasks = [
        {
            "ansible.builtin.include_role": {"name": "lvs.ipvs.kube_node", "tasks_from": "user_data"},
            "vars": {"kube_node_user_data_path": f"{folder}/{kind}-{sysctls}", "kube_node_user_data_format": kind, "kube_node_set_sysctls": sysctls},
        }
        for kind, sysctls in names
    ]
    play([{"hosts": "all", "gather_facts": False, "tasks": tasks}], {"here": {}})
    return {name: (folder / f"{name[0]}-{name[1]}").read_text() for name in names}


@pytest.mark.parametrize("sysctls", [False, True])
def test_shell(user_data, sysctls):
    script = user_data["shell", sysctls]
    checked = subprocess.run([BIN / "shellcheck", "-"], input=script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout
    assert script.startswith("#!/bin/sh\n")
    assert "install ipvsadm ipset\n" in script
    assert f"for names in {' '.join(AWS_GUIDE[:-1])} 'nf_conntrack nf_conntrack_ipv4'; do" in script
    assert ("net.ipv4.vs.conntrack = 1\n" in script) is sysctls


def test_mime_carries_the_shell_script(user_data):
    message = email.message_from_string(user_data["mime", True])
    (part,) = message.get_payload()
    assert part.get_content_type() == "text/x-shellscript"
    assert part.get_payload().strip() == user_data["shell", True].strip()


@pytest.mark.parametrize("sysctls", [False, True])
def test_cloud_config_does_what_the_shell_script_does(user_data, sysctls):
    text = user_data["cloud-config", sysctls]
    assert text.startswith("#cloud-config\n")
    config = yaml.safe_load(text)
    assert config["packages"] == ["ipvsadm", "ipset"]
    (command,) = config["runcmd"]
    assert command[:2] == ["sh", "-euc"]
    assert user_data["shell", sysctls].rstrip().endswith(command[2].rstrip())
    assert command[2].startswith("# Of several names for a module")


def test_the_defaults_are_what_the_documentation_says():
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text())
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]
    documented = {name: option.get("default") for name, option in options["user_data"]["options"].items()}
    documented.update({name: option.get("default") for name, option in options["main"]["options"].items()})
    assert documented.pop("kube_node_user_data_path") is None
    assert defaults == documented
    assert [entry[0] if isinstance(entry, list) else entry for entry in defaults["kube_node_modules"]] == AWS_GUIDE


def test_the_page_names_only_what_there_is():
    page = (ROOT / "docs/kube_node_images.md").read_text()
    options = (ROLE / "meta/argument_specs.yml").read_text()
    assert set(re.findall(r"\bkube_node_\w+", page)) - {"kube_node_image"} <= set(re.findall(r"\bkube_node_\w+", options))
    for playbook in re.findall(r"lvs\.ipvs\.(kube\w+)", page):
        assert (ROOT / f"playbooks/{playbook}.yml").exists() or (ROOT / f"roles/{playbook}").is_dir()
    for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL):
        assert yaml.safe_load(block)
