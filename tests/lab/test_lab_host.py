# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no kernel: specifications of machines, locks, what is missing on the box."""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time

import pytest

from extensions.lab import Lab, LabError, cli, host, kernels
from extensions.lab.image import KEPT, image, prune, recipe
from extensions.lab.inventory import yaml
from extensions.lab.machines import Machine
from tests.support import PATIENCE, eventually


def test_a_machine_is_what_its_specification_says():
    machine = Machine.parse("rs2:gw=director,trixie,mem=512M,group=real_servers,group=web", memory="256M")
    assert (machine.name, machine.gateway, machine.suite, machine.memory) == ("rs2", "director", "trixie", "512M")
    assert machine.groups == ["real_servers", "web"] and not machine.front
    assert Machine.parse("director:front").front


@pytest.mark.parametrize(("spec", "told"), [
    ("Director", "'Director'"), ("a b", "'a b'"), ("rs1:nat", "'nat'"), ("rs1:gw=", "'gw='"), ("", "''"),
])
def test_a_wrong_specification_names_what_is_wrong(spec, told):
    with pytest.raises(LabError, match=told):
        Machine.parse(spec)


@pytest.mark.parametrize(("specs", "told"), [
    (["rs1", "rs1"], "rs1 is named twice"),
    (["rs1:gw=director"], "gateway director is no machine"),
    (["rs1:mem=much"], "'much' is no size"),
    (["rs1:disk=/nonexistent"], "no disk /nonexistent"),
])
def test_a_wrong_plan_starts_nothing(specs, told):
    lab = Lab("t-plan")
    with pytest.raises(LabError, match=told):
        lab.up(specs)
    assert not lab.directory.exists()


def test_labs_of_two_checkouts_do_not_meet(tmp_path):
    here, there = host.run_dir(), host.run_dir(tmp_path)
    try:
        assert here != there and here.parent == there.parent == host.user_dir()
        assert host.run_dir(tmp_path) == there
        (there / "lab.t-theirs").mkdir()
        assert "t-theirs" not in Lab.names()
    finally:
        shutil.rmtree(there)


def test_an_image_goes_when_nobody_has_asked_for_it_in_a_week(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path))
    theirs = host.run_dir(tmp_path) / "lab.t-theirs/rs1"
    images = {name: tmp_path / f"trixie-{name}.ext4" for name in ("used", "recent", "old")}
    try:
        theirs.mkdir(parents=True)
        for name, path in images.items():
            path.touch()
            age = 0 if name == "recent" else KEPT + 60
            os.utime(path, (time.time() - age, time.time() - age))
        (theirs / "base").symlink_to(images["used"])
        prune()
        assert [name for name, path in images.items() if path.exists()] == ["used", "recent"]
    finally:
        shutil.rmtree(theirs.parent.parent)


def test_asking_for_an_image_leaves_the_time_by_which_disks_know_it(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path))
    path = tmp_path / f"trixie-{recipe('trixie', kernels.kernel())}.ext4"
    path.touch()
    os.utime(path, (0, 1))
    assert image("trixie") == path
    assert path.stat().st_mtime == 1 and path.stat().st_atime > time.time() - KEPT


def test_addresses_end_in_the_number_on_both_networks():
    assert Machine("director", front=True, number=11).addresses == ["198.51.100.11", "2001:db8::11", "203.0.113.11", "2001:db8:0:f::11"]


def test_yaml_of_an_inventory():
    assert yaml({"all": {"vars": {"a": "b: c"}, "hosts": {"h1": {}}}}) == 'all:\n  vars:\n    a: "b: c"\n  hosts:\n    h1: {}\n'


def test_what_is_missing_is_one_line_with_the_remedy(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(LabError) as error:
        host.need({"no-such-command": "its-package", "sh": "dash"})
    assert "\n" not in str(error.value)
    assert "apt-get" in str(error.value) and str(error.value).endswith(" its-package")


@pytest.mark.parametrize(("taken", "chosen"), [([], 3), ([3], 5), ([3, 5], 3), ([5, 5, 3], 3)])
def test_a_kernel_gets_the_cpu_with_the_fewest(monkeypatch, taken, chosen):
    bound = {1000 + index: {cpu} for index, cpu in enumerate(taken)} | {2000: {3, 5}, 2001: {7}, 0: {3, 5}}
    monkeypatch.setattr(host, "kernels", lambda: [pid for pid in bound if pid] + [9999])
    monkeypatch.setattr(host.os, "getpgid", lambda pid: {9999: 1}.get(pid, pid))
    monkeypatch.setattr(host.os, "sched_getaffinity", bound.__getitem__)
    monkeypatch.setattr(host.os, "sched_setaffinity", lambda pid, cpus: bound.update({pid: cpus}))
    host.bind_to_one_cpu()
    assert bound[0] == {chosen}


def test_doctor_installs_on_a_box_without_lists_of_packages(monkeypatch, capsys):
    commands = []
    monkeypatch.setattr(cli.host, "missing_packages", lambda commands: ["busybox-static"])
    monkeypatch.setattr(cli.subprocess, "run", lambda command, check: commands.append([word for word in command if word[0] != "-"]))
    monkeypatch.setattr(cli.host, "kernel_release", lambda: "6.1")
    monkeypatch.setattr(cli.host, "has_ipvs", lambda: True)
    assert cli.main(["doctor", "--install"]) == 0
    assert [each[-2:] for each in commands] == [["DPkg::Lock::Timeout=300", "update"], ["install", "busybox-static"]]
    assert "nothing is missing" in capsys.readouterr().out


def test_the_kernel_runs_where_registers_are_wide(monkeypatch, capfd):
    """With the library that only some CPUs need, whichever this one is."""
    monkeypatch.setattr(host, "has_wide_registers", lambda: True)
    assert host.kernel_environment("/nonexistent", "1M")["LD_PRELOAD"] == str(host.registers_library())
    assert cli.main(["run", "--", "sh", "-c", "echo $((6 * 7))"]) == 0
    assert capfd.readouterr().out == "42\n"


def test_a_lock_is_exclusive_and_leaves_no_file(tmp_path):
    path = tmp_path / "lock"
    code = f"import sys; sys.path[:0] = {sys.path!r}\nfrom extensions.lab import host\nwith host.Lock({str(path)!r}, 'waits'): print('has it')"
    with host.Lock(path):
        other = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert other.stderr.readline() == "waits\n"
        assert other.poll() is None
    assert other.communicate(timeout=PATIENCE)[0] == "has it\n"
    assert not path.exists()


def test_a_leashed_command_ends_with_its_parent(tmp_path):
    code = f"import sys; sys.path[:0] = {sys.path!r}\nfrom extensions.lab import host\nhost.run_leashed(['sh', '-c', 'echo $$; exec sleep 1000'])"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    eventually(lambda: not running(child))
    parent.stdout.close()


def running(pid):
    try:
        return open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_memory_of_a_kernel_is_never_where_tmpdir_points(monkeypatch, tmp_path):
    monkeypatch.setenv("TMPDIR", "/somewhere")
    assert host.kernel_environment(tmp_path, "1M").get("TMPDIR") in (None, str(tmp_path))
    assert host.kernel_environment(tmp_path, "90000G")["TMPDIR"] == str(tmp_path)


def test_a_size_of_memory():
    assert (host.size("256M"), host.size("2g")) == (256 << 20, 2 << 30)
    with pytest.raises(LabError, match="'lots' is no size"):
        host.size("lots")
