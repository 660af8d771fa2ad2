# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles install on each distribution, those too that no machine of the lab runs, and that their lists are typed as the modules'."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _service_specs
from tests.support import ansible

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

EXTRA = ["linux-modules-extra-KERNEL"]
RED_HAT = ["kernel-modules-KERNEL", "kernel-modules-extra-KERNEL"]
DISTRIBUTIONS = {
    # name: (distribution, major version, family, where pyroute2 comes from, packages for pip, packages where the kernel lacks IPVS)
    "debian11": ("Debian", "11", "Debian", "pip", ["python3-venv"], []),
    "debian12": ("Debian", "12", "Debian", "package", ["python3-venv"], []),
    "debian13": ("Debian", "13", "Debian", "package", ["python3-venv"], []),
    "ubuntu2204": ("Ubuntu", "22", "Debian", "pip", ["python3-venv"], EXTRA),
    "ubuntu2404": ("Ubuntu", "24", "Debian", "package", ["python3-venv"], EXTRA),
    "rhel9": ("RedHat", "9", "RedHat", "pip", ["python3-pip"], RED_HAT),
    "rocky9": ("Rocky", "9", "RedHat", "pip", ["python3-pip"], RED_HAT),
    "fedora42": ("Fedora", "42", "RedHat", "package", ["python3-pip"], RED_HAT),
    "amazon2023-6.1": ("Amazon", "2023", "RedHat", "pip", ["python3-pip"], ["kernel-modules-extra-6.1.141-155.222.amzn2023.x86_64"]),
    "amazon2023-6.12": ("Amazon", "2023", "RedHat", "pip", ["python3-pip"], ["kernel6.12-modules-extra-6.12.22-27.96.amzn2023.x86_64"]),
    "other": ("Other", "1", "Other", "pip", [], []),
}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory):
    """What tests/roles/rendering.yml wrote, by distribution."""
    folder = tmp_path_factory.mktemp("rendering")
    hosts = {name: {"facts": dict(zip(("distribution", "major", "family"), facts, strict=False))} for name, facts in DISTRIBUTIONS.items()}
    hosts["debian12"]["real_server_nat_route"] = "policy"
    hosts["amazon2023-6.1"]["facts"]["kernel"] = "6.1.141-155.222.amzn2023.x86_64"
    hosts["amazon2023-6.12"]["facts"]["kernel"] = "6.12.22-27.96.amzn2023.x86_64"
    variables = {"output": str(folder), "ansible_python_interpreter": "/usr/bin/python3"}
    directors = {"hosts": {"lb1": {"ansible_host": "198.51.100.2"}, "lb2": {"ansible_host": "198.51.100.3"}}}
    inventory = {"distributions": {"hosts": hosts, "vars": variables}, "directors": directors}
    (folder / "inventory.yml").write_text(json.dumps(inventory))
    ansible("ansible-playbook", "-i", folder / "inventory.yml", HERE / "rendering.yml", home=folder, ANSIBLE_FORKS="4")
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in DISTRIBUTIONS}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_packages(rendered, name):
    *_facts, source, pip, kernel = DISTRIBUTIONS[name]
    wanted = ["python3-pyroute2"] if source == "package" else pip
    assert rendered[name] == {
        "source": source,
        "director": ["ipvsadm", *wanted],
        "director_without_ipvs": ["ipvsadm", *wanted, *kernel],
        "director_other_source": ["ipvsadm", *(pip if source == "package" else ["python3-pyroute2"])],
        "real_server": wanted,
        "direct": ["198.51.100.2", "198.51.100.3"] if name == "debian12" else [],
    }


MASQUERADING = {
    "text_false": ("False", False), "text_no": ("no", False), "false": (False, False), "nobody": ([], False),
    "text_true": ("true", True), "true": (True, True), "networks": (["198.51.100.0/24"], True),
}  # fmt: skip


def test_masquerading_is_asked_for_as_the_module_takes_it(tmp_path):
    """The kernel settings that it needs are the role's. An inventory in INI form gives a text."""
    hosts = {name: {"director_snat": value} for name, (value, _wanted) in MASQUERADING.items()}
    write = {"copy": {"dest": f"{tmp_path}/{{{{ inventory_hostname }}}}.json", "content": "{{ __director_masquerading }}", "mode": "0600"}}
    role = {"hosts": "all", "connection": "local", "gather_facts": False, "vars_files": [str(ROOT / "roles/director/vars/main.yml")], "tasks": [write]}
    (tmp_path / "inventory.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": {"ansible_python_interpreter": "/usr/bin/python3"}}}))
    (tmp_path / "play.json").write_text(json.dumps([role]))
    ansible("ansible-playbook", "-i", tmp_path / "inventory.json", tmp_path / "play.json", home=tmp_path)
    found = {name: (tmp_path / f"{name}.json").read_text().lower() for name in hosts}
    assert found == {name: str(wanted).lower() for name, (_value, wanted) in MASQUERADING.items()}


@pytest.mark.parametrize("role", ["director", "real_server"])
def test_vars_files_define_the_same(role):
    files = [path for path in (ROOT / f"roles/{role}/vars").glob("*.yml") if path.name != "main.yml"]
    assert len(files) == 8
    assert len({frozenset(yaml.safe_load(path.read_text())) for path in files}) == 1


@pytest.mark.parametrize("role", ["director", "real_server"])
def test_services_are_typed_as_ipvs_table_has_them(role):
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())
    given = spec["argument_specs"]["main"]["options"]["director_services"]
    assert {key: given[key] for key in ("type", "elements")} == {"type": "list", "elements": "dict"}
    assert typed(given["options"]) == typed(_service_specs.services()["options"])


def typed(options):
    """An argument spec without its descriptions."""
    return {
        name: {key: typed(value) if key == "options" else value for key, value in option.items() if key != "description"}
        for name, option in options.items()
    }
