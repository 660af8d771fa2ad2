# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of the lab: Debian's user-mode-linux, and one of our own that has nftables besides, built when it is first asked for."""
from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

from . import host

DEBIAN, NFT = "debian", "nft"
NAMES = (DEBIAN, NFT)
MAKING = Path(__file__).resolve().parent / "kernel"
SUITE = "bookworm"  # its C library is old enough for every box that the lab runs on
SOURCE = "linux-source-6.1"
TOOLS = ["bc", "bison", "flex", "gcc", "kmod", "libc6-dev", "make", "xz-utils", SOURCE]
FOR_BUILDING = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux"}


class Kernel(NamedTuple):
    """``binary``: the program; ``modules``: the folder of its modules, named after its release; ``key``: changes when they do."""

    name: str
    binary: Path
    modules: Path
    key: str


def kernel(name=DEBIAN):
    """The Kernel of this name. NFT is found in the cache, or built there (one build at a time on this box)."""
    if name == DEBIAN:
        host.need({host.KERNEL: host.FOR_RUN[host.KERNEL]})
        release = host.kernel_release()
        return Kernel(name, Path(host.find(host.KERNEL)), host.MODULES / release, release)
    if name != NFT:
        raise host.LabError(f"no kernel {name}: there are {', '.join(NAMES)}")
    path = host.cache_dir() / f"kernel-{recipe()}"
    if not path.exists():
        with host.Lock(host.user_dir() / "lock.kernel", "another process builds a kernel: waiting for it"):
            if not path.exists():
                build(path)
    return Kernel(name, path / "linux", next((path / "modules").iterdir()), path.name)


def recipe():
    """A short hash of everything that the kernel is built from; the release of the source is the newest that SUITE has on that day."""
    digest = hashlib.sha256(repr((SUITE, TOOLS)).encode())
    for path in sorted(MAKING.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(path):
    """Build the kernel into the folder PATH: in a tree of SUITE that has the compiler, so that every box gets the same one."""
    root = os.geteuid() == 0
    host.need({**FOR_BUILDING, **({} if root else host.FOR_IMAGES_OF_A_USER)})
    jobs = len(os.sched_getaffinity(0))
    start = time.monotonic()
    host.say(f"building a kernel with nftables (once; 8 minutes of computing, on {jobs} CPU) ...")
    place = Path(f"/var/tmp/lvs-ipvs-lab-kernel.{os.geteuid()}")
    shutil.rmtree(place, ignore_errors=True)  # of a build that was killed
    out = place / "out"
    out.mkdir(parents=True)
    try:
        shutil.copytree(MAKING, place / "making")
        for folder, mode in ((place, 0o755), (out, 0o777)):
            folder.chmod(mode)
        command = [
            host.find("mmdebstrap"), "--quiet", f"--mode={'root' if root else 'unshare'}", "--variant=minbase", "--skip=check/empty",
            '--aptopt=APT::Install-Recommends "false"', f"--include={','.join(TOOLS)}",
            f'--customize-hook={place}/making/build.sh "$1" {out} {place}/making/nft.config {SOURCE} {jobs}', SUITE, "/dev/null",
        ]
        if root:  # so that its mounts and processes go with it even if it is killed
            command = [host.find("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
        done = host.run_leashed(command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"building the kernel failed:\n{done.stdout.decode(errors='replace')[-3000:].strip()}")
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(out, new)
        os.rename(new, path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    host.say(f"built {path} in {time.monotonic() - start:.0f} s")
