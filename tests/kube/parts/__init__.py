# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of a real Kubernetes, built out of Debian's packages when they are first asked for: python -m tests.kube.parts

Debian 12's source package ``kubernetes`` has the whole of upstream's tree. The build runs in a file tree of its own, so that nothing is
installed on this machine and every machine gets the same programs. They lie in the lab's cache, under a hash of what they are built from.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from extensions.lab import host

MAKING = Path(__file__).resolve().parent
RECIPE = ("build.sh", "check.go")
SUITE = "bookworm"  # the one release whose source package is the whole tree
TOOLS = ("etcd-server", "golang-1.19-go", "golang-github-modern-go-reflect2-dev")
PROGRAMS = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-proxy", "kube-proxy-check", "kube-scheduler", "kubeadm")
NEEDED = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "apt-get": "apt"}
WITH_SOURCES = 'sed --quiet "s/^deb /deb-src /p" "$1/etc/apt/sources.list" > "$1/etc/apt/sources.list.d/sources.list"'


def recipe() -> str:
    """A short hash of everything that the programs are built from; the packages are the newest that SUITE has on that day."""
    digest = hashlib.sha256(repr((SUITE, TOOLS, PROGRAMS)).encode())
    for name in RECIPE:
        digest.update(name.encode() + (MAKING / name).read_bytes())
    return digest.hexdigest()[:16]


def programs() -> Path:
    """The folder that has PROGRAMS, and a file ``version``. They are built there first if need be (one build at a time on this machine)."""
    path = host.cache_dir() / f"kubernetes-{recipe()}"
    if not path.exists():
        with host.Lock(host.user_dir() / "lock.kubernetes", "another process builds Kubernetes: waiting for it"):
            if not path.exists():
                build(path)
    return path


def build(path: Path) -> None:
    root = os.geteuid() == 0
    host.need({**NEEDED, **({} if root else host.FOR_IMAGES_OF_A_USER)})
    jobs = len(os.sched_getaffinity(0))
    start = time.monotonic()
    host.say(f"building Kubernetes (once; 6 minutes of computing, on {jobs} CPU) ...")
    place = Path(f"/var/tmp/lvs-ipvs-kubernetes.{os.geteuid()}")
    shutil.rmtree(place, ignore_errors=True)  # of a build that was killed
    out = place / "out"
    out.mkdir(parents=True)
    try:
        shutil.copytree(MAKING, place / "making", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        for folder, mode in ((place, 0o755), (out, 0o777)):
            folder.chmod(mode)
        command = [
            host.find("mmdebstrap"), "--quiet", f"--mode={'root' if root else 'unshare'}", "--variant=minbase", "--skip=check/empty",
            '--aptopt=APT::Install-Recommends "false"', f"--include={','.join(TOOLS)}", f"--setup-hook={WITH_SOURCES}",
            f'--customize-hook={place}/making/build.sh "$1" {out} {place}/making {jobs}', SUITE, "/dev/null",
        ]  # fmt: skip
        if root:  # so that its mounts and processes go with it even if it is killed
            command = [host.find("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
        done = host.run_leashed(command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"building Kubernetes failed:\n{done.stdout.decode(errors='replace')[-3000:].strip()}")
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(out, new)
        new.rename(path)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    host.say(f"built {path} in {time.monotonic() - start:.0f} s")
