# SPDX-License-Identifier: GPL-3.0-or-later
"""Run ansible-test sanity over a copy of the files that git tracks.

ansible-test wants the collection to lie under ansible_collections/NAMESPACE/NAME for real (it resolves symlinks) and would
scan the environments of a checkout. Its own environments, and all else that it keeps in a home directory, go to .cache/sanity.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ansible_test._internal.python_requirements import get_venv_packages

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache/sanity"
COPY = CACHE / "ansible_collections/lvs/ipvs"
HOME = CACHE / "home"

# ansible-test downloads this script by the version of pip that it pins; the interpreter's own ensurepip does the same offline.
GET_PIP = """\
import subprocess
import sys

packages = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip", "--default-pip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", *packages])
"""


def copy_tracked_files() -> None:
    """Make COPY anew from the files that git tracks, as they are in the working tree."""
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    shutil.rmtree(COPY, ignore_errors=True)
    names = [name for name in listing.split("\0") if name]
    for name in names:
        source, target = ROOT / name, COPY / name
        if source.is_symlink() or source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target, follow_symlinks=False)
    # A repository of its own, or ansible-test finds the checkout's, in which .cache is ignored.
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)


def prepare_home() -> None:
    """Give ansible-test a home of its own: the stand-in for get-pip, and the user's settings of pip."""
    python = type("Python", (), {"version": python_version()})
    script = HOME / ".ansible/test/cache" / f"get_pip_{get_venv_packages(python)['pip'].replace('.', '_')}.py"
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(GET_PIP)
    settings = Path.home() / ".config/pip"
    link = HOME / ".config/pip"
    if settings.is_dir() and not link.exists():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(settings)


def python_version() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def ansible_test_sanity(*arguments: str, **options) -> subprocess.CompletedProcess:
    bin_directory = Path(sys.executable).parent
    command = [bin_directory / "ansible-test", "sanity", "--local", "--python", python_version(), *arguments]
    environment = {**os.environ, "HOME": str(HOME), "PATH": f"{bin_directory}:{os.environ['PATH']}"}
    return subprocess.run(command, cwd=COPY, env=environment, check=False, **options)


def main() -> int:
    copy_tracked_files()
    prepare_home()
    # The environments in a step of their own, or pip's chatter drowns the findings.
    prime = ansible_test_sanity("--prime-venvs", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if prime.returncode:
        print(prime.stdout)
        return prime.returncode
    return ansible_test_sanity(*sys.argv[1:]).returncode


if __name__ == "__main__":
    sys.exit(main())
