# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection as users get it: built from this checkout, installed, and asked for its documentation."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
import yaml

from tests import support
from tests.support import ROOT
from tests.tools.archive import build

MODULES = sorted(f"lvs.ipvs.{path.stem}" for path in (ROOT / "plugins/modules").glob("ipvs_*.py"))
FILTERS = sorted(f"lvs.ipvs.{path.stem}" for path in (ROOT / "plugins/filter").glob("*.py"))
IN_ARCHIVE = {
    "CHANGELOG.md", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "FILES.json", "LICENSE", "LICENSES", "MANIFEST.json", "README.md", "REUSE.toml", "SECURITY.md",
    "changelogs", "docs", "extensions", "meta", "playbooks", "plugins", "roles",
}  # fmt: skip


@pytest.fixture(scope="session")
def ansible(tmp_path_factory):
    """Run one of Ansible's programs on a place for collections that is empty at first; returns its output."""
    home = tmp_path_factory.mktemp("home")
    collections = str(home / "collections")
    return lambda program, *words: support.ansible(program, *words, home=home, ANSIBLE_COLLECTIONS_PATH=collections).stdout


@pytest.fixture(scope="session")
def archive(tmp_path_factory):
    return build(tmp_path_factory.mktemp("build"))


@pytest.fixture(scope="session")
def documentation(ansible, archive):
    """What ansible-doc says of every module of the installed archive, by full name."""
    ansible("ansible-galaxy", "collection", "install", "--offline", str(archive))
    return json.loads(ansible("ansible-doc", "--json", "--type", "module", *MODULES))


def test_the_archive_carries_the_name_and_version_of_galaxy_yml(archive):
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert archive.name == f"lvs-ipvs-{galaxy['version']}.tar.gz"


def test_the_archive_holds_the_collection_and_nothing_of_its_workshop(archive):
    with tarfile.open(archive) as tar:
        names = [Path(name) for name in tar.getnames()]
    assert {name.parts[0] for name in names} <= IN_ARCHIVE
    assert not [name for name in names for part in name.parts if part.startswith(".") or part in ("__pycache__", "molecule", "tests", "output")]
    assert not [name for name in names if name.suffix in (".pyc", ".xml", ".log")]
    modules = [f"plugins/modules/{name.rpartition('.')[2]}.py" for name in MODULES]
    assert {Path(name) for name in ("README.md", "LICENSE", "meta/runtime.yml", *modules)} <= set(names)


def test_the_pages_of_the_archive_link_to_files_of_this_version_in_the_repository(archive, tmp_path):
    """Galaxy keeps no files beside the pages. Every link to the repository is to a file of the checkout."""
    settings = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    shutil.unpack_archive(archive, tmp_path)
    pages = "".join(page.read_text() for page in tmp_path.rglob("*.md"))
    links = set(re.findall(r"\]\(([^)#]+)", pages))
    assert {link for link in links if not re.match(r"https?://", link)} == set()
    own = [link.removeprefix(settings["repository"]).split("/", 3) for link in links if link.startswith(settings["repository"])]
    assert {tuple(words[1:3]) for words in own} == {("blob", settings["version"]), ("raw", settings["version"])}
    assert [words[3] for words in own if not (ROOT / words[3]).is_file()] == []


def test_the_lab_of_an_installed_collection_runs_as_a_program(ansible, archive, tmp_path):
    ansible("ansible-galaxy", "collection", "install", "--offline", "--collections-path", str(tmp_path), str(archive))
    lab = tmp_path / "ansible_collections/lvs/ipvs/extensions/lab"
    done = subprocess.run([sys.executable, "-I", lab, "status", "--lab", "t-archive"], cwd="/", capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "lab t-archive is not up\n"), done.stderr
    scripts = [path for path in lab.rglob("*") if path.is_file() and path.read_bytes().startswith(b"#!/bin/sh")]
    assert scripts and all(path.stat().st_mode & 0o111 for path in scripts)


@pytest.mark.parametrize(("kind", "expected"), [("module", MODULES), ("filter", FILTERS)])
def test_ansible_finds_every_plugin_once_installed(ansible, documentation, kind, expected):
    assert sorted(json.loads(ansible("ansible-doc", "--json", "--list", "--type", kind, "lvs.ipvs"))) == expected


def test_the_action_group_holds_every_module():
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text())
    assert sorted(f"lvs.ipvs.{name}" for name in runtime["action_groups"]["ipvs"]) == MODULES


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_its_attributes(documentation, module):
    attributes = documentation[module]["doc"]["attributes"]
    assert {"action_group", "check_mode", "diff_mode", "idempotent", "platform"} <= set(attributes)
    assert attributes["action_group"]["membership"] == ["lvs.ipvs.ipvs"]
    assert attributes["check_mode"]["support"] in ("full", "N/A")


@pytest.mark.parametrize("module", MODULES)
def test_a_modules_examples_are_tasks_that_name_it_in_full(documentation, module):
    tasks = yaml.safe_load(documentation[module]["examples"])
    assert [task for task in tasks if module in task]
    assert all("name" in task for task in tasks)


@pytest.mark.parametrize("module", MODULES)
def test_a_module_documents_what_it_returns(documentation, module):
    for name, value in documentation[module]["return"].items():
        assert value["description"] and value["type"] and value["returned"], name


def test_an_error_is_one_clear_line(tmp_path):
    """At the command line, with any ansible-core. It comes before the kernel is touched, so none with IPVS is needed."""
    words = ["-m", "lvs.ipvs.ipvs_service", "-a", "address=www.example.com port=80"]
    settings = {"ANSIBLE_PYTHON_INTERPRETER": sys.executable}
    done = support.ansible("ansible", "localhost", *words, home=tmp_path, succeeds=False, **settings)
    assert done.status == 2
    assert "address: 'www.example.com': give an IPv4 or IPv6 address as a literal" in done.output
    assert "Traceback" not in done.output and "exception" not in done.output


def test_kube_proxy_says_how_to_install_kubernetes_core_where_it_is_missing(archive, tmp_path):
    """In a role of a play, which Ansible reads before it runs anything; the file that the message names is in the archive."""
    settings = {"home": tmp_path, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections")}
    support.ansible("ansible-galaxy", "collection", "install", "--offline", str(archive), **settings)
    play = {"hosts": "localhost", "gather_facts": False, "roles": [{"role": "lvs.ipvs.kube_proxy", "kube_proxy_mode": "ipvs"}]}
    (tmp_path / "play.json").write_text(json.dumps([play]))
    done = support.ansible("ansible-playbook", tmp_path / "play.json", succeeds=False, **settings)
    requirements = tmp_path / "collections/ansible_collections/lvs/ipvs/roles/kube_proxy/meta/collection-requirements.yml"
    assert f"needs on the controller. Nothing was changed. Install it: ansible-galaxy collection install -r {requirements}" in done.line
    assert [one["name"] for one in yaml.safe_load(requirements.read_text())["collections"]] == ["kubernetes.core"]
