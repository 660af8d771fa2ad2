# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of a real Kubernetes, and Packer, built out of Debian's packages when they are first asked for: python -m tests.kube.parts

Debian 12's source package ``kubernetes`` has the whole of upstream's tree. Of today's Kubernetes, Debian has the types of kube-proxy's configuration.
Packer is there as a program, and needs no build.
Each build runs in a file tree of its own, so that nothing is installed on this machine and every machine gets the same programs. They lie in the
lab's cache, under a hash of what they are built from.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

from extensions.lab import builds, host
from extensions.lab.builds import OLD_MIRROR

MAKING = Path(__file__).resolve().parent
WITH_SOURCES = 'sed --quiet "s/^deb /deb-src /p" "$1/etc/apt/sources.list" > "$1/etc/apt/sources.list.d/sources.list"'


@dataclass(frozen=True)
class Part:
    """Programs that are built together, by ``making``: a script, and what it reads. In a tree of ``suite`` with the packages ``tools``."""

    name: str
    suite: str
    tools: tuple[str, ...]
    programs: tuple[str, ...]
    making: tuple[str, ...]
    options: tuple[str, ...] = ()


KUBERNETES = Part(
    "kubernetes", "bookworm",  # the one release whose source package is the whole tree
    ("etcd-server", "golang-1.19-go", "golang-github-modern-go-reflect2-dev"),
    ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-proxy-check", "kube-scheduler", "kubeadm"),
    ("build.sh", "check.go"), (f"--setup-hook={WITH_SOURCES}",),
)  # fmt: skip
TYPES = Part("kube-proxy-types", "sid", ("golang-go", "golang-k8s-kube-proxy-dev"), ("kube-proxy-types",), ("types.sh", "types.go"), (OLD_MIRROR,))
PACKER = Part("packer", "bookworm", ("packer",), ("packer",), ("packer.sh",))


def recipe(part: Part) -> str:
    """A short hash of everything that the programs are built from; the packages are the newest that the suite has on that day."""
    digest = hashlib.sha256(repr((part.suite, part.tools, part.programs)).encode())
    for name in part.making:
        digest.update(name.encode() + (MAKING / name).read_bytes())
    return digest.hexdigest()[:16]


def programs(part: Part = KUBERNETES) -> Path:
    """The folder that has the programs, and a file ``version``. They are built there first if need be (one build at a time on this machine)."""
    path = host.cache_dir() / f"{part.name}-{recipe(part)}"
    return builds.once(path, part.name, functools.partial(build, part))


def build(part: Part, path: Path) -> None:
    builds.build(path, part.name, part.suite, part.tools, MAKING, f'{{making}}/{part.making[0]} "$1" {{out}} {{making}} {{jobs}}', part.options)
