# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inventory asks of the lab: checked before anything boots."""
from __future__ import annotations

import re

import pytest
import yaml

from extensions.lab import LabError, host, image, request
from extensions.lab.machines import Machine
from extensions.lab.request import Request
from tests.support import ROOT


def asked(**hosts):
    return {"hosts": {name: {"inventory_dir": "/nonexistent/inventory", "ansible_host": name, **variables} for name, variables in hosts.items()}}


def test_a_machine_is_what_its_variables_say(tmp_path):
    (tmp_path / "disk").touch()
    wanted = {"lab_disk": str(tmp_path / "disk")}
    wanted |= {"lab_suite": "trixie", "lab_memory": "1g", "lab_networks": ["back", "front"], "lab_gateway": "b", "lab_packages": ["jq"], "lab_kernel": "nft"}
    assert Request(asked(a=wanted, b={})).machines() == [
        Machine("a", suite="trixie", memory="1G", front=True, gateway="b", packages=["jq"], kernel="nft", disk=str(tmp_path / "disk")), Machine("b"),
    ]


@pytest.mark.parametrize(("variable", "value", "right"), [
    ("lab_suite", "buster", "bookworm, trixie"),
    ("lab_suite", None, "bookworm, trixie"),
    ("lab_memory", "much", "at least 64M"),
    ("lab_memory", "63M", "at least 64M"),
    ("lab_memory", 256, "such as 256M"),
    ("lab_networks", ["front"], "[back, front]"),
    ("lab_networks", "back", "[back, front]"),
    ("lab_networks", ["back", "side"], "[back, front]"),
    ("lab_gateway", "a", "another machine of the group lab"),
    ("lab_gateway", "c", "another machine of the group lab"),
    ("lab_packages", "nftables", "a list of names of Debian packages"),
    ("lab_packages", ["$(reboot)"], "a list of names of Debian packages"),
    ("lab_kernel", "windows", "debian, nft, trixie, sid"),
    ("lab_disk", "/nonexistent/disk.ext4", "give the path of a file"),
    ("lab_disk", ["disk.ext4"], "give the path of a file"),
    ("lab_sweet", "trixie", "lab_suite"),
    ("ansible_host", "203.0.113.5", "take the host out of the group lab"),
])
def test_a_wrong_variable_is_named_with_its_machine_its_value_and_what_is_right(variable, value, right):
    with pytest.raises(LabError) as error:
        Request(asked(b={}, a={variable: value})).machines()
    text = str(error.value)
    assert text.startswith(f"machine a: {variable}: {value!r}: ") and right in text and "\n" not in text


@pytest.mark.parametrize(("given", "told"), [
    ({"hosts": {}}, "put them into the group lab"),
    (asked(a={"lab_name": "One"}), "lab_name: 'One'"),
    (asked(a={"lab_name": "one"}, b={}), "lab_name: 'one' for a, but None for b"),
    (asked(a={"inventory_dir": None}), "set lab_inventory"),
    (asked(a={"lab_inventory": "machines.cfg"}), "lab_inventory: 'machines.cfg'"),
])
def test_what_is_wrong_with_a_lab(given, told):
    with pytest.raises(LabError) as error:
        Request(given)
    assert told in str(error.value)


def test_a_name_that_no_machine_can_have():
    with pytest.raises(LabError, match="machine web.example.com: give it a name"):
        Request(asked(**{"web.example.com": {}})).machines()


def test_a_second_create_takes_what_the_first_has_written():
    first = {"ansible_host": "198.51.100.11", "lab_back_ipv4": "198.51.100.11", "lab_back_ipv6": "2001:db8::11", "lab_client": ["x"], "lab_name": "mine"}
    assert Request(asked(a=first)).machines() == [Machine("a")]


def test_labs_of_two_inventories_do_not_meet():
    here, there = Request(asked(a={})), Request(asked(a={"inventory_dir": "/elsewhere"}))
    assert here.name != there.name
    assert here.name == Request(asked(a={"lab_suite": "trixie"})).name
    assert [str(path) for path in here.files] == [f"/nonexistent/inventory/lab_machines.{kind}" for kind in ("yml", "cfg")]


def test_a_file_of_the_users_own_is_not_overwritten(tmp_path, monkeypatch):
    own = tmp_path / "lab_machines.yml"
    own.write_text("all:\n")
    monkeypatch.setattr(request.Lab, "boot_all", lambda *_words: pytest.fail("it boots"))
    for act in (request.create, request.destroy):
        with pytest.raises(LabError, match="was not written by lab_create"):
            act(asked(a={"inventory_dir": str(tmp_path)}))
    assert own.read_text() == "all:\n"


def test_a_scenario_is_written_once(tmp_path):
    files = request.init(tmp_path, "mine")
    assert {path.name for path in files} >= {"molecule.yml", "create.yml", "destroy.yml", "converge.yml", "verify.yml", "hosts.yml", ".gitignore"}
    assert all(yaml.safe_load(path.read_text()) for path in files if path.suffix == ".yml")
    with pytest.raises(LabError, match="molecule/mine is there already"):
        request.init(tmp_path, "mine")


def test_the_cache_keeps_to_its_limit(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path))
    monkeypatch.setattr(image, "CACHE_LIMIT", 3 << 20)
    now = image.time.time()
    for age, name in enumerate(("newest", "middle", "oldest")):
        path = tmp_path / f"trixie-{name}.ext4"
        path.write_bytes(b"x" * (1 << 20) + b"x" * (1 << 19))
        image.os.utime(path, (now - age, now - age))
    image.prune()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trixie-middle.ext4", "trixie-newest.ext4"]


def test_packages_of_a_machine_make_another_image():
    kernel = image.kernels.kernel()
    usual = image.recipe("trixie", kernel)
    assert image.recipe("trixie", kernel, ["curl"]) == usual
    assert image.recipe("trixie", kernel, ["wireguard-tools"]) != usual
    assert image.recipe("trixie", kernel, ["jq", "wireguard-tools"]) == image.recipe("trixie", kernel, ["wireguard-tools", "jq", "jq"])


def test_the_guide_installs_what_the_lab_asks_for():
    guide = (ROOT / "docs/molecule.md").read_text()
    named = re.search(r"apt-get install --yes (.*)", guide)[1].split()
    there = {"python3", "util-linux"}  # on every box
    assert named == sorted({*host.FOR_MACHINES.values(), "curl", "debian-archive-keyring", "python3-venv"} - there)
