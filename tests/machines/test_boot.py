# SPDX-License-Identifier: GPL-3.0-or-later
"""What a boot without Ansible shows of a director and a real server, when all is well and when it is not."""

from __future__ import annotations

import json

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible

UNITS = {"director": "ipvs-director.service", "rs1": "ipvs-real-server.service"}
VIP, VIP6, LATE = "198.51.100.80", "2001:db8::80", "198.51.100.81"
MARK = {"fwmark": 7, "scheduler": "rr", "servers": [{"address": "198.51.100.12"}]}
SERVICES = [
    MARK,
    {"address": VIP, "port": 80, "scheduler": "rr", "servers": [{"address": "198.51.100.12"}]},
    {"address": VIP6, "port": 80, "scheduler": "rr", "servers": [{"address": "2001:db8::12"}]},
]


@pytest.fixture
def lab():
    with Lab("boot-test") as lab:
        lab.down()
        lab.up(["director:group=directors", "rs1:group=real_servers"])
        yield lab


@pytest.fixture
def site(lab, tmp_path):
    """``site(VARIABLES)``: run site.yml with them; the counts of its recap, "changed" by machine."""
    (tmp_path / "inventory.yml").write_text(lab.inventory())

    def site(variables):
        options = ["-i", tmp_path / "inventory.yml", "-e", json.dumps(variables)]
        done = ansible("ansible-playbook", *options, ROOT / "playbooks/site.yml", home=tmp_path, LVS_LAB_CACHE=str(cache_dir()))
        recap = [line.split() for line in done.stdout.splitlines() if " : ok=" in line]
        return {words[0]: int(word.partition("=")[2]) for words in recap for word in words if word.startswith("changed=")}

    return site


def test_boots(lab, site):
    def say(name, command):
        return lab.ssh(name, command, capture_output=True).stdout

    def have(name, interface):
        shown = json.loads(say(name, f"ip -json address show dev {interface}"))
        return {each["local"] for each in shown[0]["addr_info"] if each["scope"] == "global"} & {VIP, VIP6, LATE}

    def failed(name):
        return [line.split()[0] for line in say(name, "systemctl list-units --failed --plain --no-legend").splitlines()]

    def complaints(name):
        return [line for line in say(name, f"journalctl --boot --output=cat --unit={UNITS[name]}").splitlines() if line.startswith("FAILED: ")]

    def boot():
        for name in UNITS:
            say(name, "sync")
            lab.restart(name)
            say(name, "systemctl is-system-running --wait")

    # A director without addresses, as of firewall marks alone.
    without = {"director_services": [MARK], "real_server_fwmark_vips": [VIP]}
    assert site(without)["director"] > 0
    assert "-A -f 7 -s rr" in say("director", "cat /etc/ipvsadm.rules")
    assert failed("director") == []
    assert site(without) == {"director": 0, "rs1": 0}

    # One address and one interface that are not there at the next boot.
    for name in UNITS:
        say(name, "ip link add late0 type dummy && ip link set late0 up")
    variables = {
        "director_services": SERVICES,
        "director_vips": [{"address": VIP}, {"address": LATE, "interface": "late0"}, {"address": VIP6}],
        "real_server_vip_interface": "late0",
    }
    assert min(site(variables).values()) > 0
    assert have("director", "eth0") == {VIP, VIP6} and have("director", "late0") == {LATE} and have("rs1", "late0") == {VIP, VIP6}
    boot()
    assert {name: failed(name) for name in UNITS} == {name: [unit] for name, unit in UNITS.items()}
    assert complaints("director") == [f'FAILED: address {LATE}/32 dev late0 announce: there is no interface late0']
    assert have("director", "eth0") == {VIP, VIP6}
    assert complaints("rs1") == [
        'FAILED: link late0: No such device',
        f'FAILED: address {VIP}/32 dev late0: there is no interface late0',
        f'FAILED: address {VIP6}/128 dev late0: there is no interface late0',
    ]
    assert "net.ipv4.conf.all.arp_ignore = 1" in say("rs1", "sysctl net.ipv4.conf.all.arp_ignore")

    # A run that no longer asks for what is missing mends both units.
    variables |= {"director_vips": [{"address": VIP}, {"address": VIP6}], "real_server_vip_interface": "lo"}
    assert min(site(variables).values()) > 0
    assert {name: failed(name) for name in UNITS} == {name: [] for name in UNITS}

    # IPVS does not load: no address answers, and it shows.
    say("director", "echo install ip_vs /bin/false > /etc/modprobe.d/broken.conf")
    boot()
    assert have("director", "eth0") == set() and have("rs1", "lo") == {VIP, VIP6}
    assert UNITS["director"] in failed("director") and failed("rs1") == []
    assert complaints("director") == [
        f"FAILED: address {vip} dev eth0 announce: the IPVS table has no service of this address" for vip in (f"{VIP}/32", f"{VIP6}/128")
    ]
