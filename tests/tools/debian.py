# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command on a newer Debian: python -m tests.tools.debian SUITE COMMAND...

Today's ansible-core wants a newer Python than Debian 12 has, and keepalived is another one there. The file tree of a suite, such as
trixie, lies in .cache/debian-SUITE and is made when it is missing. The command sees this machine's processes, network, home directory, temporary files and
this checkout, each at its own path, and starts in the current directory with its own directory first in PATH. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from extensions.lab import builds, host
from extensions.lab.image import WITHOUT_TEXTS

ROOT = Path(__file__).resolve().parents[2]
SUITES = ("trixie", "sid")
PACKAGES = "keepalived,openssh-client,python3,python3-venv"

# What is this machine's own; where one has no such file, the command has none either.
SHARED = ("/proc", "/sys", "/dev", "/run", "/tmp", "/var/tmp", str(Path.home()), str(ROOT))
SETTINGS = ("/etc/hosts", "/etc/resolv.conf", "/etc/pip.conf", "/etc/ssl")
ENTER = """
tree=$1 shared=$2 settings=$3 path=$4; shift 4
for each in $settings; do
    [ -e "$each" ] || continue
    # what is there stays: another command may have its mount on it
    [ -e "$tree$each" ] || if [ -d "$each" ]; then mkdir -p "$tree$each"; else touch "$tree$each"; fi
    mount --bind "$each" "$tree$each"
done
for each in $shared; do
    mkdir -p "$tree$each"
    mount --rbind "$each" "$tree$each"
done
exec chroot "$tree" /usr/bin/env --chdir="$PWD" PATH="$path" "$@"
"""


def make_tree(suite: str) -> Path:
    """The suite's file tree, made unless it is there with these packages."""
    tree = ROOT / f".cache/debian-{suite}"
    note = tree / "etc/made-of"
    if note.exists() and note.read_text() == PACKAGES:
        return tree
    part = tree.with_suffix(".part")
    for old in (part, tree):
        shutil.rmtree(old, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([host.find("mmdebstrap"), "--quiet", *builds.SMALL, *WITHOUT_TEXTS, builds.OLD_MIRROR, f"--include={PACKAGES}", suite, part], check=True)
    (part / "etc/made-of").write_text(PACKAGES)
    part.rename(tree)
    return tree


def main(suite: str, command: list[str]) -> None:
    if suite not in SUITES:
        sys.exit(f"no suite {suite}: there are {', '.join(SUITES)}")
    if os.geteuid() != 0:
        sys.exit("a command on another Debian has a root directory of its own: run it as root")
    tree = make_tree(suite)
    own = [os.path.abspath(os.path.dirname(command[0]))] if "/" in command[0] else []
    path = ":".join([*own, "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    words = [str(tree), " ".join(SHARED), " ".join(SETTINGS), path]
    # The mounts are this process's own and go with it.
    os.execvp("unshare", ["unshare", "--mount", "sh", "-euc", ENTER, "sh", *words, *command])


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
