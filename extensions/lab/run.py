# SPDX-License-Identifier: GPL-3.0-or-later
"""One command in a real IPVS kernel, over this box's own file tree.

The kernel is user-mode-linux, an ordinary process without privileges. Its root is this box's tree with an overlay in
memory on top, so that nothing the command writes gets out, save below the paths that are to be kept.
"""
from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import threading
from pathlib import Path

from . import host, kernels

HIDDEN = ("/proc", "/sys", "/dev", "/run")  # the guest has its own


def run(command, save=(), memory="1G", kernel=kernels.DEBIAN):
    """Run COMMAND (a list) in a fresh kernel; return its exit status. Output appears as it is written.

    save: paths below which writes are kept (a path that isn't there becomes a directory).
    memory: of the guest, as the kernel's mem= takes it; files the command writes lie in it too, up to 75 %.
    kernel: one of kernels.NAMES.
    """
    host.need(host.FOR_RUN)
    host.size(memory)
    chosen = kernels.kernel(kernel)
    cwd = os.getcwd()
    save = [os.path.realpath(path) for path in save]
    if cwd.startswith(HIDDEN) and not any(Path(cwd).is_relative_to(path) for path in save):
        raise host.LabError(f"the lab's kernel has its own {', '.join(HIDDEN)}: run from a directory elsewhere than {cwd}")
    for path in save:
        if not os.path.exists(path):
            os.makedirs(path)
    with Job() as job:
        job.write("settings", terminal_settings())
        job.write("mounts", "".join(bind(path) for path in save))
        job.write("command", guest_command(command, cwd))
        return job.boot(chosen, memory)


def run_native(command):
    """Run COMMAND (a list) on this box's own kernel, in a network namespace of its own; return its exit status.

    Processes and named namespaces that it leaves go with it. What it writes to files stays.
    """
    if os.geteuid() != 0:
        raise host.LabError("--native needs root")
    if not host.has_ipvs():
        raise host.LabError(f"--native: this box's kernel {os.uname().release} has no IPVS; leave --native out")
    host.say("lab: on this box's own kernel, in a fresh network namespace; writes to files are kept")
    prepare = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && ip link set lo up && "$@"; exit $?'
    isolate = [host.find("unshare"), "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    status = host.run_leashed([*isolate, "sh", "-c", prepare, "lab", *command]).returncode
    return status if status >= 0 else 128 - status


def bind(path):
    quoted = shlex.quote(path)
    make = f"mkdir -p $root{quoted}" if os.path.isdir(path) else f"mkdir -p $root{shlex.quote(os.path.dirname(path))}; touch $root{quoted}"
    return f"{make}\nmount --bind {quoted} $root{quoted} || fail 'bind '{quoted}\n"


def guest_command(command, cwd):
    """The script that runs COMMAND in CWD with exactly this process's umask and environment."""
    os.umask(umask := os.umask(0))
    environment = [f"{key}={value}" for key, value in os.environ.items()]
    return f"umask {umask:04o}\ncd {shlex.quote(cwd)} || exit 126\n{shlex.join(['exec', 'env', '-i', *environment, *command])}\n"


def terminal_settings():
    """Which of the guest's two output lines are to be terminals, as ours are; the others are plain pipes."""
    settings = []
    for number, name in ((1, "stdout"), (2, "stderr")):
        if os.isatty(number):
            columns, rows = os.get_terminal_size(number)
            settings.append(f"{name}='rows {rows} cols {columns}'\n")
    if os.path.sameopenfile(1, 2):
        settings.append("stderr=stdout\n")  # one line for both keeps their order
    return "".join(settings)


class Job:
    """The job directory and the guest's processes; both end with this object, and with this process."""

    def __enter__(self):
        # Else a run that starts at the same time would sweep this directory away before it is locked.
        with host.Lock(host.run_dir() / "lock.runs"):
            sweep()
            self.path = Path(tempfile.mkdtemp(prefix="run.", dir=host.run_dir()))
            self.lock = host.Lock(self.path / "lock")
            self.lock.acquire(wait=False)
        self.leash = self.start_watcher()
        return self

    def __exit__(self, *exc):
        clear(self.path)
        os.close(self.leash)

    def start_watcher(self):
        """A process that clears up when we end in a way that leaves us no time to, such as SIGKILL."""
        watched, leash = os.pipe()
        if os.fork() == 0:
            os.setsid()
            os.close(leash)
            null = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(null, number)
            os.read(watched, 1)
            clear(self.path)
            os._exit(0)
        os.close(watched)
        return leash

    def write(self, name, text):
        (self.path / name).write_bytes(os.fsencode(text))

    def boot(self, kernel, memory):
        self.kernel, self.reader_gone = None, False
        pumps = self.start_kernel(kernel, memory)
        self.kernel.wait()
        host.stop_kernels(self.path)
        for pump in pumps:
            pump.join()
        return self.status()

    def start_kernel(self, kernel, memory):
        # The kernel writes to pipes of ours: it would make the caller's own files non-blocking and its terminal raw.
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        arguments = [
            str(kernel.binary), f"mem={memory}", "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "rw", "noreboot",
            f"init={host.GUEST}/run-init.sh", *host.KERNEL_FLAGS, f"uml_dir={self.path}", "umid=kernel",
            "con=null", "con0=null,fd:1", "ssl=null", f"ssl0=null,fd:{out_end}", f"ssl1=null,fd:{err_end}", "--", str(self.path), str(kernel.modules),
        ]
        with open(self.path / "console", "wb") as console:
            self.kernel = subprocess.Popen(
                arguments, env=host.kernel_environment(self.path, memory), stdin=subprocess.DEVNULL, stdout=console, stderr=console,
                pass_fds=(out_end, err_end), start_new_session=True, preexec_fn=host.bind_to_one_cpu)
        pumps = []
        for source, end, target in ((out, out_end, 1), (err, err_end, 2)):
            os.close(end)
            pumps.append(threading.Thread(target=self.pump, args=(source, target), daemon=True))
            pumps[-1].start()
        return pumps

    def pump(self, source, target):
        with open(source, "rb", buffering=0) as reader:
            while data := reader.read(65536):
                try:
                    while data:
                        data = data[os.write(target, data):]
                except BrokenPipeError:
                    self.reader_gone = True
                    host.stop_kernels(self.path)
                    return

    def status(self):
        try:
            return int((self.path / "status").read_text())
        except (OSError, ValueError):
            pass
        if self.reader_gone:
            return 128 + signal.SIGPIPE
        reasons = [self.path / "failure", self.path / "console"]
        told = [path.read_text(errors="replace").strip() for path in reasons if path.exists()]
        raise host.LabError("\n".join(["the lab's kernel ended before the command did", *told]))


def clear(job):
    host.stop_kernels(job)
    shutil.rmtree(job, ignore_errors=True)


def sweep():
    """Remove what runs that were killed have left."""
    for job in host.run_dir().glob("run.*"):
        lock = host.Lock(job / "lock")
        if lock.acquire(wait=False):
            clear(job)
            lock.file.close()
