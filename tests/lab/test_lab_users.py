# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the lab side by side: of two checkouts, and of an ordinary user. As lab_create starts it, with nothing but Debian's Python."""
from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from extensions.lab import LabError, host
from extensions.lab.image import build, image, key
from extensions.lab.kernels import kernel
from tests.support import PATIENCE, ROOT


class Copy:
    """The lab's package in a folder of its own, with an inventory of one machine."""

    def __init__(self, folder, **options):
        self.folder, self.options = folder, {"env": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LVS_LAB_CACHE": str(host.cache_dir())}, **options}
        self.inventory = folder / "inventory"
        self.inventory.mkdir()
        shutil.copytree(ROOT / "extensions/lab", folder / "lab", ignore=shutil.ignore_patterns("__pycache__"))
        self.request = json.dumps({"hosts": {"web1": {"inventory_dir": str(self.inventory)}}})

    def start(self, verb):
        """Start create or destroy; finish() waits for it."""
        process = subprocess.Popen(
            [host.PYTHON, self.folder / "lab", verb], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **self.options)
        process.stdin.write(self.request)
        process.stdin.flush()
        return process

    def finish(self, process):
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, err
        return out

    def ssh(self, *command):
        """Run a command on the machine; its output."""
        words = ["ssh", "-F", self.inventory / "lab_machines.cfg", "web1", *command]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE, check=False, **self.options)
        assert done.returncode == 0, done.stderr
        return done.stdout


def test_labs_of_two_checkouts_come_and_go_at_the_same_time(tmp_path):
    copies = [Copy(Path(tempfile.mkdtemp(dir=tmp_path))) for _number in range(2)]
    try:
        for copy, process in [(copy, copy.start("create")) for copy in copies]:
            assert copy.finish(process) == "web1 booted\n"
        # The same name and the same address, but two machines.
        assert len({copy.ssh("cat /proc/sys/kernel/random/boot_id") for copy in copies}) == 2
        first, second = copies
        first.finish(first.start("destroy"))
        assert not list(first.inventory.iterdir())
        assert second.ssh("hostname") == "web1\n"
    finally:
        for copy in copies:
            copy.finish(copy.start("destroy"))


@pytest.fixture
def user():
    """A Copy of the ordinary user nobody, whose cache has an image already, and who may read nothing of root's."""
    assert os.geteuid() == 0, "this test steps down from root: run the tests as root"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:
        folder, number = Path(place), 65534
        cache = folder / "cache"
        cache.mkdir()
        for path in (key(), Path(f"{key()}.pub"), image("bookworm")):
            subprocess.run(["cp", "--sparse=always", path, cache / path.name], check=True)
        copy = Copy(
            folder, env={"PATH": "/usr/bin:/bin", "HOME": place, "LVS_LAB_CACHE": str(cache)}, cwd=place, user=number, group=number, extra_groups=[])
        subprocess.run(["chown", "-R", f"{number}:{number}", place], check=True)
        yield copy


def test_an_ordinary_user_has_machines_too(user):
    try:
        assert user.finish(user.start("create")) == "web1 booted\n"
        assert user.ssh("id -u; modprobe ip_vs && ls -d /proc/net/ip_vs") == "0\n/proc/net/ip_vs\n"
        mine = {Path(f"/proc/{pid}").stat().st_uid for pid in host.kernels(Path("/var/tmp/lvs-ipvs-lab.65534"))}
        assert mine == {65534}
    finally:
        assert user.finish(user.start("destroy")) == "destroyed\n"
    assert not list(user.inventory.iterdir())


def test_an_ordinary_user_is_told_what_an_image_needs(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    there = host.find
    monkeypatch.setattr(host, "find", lambda command: None if command == "newuidmap" else there(command))
    with pytest.raises(LabError) as error:
        build("bookworm", kernel(), tmp_path / "image")
    assert str(error.value).startswith("the lab needs uidmap; install with: sudo apt-get ") and "\n" not in str(error.value)


def test_an_ordinary_user_without_namespaces_is_told_how_to_run_as_root(monkeypatch):
    """As on Ubuntu 24.04, and so on GitHub's runners. The guide has the same line."""
    monkeypatch.setattr(os, "geteuid", lambda: 65534)
    monkeypatch.setattr(host, "find", lambda _command: "/bin/false")
    with pytest.raises(LabError) as error:
        host.need_user_namespaces()
    line = str(error.value).rpartition("as in ")[2]
    assert line.removesuffix("COMMAND") + "molecule test" in (ROOT / "docs/molecule.md").read_text()
