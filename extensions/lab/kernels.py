# SPDX-License-Identifier: GPL-3.0-or-later
"""The kernels of the lab: user-mode-linux of this box's Debian and of newer ones, and one of our own that has nftables besides.

Those that this box does not have are fetched or built when they are first asked for.
"""
from __future__ import annotations

import functools
import hashlib
import os
import shlex
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from . import builds, host

DEBIAN, NFT = "debian", "nft"
NEWER = ("trixie", "sid")  # suites of Debian: Linux 6.12, and what is newest on the day it is fetched
NAMES = (DEBIAN, NFT, *NEWER)
MAKING = Path(__file__).resolve().parent / "kernel"
SUITE = "bookworm"  # its C library is old enough for every box that the lab runs on
SOURCE = "linux-source-6.1"
TOOLS = ["bc", "bison", "flex", "gcc", "kmod", "libc6-dev", "make", "xz-utils", SOURCE]
FETCHED = ["--variant=extract", builds.OLD_MIRROR, "--include=user-mode-linux"]
PROGRAM, MODULES, LIBRARIES, LOADER = "usr/bin/linux.uml", "usr/lib/uml/modules", "usr/lib/x86_64-linux-gnu", "ld-linux-x86-64.so.2"
LAUNCHER = """\
#!/bin/sh
LD_LIBRARY_PATH={libraries} exec {program} "$@"
"""


class Kernel(NamedTuple):
    """``binary``: the program; ``modules``: the folder of its modules, named after its release; ``key``: changes when they do."""

    name: str
    binary: Path
    modules: Path
    key: str


def kernel(name=DEBIAN):
    """The Kernel of this name. All but DEBIAN are found in the cache, or made there (one at a time on this box)."""
    if name == DEBIAN:
        host.need({host.KERNEL: host.FOR_RUN[host.KERNEL]})
        release = host.kernel_release()
        return Kernel(name, Path(host.find(host.KERNEL)), host.MODULES / release, release)
    if name not in NAMES:
        raise host.LabError(f"no kernel {name}: there are {', '.join(NAMES)}")
    path = host.cache_dir() / (f"kernel-{recipe()}" if name == NFT else f"kernel-{name}-{packaged_recipe()}")
    builds.once(path, "kernel", build if name == NFT else functools.partial(fetch, name))
    return Kernel(name, path / "linux", next((path / "modules").iterdir()), path.name)


def packaged_recipe():
    """A short hash of how a newer Debian's kernel is unpacked."""
    return hashlib.sha256(repr((FETCHED, LAUNCHER)).encode()).hexdigest()[:8]


def fetch(suite, path):
    """Unpack SUITE's user-mode-linux into the folder PATH, with the C library that it needs and this box may not have."""
    mode = builds.mode()
    host.say(f"fetching the kernel of Debian {suite} (once) ...")
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="lvs-ipvs-lab-kernel.") as scratch:
        place = Path(scratch)
        archive = place / "tree.tar"
        command = [host.find("mmdebstrap"), "--quiet", mode, *FETCHED, suite, str(archive)]
        done = host.run_leashed(command, env={**os.environ, "TMPDIR": scratch}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise host.LabError(f"fetching the kernel of {suite} failed:\n{done.stdout.decode(errors='replace')[-3000:].strip()}")
        wanted = [f"./{folder}" for folder in (PROGRAM, MODULES, LIBRARIES)]
        subprocess.run(["tar", "-xf", archive, "--no-same-owner", "-C", place, *wanted], check=True)
        new = path.with_name(f"{path.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        shutil.copytree(place / LIBRARIES, new / "lib", symlinks=True)
        shutil.copytree(place / MODULES, new / "modules")
        program = (place / PROGRAM).read_bytes()
        # The paths are those that the folder has in the end.
        (new / "program").write_bytes(with_loader(program, str(path / "lib" / LOADER)))
        (new / "linux").write_text(LAUNCHER.format(libraries=shlex.quote(str(path / "lib")), program=shlex.quote(str(path / "program"))))
        for name in ("program", "linux"):
            (new / name).chmod(0o755)
        os.rename(new, path)


def with_loader(program, loader):
    """An ELF program of 64 bits that starts with this dynamic loader.

    A loader that is given the program as its argument lies where the kernel expects its own memory. The path is appended: the
    system reads it from the file, at the place that the header PT_INTERP names.
    """
    pt_interp = 3
    data = bytearray(program)
    (headers,), (size, count) = struct.unpack_from("<Q", data, 32), struct.unpack_from("<HH", data, 54)
    for header in range(headers, headers + size * count, size):
        if struct.unpack_from("<I", data, header)[0] == pt_interp:
            text = os.fsencode(loader) + b"\0"
            struct.pack_into("<Q", data, header + 8, len(data))
            struct.pack_into("<Q", data, header + 32, len(text))
            return bytes(data + text)
    raise host.LabError("a kernel that names no dynamic loader: it is not Debian's user-mode-linux")


def recipe():
    """A short hash of everything that the kernel is built from; the release of the source is the newest that SUITE has on that day."""
    digest = hashlib.sha256(repr((SUITE, TOOLS)).encode())
    for path in sorted(MAKING.iterdir()):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def build(path):
    """Build the kernel into the folder PATH."""
    builds.build(path, "kernel", SUITE, TOOLS, MAKING, f'{{making}}/build.sh "$1" {{out}} {{making}}/nft.config {SOURCE} {{jobs}}')
