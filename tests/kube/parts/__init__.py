# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of a real Kubernetes, built out of Debian's packages when they are first asked for: python -m tests.kube.parts

Debian 12's source package ``kubernetes`` has the whole of upstream's tree. Of today's Kubernetes, Debian has the types of kube-proxy's configuration.
Each build runs in a file tree of its own, so that nothing is installed on this machine and every machine gets the same programs. They lie in the
lab's cache, under a hash of what they are built from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from extensions.lab import host
from extensions.lab.kernels import OLD_MIRROR

MAKING = Path(__file__).resolve().parent
NEEDED = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "apt-get": "apt"}
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


def recipe(part: Part) -> str:
    """A short hash of everything that the programs are built from; the packages are the newest that the suite has on that day."""
    digest = hashlib.sha256(repr((part.suite, part.tools, part.programs)).encode())
    for name in part.making:
        digest.update(name.encode() + (MAKING / name).read_bytes())
    return digest.hexdigest()[:16]


def programs(part: Part = KUBERNETES) -> Path:
    """The folder that has the programs, and a file ``version``. They are built there first if need be (one build at a time on this machine)."""
    path = host.cache_dir() / f"{part.name}-{recipe(part)}"
    if not path.exists():
        with host.Lock(host.user_dir() / f"lock.{part.name}", f"another process builds {part.name}: waiting for it"):
            if not path.exists():
                build(part, path)
    return path


def build(part: Part, path: Path) -> None:
    root = os.geteuid() == 0
    host.need({**NEEDED, **({} if root else host.FOR_IMAGES_OF_A_USER)})
    jobs = len(os.sched_getaffinity(0))
    start = time.monotonic()
    host.say(f"building {part.name} (once; minutes of computing, on {jobs} CPU) ...")
    place = Path(f"/var/tmp/lvs-ipvs-{part.name}.{os.geteuid()}")
    shutil.rmtree(place, ignore_errors=True)  # of a build that was killed
    out = place / "out"
    out.mkdir(parents=True)
    try:
        shutil.copytree(MAKING, place / "making", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        for folder, mode in ((place, 0o755), (out, 0o777)):
            folder.chmod(mode)
        command = [
            host.find("mmdebstrap"), "--quiet", f"--mode={'root' if root else 'unshare'}", "--variant=minbase", "--skip=check/empty",
            '--aptopt=APT::Install-Recommends "false"', f"--include={','.join(part.tools)}", *part.options,
            f'--customize-hook={place}/making/{part.making[0]} "$1" {out} {place}/making {jobs}', part.suite, "/dev/null",
        ]  # fmt: skip
        if root:  # so that its mounts and processes go with it even if it is killed
            command = [host.find("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
        done = host.run_leashed(command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"building {part.name} failed:\n{done.stdout.decode(errors='replace')[-3000:].strip()}")
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(out, new)
        new.rename(path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    host.say(f"built {path} in {time.monotonic() - start:.0f} s")
