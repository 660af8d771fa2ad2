# SPDX-License-Identifier: GPL-3.0-or-later
"""The execution environment of docs/execution-environment.yml, as far as it comes without a container."""

from __future__ import annotations

import subprocess
import sys

import yaml

from tests.support import BIN, ROOT, ansible
from tests.tools.archive import build

DEFINITION = ROOT / "docs/execution-environment.yml"


def builder(*words, home):
    return ansible("ansible-builder", *words, home=home, command=[BIN / "ansible-builder"])


def test_ansible_builder_takes_the_definition(home, tmp_path):
    builder("create", "--file", str(DEFINITION), "--context", str(tmp_path), home=home)
    written = yaml.safe_load((tmp_path / "_build/requirements.yml").read_text())
    assert written == yaml.safe_load(DEFINITION.read_text())["dependencies"]["galaxy"]
    (needed,) = yaml.safe_load((ROOT / "roles/kube_proxy/meta/collection-requirements.yml").read_text())["collections"]
    assert needed in written["collections"]


def test_what_its_collections_need_can_be_installed(home, tmp_path):
    """kubernetes.core is the one that the tests of the role kube_proxy run with."""
    ansible("ansible-galaxy", "collection", "install", "--offline", str(build(tmp_path)), home=home, ANSIBLE_COLLECTIONS_PATH=str(tmp_path))
    kubernetes = ROOT / ".cache/collections/ansible_collections/kubernetes"
    (tmp_path / "ansible_collections/kubernetes").symlink_to(kubernetes.resolve(strict=True))
    found = tmp_path / "requirements.txt"
    builder("introspect", "--write-pip", str(found), str(tmp_path), home=home)
    assert "from collection kubernetes.core" in found.read_text() and "lvs.ipvs" not in found.read_text()

    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    python = tmp_path / "venv/bin/python"
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-compile", "--requirement", found], check=True)
    subprocess.run([python, "-m", "pip", "--disable-pip-version-check", "check"], check=True)
    subprocess.run([python, "-c", "import jsonpatch, kubernetes"], check=True)
