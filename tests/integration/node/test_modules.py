# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_modules on a real kernel: what it says against /proc/modules, modprobe and systemd's way of reading the listing."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _kmod

from ..conftest import loaded, unload

KERNEL = os.uname().release


@pytest.fixture
def listing(tmp_path):
    return tmp_path / "ipvs.conf"


@pytest.fixture
def modules(run_module, listing):
    """Run ipvs_modules with its listing in a scratch directory."""
    return lambda **options: run_module("ipvs_modules", path=str(listing), **options)


@pytest.fixture(autouse=True)
def nothing_loaded():
    """No module of IPVS is in memory, before and after."""
    unload()
    yield
    unload()


def test_load_list_and_do_nothing_the_second_time(modules, listing):
    desired = {"names": ["ip_vs", ["nf_conntrack", "nf_conntrack_ipv4"]], "schedulers": ["rr", "wlc"]}
    checked = modules(**desired, check=True, diff=True)
    assert checked["changed"]
    assert not listing.exists()
    assert not {"ip_vs", "ip_vs_rr"} & loaded()

    first = modules(**desired, diff=True)
    assert {key: first[key] for key in ("changed", "modules", "loaded", "commands", "diff")} == {
        key: checked[key] for key in ("changed", "modules", "loaded", "commands", "diff")
    }
    assert {"ip_vs", "ip_vs_rr", "ip_vs_wlc", "nf_conntrack"} <= loaded()
    assert "ip_vs_rr: loadable" in first["diff"]["before"]
    assert "ip_vs_rr: loaded" in first["diff"]["after"]
    assert [line for line in listing.read_text().splitlines() if not line.startswith("#")] == ["ip_vs", "nf_conntrack", "ip_vs_rr", "ip_vs_wlc"]
    assert oct(listing.stat().st_mode) == "0o100644"

    second = modules(**desired, diff=True)
    assert not second["changed"]
    assert (second["loaded"], second["commands"]) == ([], [])
    assert second["diff"]["before"] == second["diff"]["after"]


def test_every_scheduler_of_this_kernel_can_be_used(modules):
    folder = Path(f"/lib/modules/{KERNEL}/kernel/net/netfilter/ipvs")
    names = sorted(path.name.split(".")[0] for path in folder.iterdir())
    schedulers = [name[len("ip_vs_") :] for name in names if name.startswith("ip_vs_") and name not in ("ip_vs_ftp", "ip_vs_pe_sip")]
    assert len(schedulers) > 10 and set(schedulers) <= set(_kmod.SCHEDULERS)
    result = modules(schedulers=schedulers)
    assert [entry["state"] for entry in result["modules"]] == ["loaded"] * len(schedulers)
    assert {f"ip_vs_{name}" for name in schedulers} <= loaded()


def test_take_away_and_keep_what_others_listed(modules, listing, tmp_path):
    listing.symlink_to("by-hand")
    kept = tmp_path / "by-hand"
    kept.write_text("# by hand\nbonding\n")
    modules(names=["ip_vs"], schedulers=["rr"])
    assert listing.is_symlink() and kept.read_text() == "# by hand\nbonding\nip_vs\nip_vs_rr\n"
    checked = modules(names=["ip_vs"], schedulers=["rr"], state="absent", check=True)
    result = modules(names=["ip_vs"], schedulers=["rr"], state="absent")
    assert result == checked
    assert result["unloaded"] == ["ip_vs_rr", "ip_vs"]
    assert not {"ip_vs", "ip_vs_rr"} & loaded()
    # What ip_vs had pulled in is not ours to remove.
    assert "nf_conntrack" in loaded()
    assert listing.is_symlink() and kept.read_text() == "# by hand\nbonding\n"
    assert not modules(names=["ip_vs"], schedulers=["rr"], state="absent")["changed"]


def test_a_scheduler_in_use_stays(modules):
    modules(schedulers=["rr"])
    subprocess.run(["ipvsadm", "-A", "-t", "198.51.100.1:80", "-s", "rr"], check=True)
    try:
        result = modules(schedulers=["rr"], state="absent")
    finally:
        subprocess.run(["ipvsadm", "-C"], check=True)
    assert result["failed"]
    assert re.match("In use: ip_vs_rr by the kernel", result["msg"])
    assert "ip_vs_rr" in loaded()


def test_nothing_is_loaded_where_one_is_missing(modules, listing):
    result = modules(names=["ip_vs", "ip_vs_nosuch"])
    assert result["failed"]
    assert f"names[1]: The kernel {KERNEL} has no module ip_vs_nosuch: " in result["msg"]
    assert result["missing"] == ["ip_vs_nosuch"]
    assert "ip_vs" not in loaded()
    assert not listing.exists()


def test_an_alias_counts_as_its_module(modules):
    result = modules(names=["ip_conntrack"], persist=False)
    assert result["modules"] == [{"name": "ip_conntrack", "state": "loaded", "persistent": False}]
    assert "nf_conntrack" in loaded()


def test_a_module_forbidden_by_an_install_line(modules, listing):
    rule = Path("/etc/modprobe.d/forbid.conf")
    rule.write_text("install ip_vs_rr /bin/true\n")
    try:
        result = modules(names=["ip_vs"], schedulers=["rr"])
    finally:
        rule.unlink()
    assert result["failed"]
    assert "ip_vs_rr (install line in /etc/modprobe.d/forbid.conf)" in result["msg"]
    assert result["not_loaded"] == ["ip_vs_rr"]
    assert not listing.exists()


def test_a_builtin_module_is_fine_and_stays(modules):
    builtin = Path(f"/lib/modules/{KERNEL}/modules.builtin").read_text().splitlines()[0]
    name = builtin.rsplit("/", 1)[1].split(".")[0]
    assert modules(names=[name], persist=False)["modules"] == [{"name": name, "state": "builtin", "persistent": False}]
    assert not modules(names=[name], persist=False, state="absent")["changed"]
