# SPDX-License-Identifier: GPL-3.0-or-later
"""Nodes on which something is missing: IPVS not loaded, a kernel without IPVS, no privilege, no pyroute2."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import loaded, saved, unload
from ..modules import ModuleFailed, run_module

KERNEL = os.uname().release
WEB = {"address": "203.0.113.80", "port": 80}
SERVER = {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"}
TASKS = {
    "ipvs_service": WEB,
    "ipvs_server": SERVER,
    "ipvs_table": {"services": [WEB]},
    "ipvs_timeouts": {"tcp": 60},
    "ipvs_sync_daemon": {"role": "master", "interface": "lo"},
}


@pytest.fixture
def without_ipvs():
    """IPVS is there to be loaded, and isn't; this runs in the first namespace."""
    unload()
    yield
    if "ip_vs" in loaded():
        subprocess.run(["ipvsadm", "-C"], check=True)
        run_module("ipvs_sync_daemon", role="master", state="absent")
    unload()


@pytest.mark.parametrize("name", TASKS)
def test_a_check_loads_nothing_and_the_real_thing_does(without_ipvs, name):
    foretold = run_module(name, check=True, diff=True, **TASKS[name])
    assert foretold["changed"] and "ip_vs" not in loaded()
    assert "the table is taken as empty" in foretold["warnings"][0]
    if name == "ipvs_server":
        with pytest.raises(ModuleFailed, match="create it first, with ipvs_service"):
            run_module(name, **TASKS[name])
    else:
        done = run_module(name, diff=True, **TASKS[name])
        assert (done["commands"], done["diff"]["before"]) == (foretold["commands"], foretold["diff"]["before"])
    assert "ip_vs" in loaded()


def test_what_needs_no_ipvs_loads_none(without_ipvs):
    info = run_module("ipvs_info", statistics=True)
    assert (info["loaded"], info["version"], info["services"], info["timeouts"], info["sync_daemons"]) == (False, None, [], None, [])
    for check in (True, False):
        assert not run_module("ipvs_service", check=check, **WEB, state="absent")["changed"]
        assert not run_module("ipvs_server", check=check, **SERVER, state="absent")["changed"]
        with pytest.raises(ModuleFailed, match="there is no such virtual service, and nothing to drain"):
            run_module("ipvs_server", check=check, **SERVER, state="drained")
        with pytest.raises(ModuleFailed, match="no virtual service has such a real server"):
            run_module("ipvs_drain", check=check, addresses=["198.51.100.11"])
        assert not run_module("ipvs_drain", check=check, addresses=["198.51.100.11"], state="restored")["changed"]
        assert not run_module("ipvs_table", check=check, services=[WEB], state="absent")["changed"]
        assert not run_module("ipvs_table", check=check, services=[], prune=True)["changed"]
        assert not run_module("ipvs_timeouts", check=check, tcp=0)["changed"]
        assert not run_module("ipvs_sync_daemon", check=check, role="backup", state="absent")["changed"]
        assert not run_module("ipvs_counters", check=check)["changed"]
    with pytest.raises(ModuleFailed, match="there is no such virtual service"):
        run_module("ipvs_counters", **WEB)
    assert "ip_vs" not in loaded()


@pytest.fixture
def kernel_without_ipvs(without_ipvs, tmp_path):
    """The files of this kernel's modules, as those of a kernel that was built without IPVS."""
    genuine = Path("/lib/modules", KERNEL)
    for path in genuine.iterdir():
        if path.name.startswith("modules.") and not path.name.endswith(".bin"):
            lines = path.read_bytes().splitlines(keepends=True)
            (tmp_path / path.name).write_bytes(b"".join(line for line in lines if b"ip_vs" not in line))
    subprocess.run(["mount", "--bind", str(tmp_path), str(genuine)], check=True)
    yield
    subprocess.run(["umount", str(genuine)], check=True)


def test_a_kernel_that_has_no_ipvs(kernel_without_ipvs):
    for name, options in TASKS.items():
        with pytest.raises(ModuleFailed) as failure:
            run_module(name, **options)
        message = failure.value.result["msg"]
        assert message.startswith(f"this kernel has no IPVS: The kernel {KERNEL} has no module ip_vs: install linux-image-"), message
        # a check foretells what would be, and says what is missing
        checked = run_module(name, check=True, **options)
        assert checked["changed"]
        assert any("has no module ip_vs" in warning for warning in checked["warnings"])
    assert run_module("ipvs_info")["loaded"] is False


def test_a_module_that_may_not_be_loaded(without_ipvs):
    rule = Path("/etc/modprobe.d/forbid-ipvs.conf")
    rule.write_text("install ip_vs /bin/false\n")
    try:
        with pytest.raises(ModuleFailed, match="its module ip_vs is installed but could not be loaded; 'modprobe ip_vs'"):
            run_module("ipvs_service", **WEB)
    finally:
        rule.unlink()


def as_nobody(tasks):
    """What the modules answer when an ordinary user runs them. ``tasks``: a list of (module, options)."""
    ours, theirs = multiprocessing.Pipe(duplex=False)

    def child():
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
        for name, options in tasks:
            try:
                theirs.send(run_module(name, **options))
            except ModuleFailed as failure:
                theirs.send(failure.result)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    results = [ours.recv() for _task in tasks]
    process.join()
    return results


def test_without_the_privilege(ipvs):
    ipvs.restore("-A -t 203.0.113.80:80 -s rr\n")
    names = [*TASKS, "ipvs_info", "ipvs_counters"]
    for check in (True, False):
        for name, result in zip(names, as_nobody([(name, dict(TASKS.get(name, {}), check=check)) for name in names]), strict=True):
            assert "EPERM" in result["msg"] and "CAP_NET_ADMIN" in result["msg"] and "use become" in result["msg"], name
    for options, word in (({"check": True}, "CAP_NET_ADMIN"), ({"state_directory": "/var/lib/nosuch"}, "state_directory: '/var/lib/nosuch'")):
        (result,) = as_nobody([("ipvs_drain", dict(options, addresses=["198.51.100.11"]))])
        assert word in result["msg"] and "use become" in result["msg"]
    (result,) = as_nobody([("ipvs_info", {"netns": ipvs.netns})])
    assert f"netns: '{ipvs.netns}'" in result["msg"] and "use become" in result["msg"]
    assert saved() == ["-A -t 203.0.113.80:80 -s rr"]


@pytest.fixture
def without_pyroute2(monkeypatch):
    """As where it isn't installed: whoever imports it gets an ImportError."""
    for name in [name for name in sys.modules if name.split(".")[0] == "pyroute2"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyroute2", None)


def test_without_pyroute2(ipvs, without_pyroute2):
    for name in [*TASKS, "ipvs_info", "ipvs_counters", "ipvs_drain"]:
        with pytest.raises(ModuleFailed) as failure:
            run_module(name, **TASKS.get(name, {"addresses": ["198.51.100.11"]} if name == "ipvs_drain" else {}))
        message = failure.value.result["msg"]
        assert "Failed to import the required Python library (pyroute2" in message and "python3-pyroute2" in message, name


def test_info_of_a_kernel_without_ipvs_needs_no_pyroute2(without_ipvs, without_pyroute2):
    assert run_module("ipvs_info")["loaded"] is False
    assert run_module("ipvs_service", check=True, **WEB)["changed"]
