# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules against a real IPVS kernel, ipvsadm as the oracle.

Every test has a network namespace of its own, and with it an IPVS table of its own. Modules run in the test's process (their
``main()`` with arguments put in), because a process for each costs seconds in the lab's kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess

import pytest

from tests.support import eventually

from .keepalived import ADDITION, ADDRESSES, BACKLOG, DRAIN, Director, Keepalived, run_command
from .modules import ModuleFailed, run_module

_numbers = itertools.count()

OBJECTS = ("service", "server", "services", "timeouts", "sync_daemon")
"""The return values that hold the object a module is about."""


def loaded():
    """The names of the kernel's modules that are loaded."""
    with open("/proc/modules") as modules:
        return {line.split()[0] for line in modules}


def unload():
    """Take IPVS out of the kernel; namespaces of earlier tests, which it takes down in its own time, may hold a module for a while."""

    def gone():
        names = sorted((name for name in loaded() if name == "ip_vs" or name.startswith("ip_vs_")), key=len, reverse=True)
        return not names or subprocess.run(["rmmod", *names], capture_output=True, check=False).returncode == 0

    eventually(gone)


@contextlib.contextmanager
def new_netns():
    """A new network namespace that the block runs in, with IPVS loaded; its name.

    Does what ``ip netns add`` does, without the programs, whose start takes half a second in the lab's kernel.
    """
    if not os.path.exists("/proc/net/ip_vs"):
        loaded = subprocess.run(["modprobe", "ip_vs"], capture_output=True, text=True, check=False)
        # without it these tests fail, they are never skipped
        assert loaded.returncode == 0, f"no IPVS in this kernel; run these tests in the lab: make test-integration ({loaded.stderr})"
    name = "test%d" % next(_numbers)
    path = "/run/netns/" + name
    os.makedirs("/run/netns", exist_ok=True)
    with open("/proc/self/mounts") as mounts:
        if " /run/netns " not in mounts.read():  # ip would mount it over what we mount there
            _call("mount", b"/run/netns", b"/run/netns", None, _MS_BIND, None)
            _call("mount", None, b"/run/netns", None, _MS_SHARED, None)
    with open(path, "x"):
        pass
    outer = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _call("unshare", _CLONE_NEWNET)
        try:
            _call("mount", b"/proc/thread-self/ns/net", path.encode(), None, _MS_BIND, None)
            _set_loopback_up()
            yield name
        finally:
            _call("setns", outer, _CLONE_NEWNET)
            _call("umount2", path.encode(), _MNT_DETACH)
    finally:
        os.close(outer)
        os.unlink(path)


_CLONE_NEWNET, _MS_BIND, _MS_SHARED, _MNT_DETACH = 0x40000000, 0x1000, 1 << 20, 2
_SIOCSIFFLAGS, _IFF_UP = 0x8914, 1


def _call(function, *arguments):
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, function)(*arguments):
        raise OSError(ctypes.get_errno(), function)


def _set_loopback_up():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        fcntl.ioctl(probe, _SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", _IFF_UP))


@pytest.fixture
def netns():
    """A new network namespace that the test runs in; its name."""
    with new_netns() as name:
        yield name


def ipvsadm(*words, rules=None):
    """Run ipvsadm in the current namespace and return what it prints. ``rules``: text on its standard input."""
    return subprocess.run(["ipvsadm", *words], input=rules, check=True, capture_output=True, text=True).stdout


def saved():
    """The table as ``ipvsadm -S -n`` tells it, as a sorted list of lines."""
    return sorted(line.strip() for line in ipvsadm("-S", "-n").splitlines())


def glance():
    """The table as /proc tells it: less than ``saved`` does, but at once. Services are sorted: newer kernels shuffle them as the table grows."""
    with open("/proc/thread-self/net/ip_vs") as stream:
        head, *services = re.split(r"(?m)^(?=[A-Z]+ +[\[0-9A-F])", stream.read())
    return head + "".join(sorted(services))


class Ipvs:
    """What a test uses: modules, and the oracle."""

    module = staticmethod(run_module)
    ipvsadm = staticmethod(ipvsadm)
    saved = staticmethod(saved)

    def __init__(self, netns):
        self.netns = netns

    def fails(self, name, **options):
        """Run a module that must fail; assert that it changed nothing, and return its result."""
        before = run_module("ipvs_info")
        with pytest.raises(ModuleFailed) as failure:
            run_module(name, **options)
        assert run_module("ipvs_info") == before, "a failed task changed the table"
        return failure.value.result

    def restore(self, rules):
        """Add what the rule text says, by ipvsadm itself."""
        ipvsadm("-R", rules=rules)

    def fill(self, rules):
        """Make the table what the rule text says, by ipvs_table, which takes a tenth of the time that ipvsadm takes."""
        run_module("ipvs_table", rules=rules, purge_servers=True, prune=True)

    def is_empty(self):
        return len(glance().splitlines()) == 3  # its head

    def twice(self, name, **options):
        """Run a module in check mode, for real, and again, as every feature must behave.

        The check changes nothing and tells the very changes that follow; the second run changes nothing and returns the same
        object. Returns the result of the real run.
        """
        before = glance()
        foretold = run_module(name, check=True, diff=True, **options)
        assert glance() == before, "check mode changed the table"
        done = run_module(name, diff=True, **options)
        for part in OBJECTS + ("changed", "commands", "diff"):
            assert foretold.get(part) == done.get(part), part
        again = run_module(name, diff=True, **options)
        assert not again["changed"] and again["commands"] == [], again["commands"]
        assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
        for part in OBJECTS:
            assert again.get(part) == done.get(part), part
        return done


@pytest.fixture(name="run_module")
def run_module_fixture():
    """``run_module(name, **options)``, which returns the result of a module that failed, too."""

    def run(name, **options):
        try:
            return run_module(name, **options)
        except ModuleFailed as failure:
            return failure.result

    return run


@pytest.fixture
def ipvs(netns):
    """Modules and ipvsadm in a namespace of the test's own."""
    return Ipvs(netns)


@pytest.fixture
def keepalived(ipvs, tmp_path):
    """One that is stopped, whatever becomes of the test."""
    made = Keepalived(tmp_path / "keepalived")
    yield made
    made.stop()


@pytest.fixture
def servers(ipvs):
    """{address: a socket that listens on port 80}."""
    run_command(["ip", "address", "add", "203.0.113.80/32", "dev", "lo"])
    with contextlib.ExitStack() as stack:
        found = {}
        for address in ADDRESSES:
            run_command(["ip", "address", "add", f"{address}/32", "dev", "lo"])
            found[address] = stack.enter_context(socket.create_server((address, 80), backlog=BACKLOG))
        yield found


@pytest.fixture
def drains():
    """The folder of the files by which servers are drained; keepalived misses them if it comes later."""
    DRAIN.mkdir(parents=True)
    yield
    shutil.rmtree(DRAIN)


@pytest.fixture
def node():
    """Nothing of keepalived's on it yet; of the lab's kernel, of which nothing gets out."""
    shutil.rmtree(DRAIN, ignore_errors=True)
    shutil.rmtree(ADDITION.parent, ignore_errors=True)
    subprocess.run(["systemctl", "disable", "keepalived.service"], check=True, capture_output=True)
    yield
    shutil.rmtree(DRAIN, ignore_errors=True)
    shutil.rmtree(ADDITION.parent, ignore_errors=True)


@pytest.fixture
def director(ipvs, keepalived, servers, node):
    return Director(ipvs, keepalived)
