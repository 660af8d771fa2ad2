# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of the lab whose machines look like another distribution than Debian. What of them is real, test_distributions.py says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from extensions.lab import builds, host, image, kernels

ROOT = Path(__file__).resolve().parents[2]
MAKING = Path(__file__).resolve().parent / "making"
DNF = ["createrepo-c", "dnf", "libmnl0", "libnl-3-200", "libnl-genl-3-200", "libpopt0", "python3-dnf", "python3-venv", "rpm"]


class Distribution(NamedTuple):
    """``suite``: the Debian that it is made of, the one whose systemd is nearest; ``kernel``: of the lab; ``packages``: of Debian."""

    name: str
    suite: str
    kernel: str
    packages: list[str]

    @property
    def release(self) -> str:
        return kernels.kernel(self.kernel).modules.name

    @property
    def ipvs_package(self) -> str | None:
        """The package that has this kernel's IPVS, if that is one of its own."""
        if self.name == "ubuntu2404":
            return f"linux-modules-extra-{self.release}"
        if self.name == "amazon2023":
            version = ".".join(self.release.split(".")[:2])
            return f"kernel{'' if version == '6.1' else version}-modules-extra-{self.release}"
        return None


DISTRIBUTIONS = {
    each.name: each
    for each in (
        Distribution("amazon2023", "bookworm", "trixie", DNF),
        Distribution("rhel9", "bookworm", kernels.NFT, [*DNF, "firewalld", "netbase", "network-manager", "nftables"]),
        Distribution("ubuntu2404", "trixie", kernels.DEBIAN, ["netplan.io"]),
    )
}


def disk(name: str) -> Path:
    """The disk of a distribution: found in the lab's cache, or built there."""
    distribution = DISTRIBUTIONS[name]
    kernel = kernels.kernel(distribution.kernel)
    files = [*sorted(MAKING.iterdir()), _wheel()]
    digest = hashlib.sha256(repr((distribution, image.recipe(distribution.suite, kernel))).encode())
    for path in (Path(__file__), *files):
        digest.update(path.name.encode() + path.read_bytes())
    return builds.once(
        host.cache_dir() / f"{distribution.suite}-{name}-{digest.hexdigest()[:16]}.ext4", "images", lambda path: _build(distribution, kernel, files, path)
    )


def _build(distribution, kernel, files, path):
    script = f'{{making}}/prepare.sh "$1" {distribution.name} {kernel.modules}'
    script += f' && unshare -m {{making}}/make-disk.sh "$1" {{out}}/disk {{making}}/{image.key().name}.pub {{making}}/{kernel.modules.name}'
    packages = [*image.INSTALLED, *distribution.packages]
    name = f"{distribution.name}-image"
    with builds.tree(name, distribution.suite, packages, image.MAKING, script, image.WITHOUT_TEXTS, [f"{image.key()}.pub", *files]) as out:
        image.prune()
        subprocess.run(["cp", "--sparse=always", out / "disk", f"{path}.new"], check=True)
        os.rename(f"{path}.new", path)


def _wheel():
    """pyroute2 for pip on a machine, which reaches no package index."""
    folder = ROOT / ".cache/wheels"
    words = ["--quiet", "download", "--no-deps", "--dest", folder, "--constraint", ROOT / "tests/requirements-unit.txt", "pyroute2"]
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *words], check=True)
    (wheel,) = folder.glob("pyroute2-*.whl")
    return wheel
