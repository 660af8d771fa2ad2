# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built when it is first asked for, and kept in the cache: in a Debian of its own, so that nothing is installed on this box."""
from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from pathlib import Path

from . import host

NEEDED = {"mmdebstrap": "mmdebstrap", "unshare": "util-linux", "apt-get": "apt"}
SMALL = ["--variant=minbase", '--aptopt=APT::Install-Recommends "false"']
OLD_MIRROR = '--aptopt=Acquire::Check-Valid-Until "false"'  # a mirror's copy of sid may be older than the week for which its signature vouches


def once(path, name, make):
    """PATH, which make(PATH) makes if it is not there: once, although several ask for it at the same time. NAME is a part of the lock's name."""
    if not path.exists():
        with host.Lock(host.user_dir() / f"lock.{name}", f"another process makes {name}: waiting for it"):
            if not path.exists():
                make(path)
    return path


def mode():
    """The option of mmdebstrap that suits this user. Raises LabError where what it needs is missing."""
    root = os.geteuid() == 0
    host.need({**NEEDED, **({} if root else host.FOR_IMAGES_OF_A_USER)})
    return f"--mode={'root' if root else 'unshare'}"


@contextlib.contextmanager
def tree(name, suite, packages, making, script, options=(), files=()):
    """Yield a folder that a line of shell has filled, which runs on a tree of SUITE with these PACKAGES. NAME says what is built.

    SCRIPT: the line; "$1" is the tree, {making} a copy of the folder MAKING with the FILES, {out} the folder to fill, {jobs} how many CPUs there are.
    """
    words = [host.find("mmdebstrap"), "--quiet", mode(), *SMALL, "--skip=check/empty"]
    jobs = len(os.sched_getaffinity(0))
    start = time.monotonic()
    host.say(f"building {name} (once; minutes of computing, on {jobs} CPU) ...")
    place = Path(f"/var/tmp/lvs-ipvs-lab-{name}.{os.geteuid()}")
    shutil.rmtree(place, ignore_errors=True)  # of a build that was killed
    out = place / "out"
    out.mkdir(parents=True)
    try:
        # Everything that the build reads and writes lies here: in a user's build it runs under other ids.
        shutil.copytree(making, place / "making", ignore=shutil.ignore_patterns("*.py", "__pycache__"))
        for path in files:
            shutil.copy(path, place / "making")
        for folder, permissions in ((place, 0o755), (out, 0o777)):
            folder.chmod(permissions)
        hook = script.format(making=place / "making", out=out, jobs=jobs)
        command = [*words, f"--include={','.join(packages)}", *options, f"--customize-hook={hook}", suite, "/dev/null"]
        if os.geteuid() == 0:  # so that its mounts and processes go with it even if it is killed
            command = [host.find("unshare"), "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *command]
        done = host.run_leashed(command, env={**os.environ, "TMPDIR": str(place)}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"building {name} failed:\n{done.stdout.decode(errors='replace')[-3000:].strip()}")
        yield out
    finally:
        shutil.rmtree(place, ignore_errors=True)
    host.say(f"built {name} in {time.monotonic() - start:.0f} s")


def build(path, name, *words):
    """Build NAME into the folder PATH; the other WORDS are those of tree()."""
    with tree(name, *words) as out:
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(out, new)
        new.chmod(0o755)
        new.rename(path)
