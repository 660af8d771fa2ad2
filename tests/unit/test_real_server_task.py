# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_real_server on a made-up host, with kernel modules and settings in a file tree."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _sysctls
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _real_server_task
from ansible_collections.lvs.ipvs.plugins.module_utils._task._errors import OptionError

from .network_host import OWNER, Host


@pytest.fixture
def host(monkeypatch):
    return Host(monkeypatch)


class Settings:
    def __init__(self, root):
        self.root = root

    def get(self, key):
        return _sysctls.read(key, self.root)

    def __setitem__(self, key, value):
        _sysctls.write(key, value, self.root)


class RealServer:
    """Kernel modules, and settings in a made-up file tree, which the network's node sets too."""

    def __init__(self, host, monkeypatch, root):
        self.host, self.loaded, self.checks = host, set(), []
        real_plan, real_apply, real_undo = (getattr(_real_server_task._sysctl_plan, name) for name in ("plan", "apply", "undo"))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "plan", lambda *words, **named: real_plan(*words, root=root, **named))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "apply", lambda plan, context: real_apply(plan, context, root))
        monkeypatch.setattr(_real_server_task._sysctl_plan, "undo", lambda plan, context: real_undo(plan, context, root))
        monkeypatch.setattr(_real_server_task._modules, "ensure_modules", self.load)
        self.settings = root / "proc/sys/net/ipv4/conf"
        for interface in ("all", "default", "eth0", "lo"):
            self.add(interface)
        host.network.settings = Settings(root)

    def add(self, interface):
        (self.settings / interface).mkdir(parents=True)
        for name in ("arp_ignore", "arp_announce", "rp_filter"):
            (self.settings / interface / name).write_text("0\n" if interface != "tunl0" else "1\n")

    def load(self, options, context):
        assert (options["state"], options["load"], options["persist"]) == ("present", True, False)
        lacking = [name for name in options["names"] if name not in self.loaded]
        if not context.check_mode:
            self.loaded.update(lacking)
            if "ipip" in lacking:
                self.add("tunl0")
        return _real_server_task.Answer(bool(lacking), {"loaded": lacking})

    def task(self, check=False, diff=True, **options):
        defaults = {
            "services": [], "addresses": None, "fwmark_addresses": None, "state": "present", "purge": True, "vip_interface": "lo", "arp_interfaces": ["all"],
            "nat_route": "none", "nat_gateways": [], "nat_direct": [], "nat_table": 5198, "nat_priority": 5198,
        }  # fmt: skip
        return _real_server_task.manage_real_server({**defaults, **options}, self.host.context(check)._replace(diff=diff))


@pytest.fixture
def real_server(host, monkeypatch, tmp_path):
    return RealServer(host, monkeypatch, tmp_path)


def web(method, address="198.51.100.12", **named):
    return {"address": "203.0.113.80", "port": 80, **named, "servers": [{"address": address, "forward_method": method}]}


def test_a_node_that_is_no_real_server_is_left_alone(real_server, host):
    for options in ({"state": "absent", "services": None}, {"services": [web("dr", "198.51.100.99")]}):
        assert not real_server.task(**options).changed and (host.done, host.files, host.network.done) == ([], {}, [])


def test_a_real_server_by_direct_routing(real_server, host):
    foretold = real_server.task(check=True, services=[web("dr"), web("dr", address="198.51.100.13", port=81)])
    assert host.files == {} and (real_server.settings / "all/arp_ignore").read_text() == "0\n"
    answer = real_server.task(services=[web("dr"), web("dr", address="198.51.100.13", port=81)])
    assert answer.changed and answer.values == foretold.values and (answer.before, answer.after) == (foretold.before, foretold.after)
    assert answer.before == "" and "203.0.113.80/32" in answer.after
    assert answer.values["places"] == 1 and answer.values["leftovers"] == []
    assert answer.values["addresses"] == [{"address": "203.0.113.80", "prefix_length": 32, "interface": "lo"}]
    assert (real_server.settings / "all/arp_ignore").read_text().strip() == "1" and (real_server.settings / "all/arp_announce").read_text().strip() == "2"
    assert "address 203.0.113.80/32 dev lo" in host.network.found and host.network.closed == 2


def test_a_real_server_by_tunnel_gets_its_modules_first(real_server, host):
    assert real_server.task(check=True, services=[web("tun")]).changed and real_server.loaded == set()
    answer = real_server.task(services=[web("tun")])
    assert answer.values["differences"][0] == "kernel module ipip is not loaded" and real_server.loaded == {"ipip"}
    assert host.text("/etc/modules-load.d/ipvs-real-server.conf").endswith("ipip\n")
    assert (real_server.settings / "tunl0/rp_filter").read_text().strip() == "0"
    assert answer.values["addresses"] == [{"address": "203.0.113.80", "prefix_length": 32, "interface": "tunl0"}]
    assert "kernel setting net.ipv4.conf.tunl0.rp_filter is 0, and was 1 before it was set" in real_server.task(state="absent").values["differences"]
    assert (real_server.settings / "tunl0/rp_filter").read_text().strip() == "1"  # which was not there when the first task began


def test_places_by_address_and_by_mark(real_server):
    marked = {"fwmark": 7, "servers": [{"address": "198.51.100.12"}]}
    answer = real_server.task(check=True, services=[marked, web("dr")], fwmark_addresses=["203.0.113.90", "2001:db8::90", "203.0.113.91"])
    assert [each["address"] for each in answer.values["addresses"]] == ["203.0.113.80", "203.0.113.90", "203.0.113.91"] and answer.values["places"] == 3
    answer = real_server.task(check=True, services=[marked, web("tun", "2001:db8:0::12")], addresses=["2001:DB8::12"])
    assert answer.values["places"] == 1
    assert real_server.task(check=True, services=[marked, web("dr")], state="absent").values["places"] == 0
    with pytest.raises(OptionError, match=r"^addresses\[1\]: 'host'"):
        real_server.task(addresses=["198.51.100.12", "host"])


def test_what_is_no_longer_needed_goes_or_with_purge_off_stays(real_server, host):
    real_server.task(services=[web("dr"), web("dr", address="198.51.100.12", port=81) | {"address": "203.0.113.81"}])
    foretold = real_server.task(check=True, services=[web("dr")], purge=False)
    assert "address 203.0.113.81/32 dev lo" in foretold.values["leftovers"] and not foretold.changed
    assert real_server.task(services=[web("dr")]).changed
    assert "address 203.0.113.81/32 dev lo" not in host.network.found and "address 203.0.113.80/32 dev lo" in host.network.found
    assert not [each for each in real_server.task(check=True, services=[web("dr")]).values["differences"] if "setting" in each]
    gone = real_server.task(state="absent")
    assert "kernel setting net.ipv4.conf.all.arp_ignore is 1, and was 0 before it was set" in gone.values["differences"]
    assert "address 203.0.113.80/32 dev lo" not in host.network.found and OWNER.path not in host.files


def test_with_purge_off_the_modules_of_what_stays_stay(real_server, host):
    real_server.task(services=[web("tun")])
    real_server.task(services=[web("dr")], purge=False)
    assert host.text("/etc/modules-load.d/ipvs-real-server.conf").endswith("ipip\n")


def test_without_a_diff_no_texts_are_shown(real_server):
    answer = real_server.task(check=True, diff=False, services=[web("dr")])
    assert answer.changed and (answer.before, answer.after) == (None, None)


def test_the_answers_of_a_firewall_mark_are_those_of_tcp(real_server):
    marked = {"fwmark": 7, "servers": [{"address": "198.51.100.12", "port": 80, "forward_method": "nat"}]}
    answer = real_server.task(check=True, services=[marked], fwmark_addresses=["203.0.113.90"], nat_route="policy", nat_gateways=["198.51.100.1"])
    assert "rule -4 priority 5198 from 198.51.100.12 ipproto 6 sport 80 lookup 5198 is missing" in answer.values["differences"]
