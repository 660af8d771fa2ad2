# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built when it is first asked for: once, in a Debian of its own, and nothing else stays."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from extensions.lab import LabError, builds, image, kernels
from tests.support import PATIENCE, ROOT

START = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
# Each says where it is, and goes on when it is told to.
ONCE = START + """
from pathlib import Path
from extensions.lab import builds, host
host.user_dir = host.cache_dir
def make(path):
    print("makes", flush=True)
    sys.stdin.readline()
    path.mkdir()
print("made", builds.once(Path(sys.argv[1]), "t-once", make).is_dir(), flush=True)
"""
IMAGE = START + """
from extensions.lab import host, image
host.user_dir = host.cache_dir  # else this waits for others' builds
def build(suite, kernel, path, packages=()):
    print("makes", flush=True)
    sys.stdin.readline()
    path.touch()
image.build = build
print("made", image.image("trixie").exists(), flush=True)
"""


@pytest.mark.parametrize("code", [ONCE, IMAGE], ids=["once", "image"])
def test_two_that_ask_at_the_same_time_build_once(tmp_path, code):
    environment = {**os.environ, "LVS_LAB_CACHE": str(tmp_path)}
    if code is IMAGE:
        subprocess.run([sys.executable, "-c", START + "from extensions.lab.image import key; key()"], env=environment, check=True)
    command = [sys.executable, "-c", code, tmp_path / "made"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    with subprocess.Popen(command, **pipes) as first:
        assert first.stdout.readline() == "makes\n"
        with subprocess.Popen(command, **pipes) as second:
            assert "waiting for it" in second.stderr.readline()
            assert first.communicate("\n", timeout=PATIENCE)[0] == "made True\n"
            assert second.communicate(timeout=PATIENCE)[0] == "made True\n"


def test_a_build_has_the_tools_of_a_debian_and_leaves_what_it_has_built(tmp_path):
    (tmp_path / "making").mkdir()
    (tmp_path / "making/sum").write_text("6 * 7\n")
    path = tmp_path / "built"
    builds.build(path, "t-build", "bookworm", ["bc"], tmp_path / "making", 'chroot "$1" bc < {making}/sum > {out}/answer')
    assert (path / "answer").read_text() == "42\n"
    assert path.stat().st_mode & 0o777 == 0o755
    assert not list(Path("/var/tmp").glob("lvs-ipvs-lab-t-build*"))


def test_a_build_that_fails_says_what_was_said_last_and_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "mmdebstrap").write_text("#!/bin/sh\necho cannot find the compiler\nexit 1\n")
    (tmp_path / "mmdebstrap").chmod(0o755)
    (tmp_path / "making").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(LabError, match="building t-build failed:\ncannot find the compiler"):
        builds.build(tmp_path / "built", "t-build", "bookworm", [], tmp_path / "making", "true")
    assert not (tmp_path / "built").exists() and not list(Path("/var/tmp").glob("lvs-ipvs-lab-t-build*"))


def test_the_kernel_is_built_by_its_script(tmp_path, monkeypatch):
    """On a tree that mmdebstrap has not made: whether the script gets what it is written for."""
    (tmp_path / "mmdebstrap").write_text('#!/bin/sh\nfor word; do case $word in --customize-hook=*) sh -c "${word#*=}" sh tree;; esac; done\n')
    (tmp_path / "mmdebstrap").chmod(0o755)
    (tmp_path / "making").mkdir()
    (tmp_path / "making/build.sh").write_text('#!/bin/sh\ntest -f "$3" && echo "$1" "${3##*/}" "$4" "$5" > "$2/words"\n')
    (tmp_path / "making/build.sh").chmod(0o755)
    (tmp_path / "making/nft.config").touch()
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(kernels, "MAKING", tmp_path / "making")
    kernels.build(tmp_path / "built")
    assert (tmp_path / "built/words").read_text() == f"tree nft.config {kernels.SOURCE} {len(os.sched_getaffinity(0))}\n"


def test_the_cache_is_limited_to_what_the_guide_says():
    guide = (ROOT / "docs/molecule.md").read_text()
    assert f"beyond {image.CACHE_LIMIT >> 30} GB" in " ".join(guide.split()) and image.KEPT == 7 * 86400
