# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_sysctls on a real kernel, sysctl(8) as the oracle."""

from __future__ import annotations

import os
import subprocess

import pytest

pytestmark = pytest.mark.once

NAT = [{"address": "203.0.113.80", "port": 80, "servers": [{"address": "198.51.100.11", "forward_method": "nat"}]}]


def sysctl(*words):
    return subprocess.run(["sysctl", *words], check=True, capture_output=True, text=True).stdout


def values(*keys):
    return [" ".join(sysctl("-n", key).split()) for key in keys]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "60-test.conf"


@pytest.fixture
def sysctls(ipvs, path):
    """Run ipvs_sysctls in check mode, for real and again; the result of the real run."""
    subprocess.run(["ip", "link", "add", "eth0.100", "type", "dummy"], check=True)

    def run(**options):
        options["path"] = str(path)
        before = sysctl("net.ipv4", "net.ipv6")
        foretold = ipvs.module("ipvs_sysctls", check=True, diff=True, **options)
        assert sysctl("net.ipv4", "net.ipv6") == before
        done = ipvs.module("ipvs_sysctls", diff=True, **options)
        assert {**foretold, "invocation": None} == {**done, "invocation": None}
        again = ipvs.module("ipvs_sysctls", diff=True, **options)
        assert not again["changed"] and again["differences"] == [] and again["settings"] == done["settings"]
        return done

    return run


KEYS = ("net.ipv4.ip_forward", "net.ipv4.vs.conn_reuse_mode", "net.ipv4.vs.sync_threshold", "net.ipv4.conf.eth0/100.arp_ignore")


@pytest.mark.long
def test_set_restored_at_boot_and_put_back(sysctls, path):
    before = values(*KEYS)
    settings = {"net.ipv4.vs.conn_reuse_mode": 0, "net.ipv4.vs.sync_threshold": "5 80", "net.ipv4.conf.*.arp_ignore": 1}
    done = sysctls(services=NAT, settings=settings)
    assert values(*KEYS) == ["1", "0", "5 80", "1"]
    interfaces = {name.replace(".", "/") for name in os.listdir("/proc/sys/net/ipv4/conf")}  # earlier tests have loaded modules that bring some
    assert set(done["settings"]) == {*KEYS[:3], *(f"net.ipv4.conf.{name}.arp_ignore" for name in interfaces)}
    assert oct(path.stat().st_mode) == "0o100644"

    # as the boot does it
    sysctl("-w", "net.ipv4.ip_forward=0", "net.ipv4.vs.conn_reuse_mode=1", "net.ipv4.vs.sync_threshold=3 50")
    sysctl("-p", str(path))
    assert values(*KEYS[:3]) == ["1", "0", "5 80"]

    sysctls(services=NAT, settings={"net/ipv4/conf/eth0.100/arp_ignore": 1})
    assert values(*KEYS) == ["1", *before[1:3], "1"]
    sysctls(state="absent")
    assert values(*KEYS) == before and not path.exists()


def test_forwarding_changes_other_settings_and_all_of_them_hold(sysctls):
    """The kernel sets send_redirects and others of an interface when ip_forward is written."""
    settings = {"net.ipv4.conf.*.accept_redirects": 1, "net.ipv4.conf.*.rp_filter": 2, "net.ipv6.conf.*.accept_ra": 0, "net.ipv6.conf.all.forwarding": 1}
    sysctls(services=NAT, settings=settings)
    assert values("net.ipv4.conf.eth0/100.accept_redirects", "net.ipv6.conf.eth0/100.forwarding") == ["1", "1"]


@pytest.mark.parametrize("key, value", [("net.ipv4.vs.secure_tcp", 9), ("net.ipv4.vs.conn_reuse_mode", "much"), ("net.ipv4.ip_forward", "1 2 x")])
@pytest.mark.long
def test_a_value_that_the_kernel_refuses(sysctls, run_module, path, key, value):
    sysctls(settings={"net.ipv4.vs.conn_reuse_mode": 0})
    text, before = path.read_text(), sysctl("net.ipv4", "net.ipv6")
    result = run_module("ipvs_sysctls", path=str(path), settings={"net.ipv4.conf.*.arp_ignore": 1, key: value})
    assert result["failed"] and f"settings.{key}: '{value}': the kernel " in result["msg"] and "The rest was undone" in result["msg"]
    assert path.read_text() == text and sysctl("net.ipv4", "net.ipv6") == before


def test_a_mistyped_key(run_module, ipvs, path):
    result = run_module("ipvs_sysctls", path=str(path), settings={"net.ipv4.vs.conn_reuse_mod": 1})
    assert result["failed"] and "did you mean net.ipv4.vs.conn_reuse_mode" in result["msg"] and not path.exists()


def test_another_file_that_has_the_last_word_is_named(run_module):
    ours, theirs = "/etc/sysctl.d/60-ipvs-director.conf", "/etc/sysctl.d/99-theirs.conf"
    options = {"services": NAT, "settings": {"net.ipv4.vs.conn_reuse_mode": 0}, "path": ours}
    try:
        with open(theirs, "w") as stream:
            stream.write("net.ipv4.ip_forward = 0\nnet/ipv4/vs/conn_reuse_mode = 0\n")
        done = run_module("ipvs_sysctls", **options)
        assert done["warnings"] == [f"{theirs} sets net.ipv4.ip_forward to 0 at boot, after our file, which says 1"]
        assert values(*KEYS[:2]) == ["1", "0"]
        sysctl("--system", "--pattern", r"^net\.ipv4\.(ip_forward|vs)")
        assert values(*KEYS[:2]) == ["0", "0"]
        os.unlink(theirs)
        assert "warnings" not in run_module("ipvs_sysctls", **options)
    finally:
        run_module("ipvs_sysctls", path=ours, state="absent")
