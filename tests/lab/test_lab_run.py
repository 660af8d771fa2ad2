# SPDX-License-Identifier: GPL-3.0-or-later
"""`run`: one command in a real IPVS kernel."""
from __future__ import annotations

import fcntl
import hashlib
import os
import pty
import shutil
import signal
import struct
import subprocess
import tempfile
import termios
from pathlib import Path

import pytest

from extensions.lab import host
from tests.support import PATIENCE, ROOT, eventually

ELSEWHERE = {**os.environ, "PYTHONPATH": str(ROOT)}  # for calls from another directory


def kernel_of(process):
    """The process id and the job directory of a run's kernel. Others may run at the same time."""
    for pid in host.kernels(host.run_dir()):
        try:
            parent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1]
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        except OSError:
            continue  # it ended meanwhile
        if int(parent) == process.pid:
            return pid, Path(next(each for each in arguments if each.startswith("uml_dir=")).partition("=")[2])
    raise AssertionError("this run has no kernel")


@pytest.fixture
def sh(command):
    def run(script, *options, **more):
        return command("run", *options, "--", "sh", "-c", script, **more)
    return run


def test_status_output_directory_and_environment_pass(sh, tmp_path):
    odd = "two\nlines 'and' \"quotes\" $HOME"
    done = sh('pwd; umask; printf %s "$ODD"; echo err >&2; exit 7', cwd=tmp_path, env={**ELSEWHERE, "ODD": odd}, umask=0o027)
    assert (done.returncode, done.stdout, done.stderr) == (7, f"{tmp_path}\n0027\n{odd}", "err\n")


def test_arguments_and_environment_pass_as_they_are(command):
    environment = {**os.environ, "not-a-shell-name": "x y"}
    done = command("run", "--", "printenv", "not-a-shell-name", env=environment)
    assert done.stdout == "x y\n"
    done = command("run", "--", "printf", "%s|", "--", "a b", "", "$HOME", "'", "*")
    assert done.stdout == "--|a b||$HOME|'|*|"


def test_it_is_a_kernel_with_ipvs_that_loads_modules_by_itself(sh):
    done = sh("ipvsadm -A -t 198.51.100.80:80 -s sh && ipvsadm -Sn; ip link add d0 type dummy && ip netns add x && ip netns; grep -o ^ip_vs_sh /proc/modules")
    assert (done.returncode, done.stdout) == (0, "-A -t 198.51.100.80:80 -s sh\nx\nip_vs_sh\n"), done.stderr


def test_writes_are_kept_away_save_below_the_named_paths(sh, tmp_path):
    (tmp_path / "file").write_text("old")
    (tmp_path / "other").write_text("old")
    new = tmp_path / "new folder"
    done = sh("echo new | tee file other lost >'new folder/f'; cat other", "--save", new, "--save", tmp_path / "file", cwd=tmp_path, env=ELSEWHERE)
    assert done.stdout == "new\n"
    assert (tmp_path / "file").read_text() == (new / "f").read_text() == "new\n"
    assert (tmp_path / "other").read_text() == "old"
    assert not (tmp_path / "lost").exists()


def unread(pipe):
    """How many bytes wait in it."""
    return struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, bytes(4)))[0]


def test_every_byte_comes_through_to_a_slow_reader(start, tmp_path):
    data = os.urandom(8_000_000)
    (tmp_path / "data").write_bytes(data)
    with start("run", "--", "sh", "-c", f"cat {tmp_path}/data; tail -c 500000 {tmp_path}/data >&2", text=False) as process:
        eventually(lambda: unread(process.stdout) >= fcntl.fcntl(process.stdout, fcntl.F_GETPIPE_SZ) // 2)
        out, err = process.communicate()
    assert hashlib.sha256(out).digest() == hashlib.sha256(data).digest()
    assert err == data[-500000:]


def test_output_appears_as_it_is_written(start, tmp_path):
    """The last line is written once the first has been read."""
    script = f"echo first; for i in $(seq {PATIENCE}); do [ -e {tmp_path}/read ] && exec echo last; sleep 1; done; echo late"
    with start("run", "--save", tmp_path, "--", "sh", "-c", script) as process:
        assert process.stdout.readline() == "first\n"
        (tmp_path / "read").touch()
        assert process.communicate(timeout=PATIENCE)[0] == "last\n"


def test_stdout_and_stderr_keep_their_order_where_both_go_the_same_way(sh):
    done = sh("for i in 1 2 3; do echo o$i; echo e$i >&2; done", stderr=subprocess.STDOUT, stdout=subprocess.PIPE, capture_output=False)
    assert done.stdout.split() == ["o1", "e1", "o2", "e2", "o3", "e3"]


def test_a_terminal_is_one_inside_and_a_pipe_is_none(sh, start):
    script = "test -t 1 && stty size <&1 || echo none"
    assert sh(script).stdout == "none\n"
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 100))
    with start("run", "--", "sh", "-c", script, stdout=theirs) as process:
        process.communicate()
    os.close(theirs)
    assert os.read(ours, 100) == b"30 100\r\n"
    os.close(ours)


def test_what_the_command_leaves_running_does_not_hold_it_up(sh):
    assert sh(f"sleep {9 * PATIENCE} & echo started").stdout == "started\n"


def test_a_reader_that_goes_ends_it(start):
    with start("run", "--", "yes") as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(PATIENCE) == 128 + signal.SIGPIPE
        process.stderr.close()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_a_signal_ends_it_at_once_and_leaves_nothing(start, number, status):
    with start("run", "--", "sh", "-c", f"echo on; sleep {9 * PATIENCE}") as process:
        assert process.stdout.readline() == "on\n"
        _pid, job = kernel_of(process)
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
        process.communicate()
    eventually(lambda: not host.kernels(job) and not job.exists())


def test_each_kernel_keeps_to_one_cpu(start):
    command = ["run", "--", "sh", "-c", f"echo on; sleep {9 * PATIENCE}"]
    with start(*command) as one, start(*command) as two:
        assert one.stdout.readline() == two.stdout.readline() == "on\n"
        cpus = [os.sched_getaffinity(kernel_of(process)[0]) for process in (one, two)]
        for process in (one, two):
            process.terminate()
            process.communicate()
    assert [len(each) for each in cpus] == [1, 1]


def test_a_run_that_is_just_beginning_is_not_swept_away(start):
    beginning = host.run_dir() / "run.beginning"
    with host.Lock(host.run_dir() / "lock.runs"):
        beginning.mkdir()
        process = start("run", "--", "true")
        eventually(lambda: any(str(process.pid) in line.split() for line in Path("/proc/locks").read_text().splitlines() if "->" in line))
        beginning.rmdir()
    with process:
        assert process.wait(PATIENCE) == 0
        process.communicate()


def test_the_next_run_sweeps_what_a_crash_has_left(sh):
    stale = host.run_dir() / "run.crashed"
    stale.mkdir()
    (stale / "lock").touch()
    assert sh("true").returncode == 0
    assert not stale.exists()


def test_a_kernel_that_dies_is_told_from_a_command_that_fails(sh):
    done = sh("echo c >/proc/sysrq-trigger; sleep 10")
    assert done.returncode == 125
    assert "ended before the command did" in done.stderr


def test_a_command_is_asked_for_and_a_hidden_directory_refused(command):
    assert command("run", "--").returncode == 2
    done = command("run", "--", "true", cwd="/proc", env=ELSEWHERE)
    assert done.returncode == 125 and "elsewhere than /proc" in done.stderr


def test_native_uses_this_kernel_and_leaves_nothing(command, sh):
    """This box's kernel may lack IPVS, so it is tried where there is one: inside the lab's own kernel."""
    inside = "python3 -m extensions.lab run --native -- sh -c 'ipvsadm -A -t 198.51.100.80:80; ip netns add x; sleep 1000 & ipvsadm -Sn; exit 3'"
    done = sh(f"modprobe ip_vs; {inside}; echo $?; ipvsadm -Sn; ip netns; ps -C sleep -o args=")
    assert done.stdout == "-A -t 198.51.100.80:80 -s wlc\n3\n", done.stderr


def test_native_is_refused_without_ipvs(sh):
    done = sh("mount -t tmpfs tmpfs /lib/modules; python3 -m extensions.lab run --native -- true")
    assert done.returncode == 125
    assert "has no IPVS" in done.stderr


def test_an_ordinary_user_may():
    assert os.geteuid() == 0, "this test steps down from root: run the tests as root"
    with tempfile.TemporaryDirectory(dir="/var/tmp") as place:  # the checkout may lie where only root can read
        os.chmod(place, 0o755)
        shutil.copytree(ROOT / "extensions/lab", Path(place, "extensions/lab"), ignore=shutil.ignore_patterns("__pycache__"))
        done = subprocess.run(
            [host.PYTHON, "-m", "extensions.lab", "run", "--", "sh", "-c", "id -u; ipvsadm -A -u 198.51.100.1:53 && ipvsadm -Sn"], cwd=place,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}, user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False)
    assert done.stdout == "0\n-A -u 198.51.100.1:53 -s wlc\n", done.stderr
