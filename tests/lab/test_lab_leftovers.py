# SPDX-License-Identifier: GPL-3.0-or-later
"""Nothing is left behind: after destroy, Ctrl-C, a test that was killed, and a reboot of the box. With the playbooks, as users have it."""
from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml

from extensions.lab import Lab, host
from extensions.lab.inside import holder
from extensions.lab.molecule import arguments, destroys
from extensions.lab.network import namespace
from extensions.lab.request import init
from tests.lab.test_lab_machines import remains
from tests.support import BIN, PATIENCE, ROOT, ansible, eventually


@pytest.fixture
def place(tmp_path):
    """The folder of a checkout that has no lab, of the same user."""
    folder = host.run_dir(tmp_path)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def networks(name, place, owner=None, process=None):
    """A lab that is up, with no machine in it."""
    lab = Lab(name, place=place, owner=owner, process=process)
    lab.boot_all([])
    return lab


def test_what_a_reboot_of_the_box_has_left_goes_when_any_lab_begins(place):
    """Nothing that ran is there any more: no process of the lab, only its folder."""
    former = place / "lab.t-former"
    (former / "web1").mkdir(parents=True)
    (former / "machines.json").write_text('[{"name": "web1", "number": 11}]')
    (former / "web1/cow").write_bytes(b"its disk")
    with Lab("t-next") as lab:
        lab.boot_all([])
        assert not place.exists()


def test_a_lab_goes_with_the_folder_of_its_inventory(place, tmp_path):
    owners = {name: tmp_path / name for name in ("kept", "gone")}
    for owner in owners.values():
        owner.mkdir()
    labs = {name: networks(f"t-{name}", place, owner) for name, owner in owners.items()}
    try:
        owners["gone"].rmdir()
        Lab.sweep()
        assert labs["kept"].is_up() and not labs["gone"].directory.exists()
        assert not remains(labs["gone"])
    finally:
        for lab in labs.values():
            lab.down()
    assert not place.exists()


def test_a_lab_that_somebody_is_at_work_on_is_left_alone(place):
    half = place / "lab.t-half"
    half.mkdir()
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom extensions.lab import Lab\nLab.sweep(); print('swept')"
    with Lab("t-half", place=place).locked():
        assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "swept\n"
        assert half.exists()
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "swept\n"
    assert not half.exists()


LONG = f"touch /run/begun; sleep {9 * PATIENCE}"
INVENTORY = {"lab": {"hosts": {"web1": {}, "web2": {}}, "vars": {"lab_name": "t-playbook"}}}


class Repository:
    """A repository with an inventory, and a lab that its playbooks create and destroy."""

    def __init__(self, folder):
        self.folder, self.inventory = folder, folder / "inventory"
        self.inventory.mkdir()
        (self.inventory / "hosts.yml").write_text(yaml.safe_dump(INVENTORY))
        self.lab = Lab("t-playbook")

    def play(self, name, **options):
        return ansible("ansible-playbook", f"lvs.ipvs.{name}", "-i", self.inventory, home=self.folder, LVS_LAB_CACHE=str(host.cache_dir()), **options)

    def start(self, program, *words):
        """Start a program as in a terminal, with a process group of its own."""
        environment = {
            **os.environ, "ANSIBLE_COLLECTIONS_PATH": str(ROOT / ".cache/collections"), "HOME": str(self.folder), "LVS_LAB_CACHE": str(host.cache_dir()),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }
        return subprocess.Popen(
            [BIN / program, *words], env=environment, process_group=0, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self, process, number):
        """Have the whole group get a signal, as from Ctrl-C."""
        os.killpg(process.pid, number)
        process.wait(PATIENCE)

    def start_molecule(self, *words):
        """Start Molecule, and wait until it is in the middle of its step converge."""
        files = {path.name: path for path in init(self.folder, "default")}
        shutil.copy(self.inventory / "hosts.yml", files["hosts.yml"])
        task = {"name": "Take long", "ansible.builtin.shell": LONG}
        files["converge.yml"].write_text(yaml.safe_dump([{"name": "Converge", "hosts": "lab", "gather_facts": False, "tasks": [task]}]))
        settings = yaml.safe_load(files["molecule.yml"].read_text())
        settings["scenario"]["test_sequence"] = ["destroy", "create", "converge", "destroy"]
        files["molecule.yml"].write_text(yaml.safe_dump(settings))
        self.inventory = files["hosts.yml"].parent
        process = self.start("molecule", *words)
        eventually(lambda: "web2" in self.lab.machines and self.lab.ssh("web2", "test -e /run/begun").returncode == 0)
        return process

    def check_empty(self):
        eventually(lambda: not remains(self.lab))
        eventually(lambda: {path.name for path in self.inventory.iterdir()} <= {"hosts.yml", ".gitignore"})


@pytest.fixture
def repository(tmp_path):
    made = Repository(tmp_path)
    yield made
    made.lab.down()


def test_ctrl_c_while_machines_boot_leaves_nothing(repository):
    process = repository.start("ansible-playbook", "lvs.ipvs.lab_create", "-i", repository.inventory)
    eventually(lambda: len(host.kernels(repository.lab.directory)) >= 2)
    repository.stop(process, signal.SIGINT)
    repository.check_empty()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_test_that_is_ended_leaves_nothing_after_destroy(repository, number):
    """In the middle of a task on the machines; before that, while they boot, where nothing but a kill leaves anything."""
    if number == signal.SIGKILL:
        process = repository.start("ansible-playbook", "lvs.ipvs.lab_create", "-i", repository.inventory)
        eventually(lambda: len(host.kernels(repository.lab.directory)) >= 2)
        repository.stop(process, number)
    repository.play("lab_create")
    held = {namespace(holder(hold)) for hold in (repository.lab.network.client_hold, repository.lab.network.socket_hold)}
    process = repository.start("ansible", "lab", "-i", repository.inventory, "-m", "ansible.builtin.shell", "-a", LONG)
    eventually(lambda: repository.lab.ssh("web2", "test -e /run/begun").returncode == 0)
    repository.stop(process, number)
    assert repository.lab.is_up() and None not in held
    repository.play("lab_destroy")
    repository.check_empty()
    assert not held & {namespace(pid) for pid in os.listdir("/proc") if pid.isdigit()}
    assert "changed=0" in repository.play("lab_destroy").stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_molecule_test_takes_its_lab_with_it(repository, number):
    process = repository.start_molecule("test")
    repository.stop(process, number)
    repository.check_empty()


@pytest.mark.parametrize("words", [("test", "--destroy=never"), ("converge",)])
def test_a_lab_that_is_not_to_be_destroyed_stays_after_ctrl_c(repository, words):
    process = repository.start_molecule(*words)
    repository.stop(process, signal.SIGINT)
    time.sleep(2)  # what would end it looks every half second
    assert repository.lab.is_needed()
    assert all(repository.lab.is_running(name) for name in repository.lab.machines)
    repository.play("lab_destroy")
    repository.check_empty()


def ended():
    """A process that has run, as host.identity names it."""
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
        named = host.identity(process.pid)
    assert not host.is_alive(named)
    return named


def test_a_lab_goes_with_its_process_also_when_nobody_waited_for_it(place):
    labs = {"kept": networks("t-kept", place, process=host.identity(os.getpid())), "gone": networks("t-gone", place, process=ended())}
    try:
        Lab.sweep()
        assert labs["kept"].is_up() and not remains(labs["gone"])
    finally:
        for lab in labs.values():
            lab.down()


def test_a_process_that_ends_takes_no_lab_but_its_own(place):
    """Somebody has destroyed that one and made another of the same name meanwhile."""
    for other in (None, host.identity(os.getpid())):
        lab = networks("t-next", place, process=other)
        try:
            assert not Lab("t-next", place=place, process=ended()).down()
            assert lab.is_up()
        finally:
            assert lab.down()
    assert Lab("t-next", place=place, process=ended()).down()


def test_what_only_its_status_is_left_of_has_ended():
    with subprocess.Popen(["true"]) as process:
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert host.identity(process.pid) is None
    assert list(host.ancestors())[0] == os.getppid() and list(host.ancestors())[-1] == 1


@pytest.mark.parametrize(("line", "expected"), [
    ("/venv/bin/python3 /venv/bin/molecule test", True),
    ("/venv/bin/python3 -m molecule --debug -c base.yml test -s other --destroy always", True),
    ("python3.11 -Iu /venv/bin/molecule -v test -- --destroy=never", True),
    ("molecule test --destroy=never --destroy=always", True),
    ("molecule test --destroy=never", False),
    ("molecule test -s default --destroy never", False),
    ("molecule converge -s test", False),
    ("molecule --version", False),
    ("make molecule test", None),
    ("sudo molecule test", None),
    ("python3 -m pytest tests/molecule", None),
    ("", None),
])  # fmt: skip
def test_which_molecule_destroys_what_it_creates(line, expected):
    words = arguments(line.split())
    assert (words if words is None else destroys(words)) is expected
