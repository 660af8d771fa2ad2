# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels that this box does not have: how they are found and made, and what they can do."""
from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from extensions.lab import Lab, LabError, host, kernels
from extensions.lab.machines import Machine


def test_it_is_built_once_for_what_it_is_made_of(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path))
    built = []

    def build(path):
        (path / "modules/6.1.0-nft").mkdir(parents=True)
        built.append(path)

    monkeypatch.setattr(kernels, "build", build)
    first, second = kernels.kernel("nft"), kernels.kernel("nft")
    assert first == second and len(built) == 1
    assert (first.binary, first.modules.name) == (built[0] / "linux", "6.1.0-nft")
    monkeypatch.setattr(kernels, "SUITE", "trixie")
    assert kernels.kernel("nft").key != first.key and len(built) == 2


def test_debians_kernel_asks_for_no_build(monkeypatch):
    monkeypatch.setattr(kernels, "build", None)
    assert kernels.kernel().modules == host.MODULES / host.kernel_release()


def test_a_kernel_that_is_not_there_is_named():
    with pytest.raises(LabError, match="no kernel xen: there are debian, nft, trixie, sid"):
        kernels.kernel("xen")
    with pytest.raises(LabError, match="unknown option 'kernel=xen'"):
        Machine.parse("m1:kernel=xen")
    assert Machine.parse("m1:kernel=nft").kernel == "nft"


def test_a_line_that_the_source_does_not_take_ends_the_build(tmp_path):
    """build.sh on a tree that stands for the real one: its make drops a line, as the kernel's does without a word."""
    root, out = tmp_path / "root", tmp_path / "out"
    (root / "usr/src").mkdir(parents=True)
    out.mkdir()
    (tmp_path / "source").mkdir()
    (tmp_path / "source/.config").write_text("CONFIG_A=y\n# CONFIG_B is not set\n")
    subprocess.run(["tar", "-cJf", root / "usr/src/source.tar.xz", "-C", tmp_path, "source"], check=True)
    (tmp_path / "wanted").write_text("# words\nCONFIG_A=y\nCONFIG_B=y\n")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/chroot").write_text("#!/bin/sh\n")
    (tmp_path / "bin/chroot").chmod(0o755)
    command = [kernels.MAKING / "build.sh", root, out, tmp_path / "wanted", "source", "1"]
    done = subprocess.run(command, env={"PATH": f"{tmp_path}/bin:/usr/bin:/bin"}, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "CONFIG_B=y" in done.stderr and "CONFIG_A" not in done.stderr
    assert not list(out.iterdir())


def test_a_program_starts_with_the_loader_that_it_is_given(tmp_path):
    """This box's own, at another path; what the program prints tells that it ran."""
    echo = Path("/bin/echo").read_bytes()
    loader = subprocess.run(["sh", "-c", "ldd /bin/echo | grep -o '/.*ld-linux[^ ]*'"], capture_output=True, text=True, check=True).stdout.strip()
    other = tmp_path / "a folder that is longer than the place for the path in the program" / "loader"
    other.parent.mkdir()
    other.symlink_to(loader)
    program = tmp_path / "program"
    program.write_bytes(kernels.with_loader(echo, str(other)))
    program.chmod(0o755)
    assert subprocess.run([program, "it ran"], capture_output=True, text=True, check=True).stdout == "it ran\n"
    other.unlink()
    with pytest.raises(FileNotFoundError):
        subprocess.run([program], check=False)
    with pytest.raises(LabError, match="no dynamic loader"):
        kernels.with_loader(echo[:54] + struct.pack("<HH", 56, 0), "/loader")


def test_a_newer_debians_kernel_is_fetched_once_for_how_it_is_unpacked(tmp_path, monkeypatch):
    monkeypatch.setenv("LVS_LAB_CACHE", str(tmp_path))
    fetched = []

    def fetch(suite, path):
        (path / "modules/6.12.1").mkdir(parents=True)
        fetched.append(suite)

    monkeypatch.setattr(kernels, "fetch", fetch)
    first, second = kernels.kernel("trixie"), kernels.kernel("trixie")
    assert first == second and fetched == ["trixie"]
    assert (first.binary.name, first.modules.name) == ("linux", "6.12.1") and "trixie" in first.key
    assert kernels.kernel("sid") != first and fetched == ["trixie", "sid"]


@pytest.mark.parametrize("name", kernels.NEWER)
def test_one_command_on_a_newer_kernel_has_ipvs_and_its_modules(name):
    script = "uname -r && modprobe ip_vs_mh && ipvsadm -A -f 7 -s sh && ipvsadm -S -n"
    command = [sys.executable, "-m", "extensions.lab", "run", "--kernel", name, "--", "sh", "-c", script]
    done = subprocess.run(command, cwd=host.CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    release, rule = done.stdout.splitlines()
    assert release == kernels.kernel(name).modules.name and rule == "-A -f 7 -s sh"
    assert [int(number) for number in release.split(".")[:2]] > [6, 11]


@pytest.mark.nft
def test_one_command_on_it_has_ipvs_and_nftables_for_every_family():
    script = """
        set -eu
        ! grep -q ip_vs /proc/modules
        for family in ip ip6 inet; do nft add table $family probe; done
        nft 'add chain inet probe nat { type nat hook postrouting priority 100 ; }'
        nft add rule inet probe nat ct original ip daddr != 198.51.100.1 masquerade
        ipvsadm -A -t 203.0.113.80:80 -s twos
        grep -o '^ip_vs_twos' /proc/modules
        uname -r
    """
    command = [sys.executable, "-m", "extensions.lab", "run", "--kernel", "nft", "--", "sh", "-c", script]
    done = subprocess.run(command, cwd=host.CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split() == ["ip_vs_twos", kernels.kernel("nft").modules.name]


@pytest.mark.nft
def test_a_machine_boots_it_and_installs_firewalls():
    with Lab("t-nft") as lab:
        lab.up(["m1:kernel=nft"])
        script = "apt-get -qq install -y nftables ipvsadm >/dev/null && nft add table inet probe && ipvsadm -A -t 203.0.113.80:80 -s rr && uname -r"
        done = lab.ssh("m1", f"{script} && systemctl is-system-running && apt-cache policy firewalld | grep Candidate", capture_output=True)
        assert done.returncode == 0, done.stderr
        release, state, candidate = done.stdout.splitlines()
        assert (release, state) == (kernels.kernel("nft").modules.name, "running") and "(none)" not in candidate
