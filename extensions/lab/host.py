# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab needs of this box: tools, paths, locks, processes, and the kernel's command line."""
from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

GUEST = Path(__file__).resolve().parent / "guest"
REGISTERS = Path(__file__).resolve().parent / "registers.c"
CHECKOUT = Path(__file__).resolve().parents[2]
KERNEL = "linux.uml"
PYTHON = "/usr/bin/python3"  # Debian's: it is there, and stays when a virtual environment goes
MODULES = Path("/usr/lib/uml/modules")

# Two self-measurements of the kernel are skipped and the third is given: 0.4 s to power-off instead of 1.4 s.
KERNEL_FLAGS = ["initcall_blacklist=raid6_select_algo,calibrate_xor_blocks", "lpj=14983168", "selinux=0", "quiet"]

# command -> the package (of Debian and Ubuntu) that has it
FOR_RUN = {KERNEL: "user-mode-linux", "busybox": "busybox-static", "gcc": "gcc"}
FOR_MACHINES = {
    KERNEL: "user-mode-linux", "gcc": "gcc", "mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "ip": "iproute2",
    "ssh": "openssh-client", "ssh-keygen": "openssh-client",
    "nsenter": "util-linux", "sysctl": "procps", "depmod": "kmod", PYTHON: "python3",
}
FOR_IMAGES_OF_A_USER = {"newuidmap": "uidmap"}
DEBIAN_KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LIBC = ctypes.CDLL(None)


class LabError(Exception):
    """Something that whoever called can put right; the text says what and how."""


def find(command):
    """The full path of COMMAND, or None; looks into the sbin folders too, which an ordinary user's PATH lacks."""
    return shutil.which(command, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin")


def missing_packages(commands):
    """The packages, in order and once each, that lack from the mapping COMMANDS (command -> package)."""
    missing = [package for command, package in commands.items() if not find(command)]
    if "mmdebstrap" in commands and not DEBIAN_KEYS.exists():
        missing.append("debian-archive-keyring")
    return list(dict.fromkeys(missing))


def apt_get(*words):
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    return [*sudo, "apt-get", "-o", "DPkg::Lock::Timeout=300", *words]


def install_command(packages):
    return apt_get("install", "-y", "--no-install-recommends", *packages)


def need(commands):
    """Raise LabError, in one line with the remedy, when the box lacks one of COMMANDS."""
    missing = missing_packages(commands)
    if missing:
        raise LabError(f"the lab needs {', '.join(missing)}; install with: {' '.join(install_command(missing))}")


def need_user_namespaces():
    """Raise LabError where this user, who is not root, may not make the namespaces of a lab's network."""
    if os.geteuid() == 0:
        return
    done = subprocess.run([find("unshare"), "-Urn", "true"], capture_output=True, text=True, check=False)
    if done.returncode:
        as_root = 'sudo env "PATH=$PATH" "HOME=$HOME" COMMAND'
        raise LabError(f"an ordinary user may not make network namespaces here ({done.stderr.strip()}): run as root, as in {as_root}")


def kernel_release():
    done = subprocess.run([find(KERNEL), "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{find(KERNEL)} does not run on this box: {done.stderr.strip()}")
    return done.stdout.strip()


def has_ipvs():
    """Whether this box's own kernel has IPVS, loaded or loadable."""
    if Path("/proc/net/ip_vs").exists():
        return True
    modprobe = find("modprobe")
    return bool(modprobe) and subprocess.run([modprobe, "-nq", "ip_vs"], check=False).returncode == 0


def size(text):
    """Bytes of a size as the kernel's mem= takes it, such as 512M or 2G."""
    match = re.fullmatch(r"(\d+)([KMG])", text.upper())
    if not match:
        raise LabError(f"{text!r} is no size of memory: give a number with M or G, such as 512M")
    return int(match[1]) << {"K": 10, "M": 20, "G": 30}[match[2]]


def kernel_environment(scratch, memory):
    """The kernel's own environment. Its memory is a file: in /dev/shm if there is room for it, else below SCRATCH."""
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/", "TERM": "linux"}
    try:
        shm = os.statvfs("/dev/shm")
        usable = not shm.f_flag & os.ST_NOEXEC and shm.f_bavail * shm.f_frsize > size(memory) and os.path.ismount("/dev/shm")
    except OSError:
        usable = False
    if not usable:
        environment["TMPDIR"] = str(scratch)
    if has_wide_registers():
        environment["LD_PRELOAD"] = str(registers_library())
    return environment


def has_wide_registers():
    """Whether this box's CPU has registers that a user-mode kernel has no room for; see registers.c."""
    return bool(re.search(r"^flags\b.*\s(amx_tile|apx_f)\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE))


def registers_library():
    """The compiled registers.c, not in the cache: that lies in the home, and a user like nobody has none."""
    path = user_dir() / f"registers-{hashlib.sha256(REGISTERS.read_bytes()).hexdigest()[:16]}.so"
    if not path.exists():
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            command = [find("gcc"), "-O2", "-shared", "-fPIC", "-nostdlib", "-o", f"{scratch}/library", str(REGISTERS)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise LabError(f"compiling {REGISTERS} failed: {done.stderr.strip()}")
            os.rename(f"{scratch}/library", path)
    return path


def cache_dir():
    base = os.environ.get("LVS_LAB_CACHE")
    if not base:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lvs-ipvs-lab"
    base = Path(base).absolute()
    base.mkdir(parents=True, exist_ok=True)
    return base


def user_dir():
    """What the checkouts of one user share: a folder each, and the lock on building images."""
    base = Path(f"/var/tmp/lvs-ipvs-lab.{os.geteuid()}")
    base.mkdir(mode=0o700, exist_ok=True)
    info = base.lstat()
    if not stat.S_ISDIR(info.st_mode) or info.st_uid != os.geteuid():
        raise LabError(f"{base} belongs to somebody else: remove it")
    return base


def run_dir(checkout=CHECKOUT):
    """Where what runs keeps its state. Short (a socket's path has at most 107 bytes), on disk, one per checkout of a user."""
    base = user_dir() / hashlib.sha256(os.fsencode(checkout)).hexdigest()[:8]
    base.mkdir(exist_ok=True)
    return base


class Stopped(Exception):
    """A signal asked this process to end; its number is the argument."""


STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def stoppable():
    """Inside, the signals that end a process raise Stopped, the first time: what follows is cleaning up, undisturbed."""
    def stop(number, _frame):
        for each in STOPPING:
            signal.signal(each, signal.SIG_IGN)
        raise Stopped(number)

    previous = {number: signal.signal(number, stop) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


class Lock:
    """An exclusive lock on a file, held inside ``with``. A process that dies lets go of it; the file goes with the lock."""

    def __init__(self, path, wait_note=""):
        self.path, self.wait_note = Path(path), wait_note

    def acquire(self, wait=True):
        while True:
            try:
                self.path.parent.mkdir(exist_ok=True)  # whoever ended the last lab in it removes it
                self.file = open(self.path, "a")
            except FileNotFoundError:
                continue
            try:
                # A record lock: unlike flock it doesn't pass to children.
                fcntl.lockf(self.file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
                if os.path.samestat(os.fstat(self.file.fileno()), os.stat(self.path)):
                    return True
            except FileNotFoundError:
                pass  # removed by whoever had it
            except OSError:
                self.file.close()
                return False
            self.file.close()

    def __enter__(self):
        if not self.acquire(wait=False):
            if self.wait_note:
                say(self.wait_note)
            self.acquire()
        return self

    def __exit__(self, *exc):
        self.release()

    def release(self):
        self.path.unlink(missing_ok=True)
        self.file.close()


def identity(pid):
    """Process PID as "PID:BEGIN", which no later process of the same number has; None when it has ended."""
    fields = status(pid)
    return None if not fields or fields[0] in "ZX" else f"{pid}:{fields[19]}"


def is_alive(process):
    """Whether the process that identity named so still runs."""
    return identity(process.partition(":")[0]) == process


def ancestors():
    """The process ids of this one's parent, of that one's parent, and so on."""
    pid = os.getppid()
    while pid:
        yield pid
        fields = status(pid)
        pid = int(fields[1]) if fields else 0


def status(pid):
    """The fields of /proc/PID/stat behind the name, the state first; none when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return []


def command_line(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
    except OSError:
        return []


def kernels(directory=None):
    """The process ids of the UML kernels whose uml_dir is DIRECTORY or lies below it; without DIRECTORY, of all of them."""
    start = f"uml_dir={directory}/" if directory else "uml_dir="
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        if any(f"{argument}/".startswith(start) for argument in command_line(entry.name)):
            found.append(int(entry.name))
    return found


def bind_to_one_cpu():
    """Bind this process, which is about to become a kernel, to one CPU: the one with the fewest kernels of labs on it.

    A UML kernel runs one thread at a time, but that moves between host processes at every system call of the guest. When each
    of these is woken on another CPU, the guest takes more than twice as long.
    """
    usable = os.sched_getaffinity(0)
    load = dict.fromkeys(sorted(usable), 0)
    for pid in kernels():
        try:
            bound = os.sched_getaffinity(pid) if os.getpgid(pid) == pid else set()
        except ProcessLookupError:
            continue
        if len(bound) == 1 and bound <= usable:
            load[bound.pop()] += 1
    os.sched_setaffinity(0, {min(load, key=load.get)})


def stop_kernels(directory):
    """End them at once. Each leads a process group, in which stand the host processes of its guest's processes too."""
    for pid in kernels(directory):
        try:
            os.killpg(os.getpgid(pid), signal.SIGKILL)
        except ProcessLookupError:
            pass


def run_leashed(command, **options):
    """subprocess.run for a COMMAND that ends, with its process group, when we do, whichever way."""
    with subprocess.Popen(command, start_new_session=True, preexec_fn=die_with_parent, stdin=subprocess.DEVNULL, **options) as process:
        try:
            out, err = process.communicate()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def die_with_parent():
    pr_set_pdeathsig = 1
    LIBC.prctl(pr_set_pdeathsig, signal.SIGKILL)


def detach(command, log, **options):
    """Start COMMAND on its own: no child of ours, in a session of its own, output into the file LOG."""
    with open(log, "wb") as output:
        subprocess.run(["setsid", "--fork", *command], check=True, stdin=subprocess.DEVNULL, stdout=output, stderr=output, **options)


def say(text):
    print(text, file=sys.stderr, flush=True)
