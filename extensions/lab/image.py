# SPDX-License-Identifier: GPL-3.0-or-later
"""The disks that machines boot from: built once, kept in the cache under a hash of what they are built from."""
from __future__ import annotations

import hashlib
import os
import subprocess
import tempfile
import time
from pathlib import Path

from . import builds, host, kernels

MAKING = host.GUEST / "disk"  # the scripts and files that disks are made with
SUITES = ("bookworm", "trixie", "sid")
INSTALLED = [
    "apt-utils", "dbus", "iproute2", "iputils-ping", "kmod", "openssh-server", "procps", "python3", "python3-apt",
    "systemd-sysv", "udev",
]
# Not installed, but there for apt: what roles and tests ask for.
INSTALLABLE = [
    "conntrack", "curl", "ipset", "iptables", "ipvsadm", "keepalived", "network-manager", "prometheus-node-exporter", "python3-pyroute2",
    "python3-venv", "tcpdump",
]
FIREWALLS = ["firewalld", "netbase", "nftables"]  # only where the kernel can run them
KEPT = 7 * 86400  # seconds since an image was last asked for
CACHE_LIMIT = 8 << 30  # bytes on the disk that images may take
WITHOUT_TEXTS = ['--aptopt=Acquire::Languages "none"', *[f"--dpkgopt=path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]]


def key():
    """The private key that logs in on every machine made with this cache; its public half lies beside it as .pub."""
    path = host.cache_dir() / "key"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            subprocess.run([host.find("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", f"{scratch}/key"], check=True)
            os.rename(f"{scratch}/key.pub", f"{path}.pub")
            os.rename(f"{scratch}/key", path)
    return path


def recipe(suite, kernel, packages=()):
    """A short hash of everything a disk of SUITE for this Kernel is built from."""
    digest = hashlib.sha256(repr((suite, kernel.key, INSTALLED, installable(kernel, packages), WITHOUT_TEXTS)).encode())
    sources = [path for path in sorted(MAKING.rglob("*")) if path.is_file()]
    for path in [Path(__file__), Path(builds.__file__), Path(f"{key()}.pub"), *sources]:
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def installable(kernel, packages=()):
    usual = INSTALLABLE + (FIREWALLS if kernel.name == kernels.NFT else [])
    return usual + sorted(set(packages) - set(usual))


def image(suite, kernel=kernels.DEBIAN, packages=()):
    """The disk image of SUITE for the kernel of this name, with these PACKAGES for apt besides the usual ones.

    Found in the cache, or built there (one build at a time on this box).
    """
    if suite not in SUITES:
        raise host.LabError(f"no image of suite {suite}: there are {', '.join(SUITES)}")
    host.need(host.FOR_MACHINES)
    chosen = kernels.kernel(kernel)
    with host.Lock(host.user_dir() / "lock.images", "another process builds an image: waiting for it"):
        path = host.cache_dir() / f"{suite}-{recipe(suite, chosen, packages)}.ext4"
        if not path.exists():
            build(suite, chosen, path, packages)
        # Not its mtime: a disk over it knows the image by that, and would not boot again.
        os.utime(path, (time.time(), path.stat().st_mtime))
    return path


def build(suite, kernel, path, packages=()):
    script = f'{{making}}/add-packages.sh "$1" {" ".join(installable(kernel, packages))} && unshare -m {{making}}/make-disk.sh "$1" {{out}}/disk'
    script += f" {{making}}/{key().name}.pub {kernel.modules}"
    options = [*WITHOUT_TEXTS, *([builds.OLD_MIRROR] if suite == "sid" else [])]
    with builds.tree(f"{suite}-image", suite, INSTALLED, MAKING, script, options, [f"{key()}.pub"]) as out:
        prune()
        subprocess.run(["cp", "--sparse=always", out / "disk", f"{path}.new"], check=True)
        os.rename(f"{path}.new", path)


def prune():
    """Remove images that nobody has asked for in a week, and the oldest ones beyond CACHE_LIMIT, save those that a machine has its disk on."""
    used = {link.resolve() for link in host.user_dir().glob("*/lab.*/*/base")}
    images = {path: path.stat() for suite in SUITES for path in host.cache_dir().glob(f"{suite}-*.ext4")}
    total = 0
    for path, info in sorted(images.items(), key=lambda item: -item[1].st_atime):
        total += info.st_blocks * 512
        if path.resolve() not in used and (total > CACHE_LIMIT or info.st_atime < time.time() - KEPT):
            total -= info.st_blocks * 512
            path.unlink()


def disk(root, out, kernel=kernels.DEBIAN):
    """Write the root file system tree ROOT as a disk that `up --disk` boots with this kernel. ROOT itself is left as it is."""
    host.need(host.FOR_MACHINES)
    if os.geteuid() != 0:
        raise host.LabError("a disk is made of files of many owners: run as root")
    if not Path(root).is_dir():
        raise host.LabError(f"{root} is no directory")
    out = Path(out).absolute()
    with tempfile.TemporaryDirectory(prefix="disk.", dir=out.parent) as scratch:
        command = [f"{MAKING}/make-disk.sh", os.path.abspath(root), f"{scratch}/disk", f"{key()}.pub", str(kernels.kernel(kernel).modules)]
        done = host.run_leashed([host.find("unshare"), "-m", *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"making a disk of {root} failed: {done.stdout.decode(errors='replace').strip()}")
        os.rename(f"{scratch}/disk", out)
    return out
