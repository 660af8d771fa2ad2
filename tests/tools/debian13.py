# SPDX-License-Identifier: GPL-3.0-or-later
"""Run a command on Debian 13: python -m tests.tools.debian13 COMMAND...

Today's ansible-core wants a newer Python than Debian 12 has, and its keepalived is another one. The file tree of Debian 13 lies in
.cache/debian13 and is made when it is missing. The command sees this machine's processes, network, home directory, temporary files and
this checkout, each at its own path, and starts in the current directory with its own directory first in PATH. Needs root.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.lab import host
from tests.lab.image import LEAN

ROOT = Path(__file__).resolve().parents[2]
TREE = ROOT / ".cache/debian13"
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


def make_tree() -> None:
    """Make the file tree, unless it is there with these packages."""
    note = TREE / "etc/made-of"
    if note.exists() and note.read_text() == PACKAGES:
        return
    part = TREE.with_suffix(".part")
    for old in (part, TREE):
        shutil.rmtree(old, ignore_errors=True)
    part.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run([host.find("mmdebstrap"), "--quiet", *LEAN, f"--include={PACKAGES}", "trixie", part], check=True)
    (part / "etc/made-of").write_text(PACKAGES)
    part.rename(TREE)


def main(command: list[str]) -> None:
    if os.geteuid() != 0:
        sys.exit("a command on Debian 13 has a root directory of its own: run it as root")
    make_tree()
    own = [os.path.abspath(os.path.dirname(command[0]))] if "/" in command[0] else []
    path = ":".join([*own, "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
    words = [str(TREE), " ".join(SHARED), " ".join(SETTINGS), path]
    # The mounts are this process's own and go with it.
    os.execvp("unshare", ["unshare", "--mount", "sh", "-euc", ENTER, "sh", *words, *command])


if __name__ == "__main__":
    main(sys.argv[1:])
