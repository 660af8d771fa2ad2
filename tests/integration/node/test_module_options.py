# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of kernel modules, and the modules that services need, on a real kernel: what modprobe makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ..conftest import loaded, unload

pytestmark = pytest.mark.once

BITS = {"ip_vs": {"conn_tab_bits": 14}}
SETTINGS = Path("/etc/modprobe.d/ipvs.conf")
SIP = {"address": "203.0.113.80", "port": 5060, "protocol": "udp", "scheduler": "sh", "persistence_timeout": 60, "persistence_engine": "sip"}


@pytest.fixture
def modules(run_module, tmp_path):
    """Run ipvs_modules with its listing in a scratch directory, foretold by a check."""

    def run(**options):
        foretold = run_module("ipvs_modules", path=str(tmp_path / "ipvs.conf"), diff=True, check=True, **options)
        done = run_module("ipvs_modules", path=str(tmp_path / "ipvs.conf"), diff=True, **options)
        if not done.get("failed"):
            assert {**foretold, "invocation": None} == {**done, "invocation": None}
            again = run_module("ipvs_modules", path=str(tmp_path / "ipvs.conf"), diff=True, **options)
            assert not again["changed"] and again["differences"] == []
        return done

    return run


@pytest.fixture(autouse=True)
def nothing_loaded():
    unload()
    SETTINGS.unlink(missing_ok=True)
    yield
    SETTINGS.unlink(missing_ok=True)
    unload()


def bits():
    """What the loaded module has. The size that ipvsadm shows comes of it at once up to Linux 6; newer tables grow up to it."""
    return int(Path("/sys/module/ip_vs/parameters/conn_tab_bits").read_text())


def test_the_connection_table_gets_its_size(modules):
    done = modules(names=["ip_vs"], options=BITS)
    assert bits() == 14 and "warnings" not in done
    assert "option conn_tab_bits of kernel module ip_vs is not set" in done["differences"]
    done = modules(names=["ip_vs"], options={"ip_vs": {"conn_tab_bits": 15}})
    assert done["warnings"] == ["ip_vs is loaded with conn_tab_bits=14; 15 holds when it is loaded the next time, at the latest after a reboot"]
    unload()
    modules(names=["ip_vs"])
    assert bits() == 15
    modules(names=["ip_vs"], options={"ip_vs": {"conn_tab_bits": 15}}, state="absent")
    assert not SETTINGS.exists() and "ip_vs" not in loaded()


@pytest.mark.parametrize("first", [True, False])
def test_an_option_that_the_module_does_not_have(modules, first):
    if not first:
        modules(names=["ip_vs"])
    result = modules(names=["ip_vs"], options={"ip_vs": {"conn_tab_bit": 14}})
    assert result["failed"] and "did you mean conn_tab_bits? It has conn_tab_bits" in result["msg"]
    assert not SETTINGS.exists() and ("ip_vs" in loaded()) != first


def test_what_services_need(modules):
    done = modules(services=[SIP, {"fwmark": 7, "scheduler": "none"}], names=["ip_vs_nq"])
    assert {"ip_vs", "nf_conntrack", "ip_vs_sh", "ip_vs_pe_sip", "ip_vs_nq"} <= loaded()
    assert [each["name"] for each in done["modules"]] == ["ip_vs", "nf_conntrack", "ip_vs_sh", "ip_vs_pe_sip", "ip_vs_nq"]
    unload()
    result = modules(services=[dict(SIP, scheduler="wrrr")])
    assert result["failed"] and "services[0].scheduler: 'wrrr': there is no such scheduler; did you mean wrr?" in result["msg"]
    assert "ip_vs" not in loaded()
