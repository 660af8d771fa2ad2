# SPDX-License-Identifier: GPL-3.0-or-later
"""A running director comes under VRRP, and leaves it, and no request fails: its addresses are never gone."""

from __future__ import annotations

import subprocess

import pytest

from extensions.lab import Lab
from tests.machines.keepalived import Director
from tests.support import eventually

VIPS = ["203.0.113.80", "2001:db8:0:f::80"]
SERVICES = [
    {"address": vip, "port": 80, "scheduler": "rr", "servers": [{"address": server, "forward_method": "nat"}]}
    for vip, server in zip(VIPS, ["198.51.100.12", "2001:db8::12"], strict=True)
]
FAILOVER = {"source_address": "198.51.100.11", "peers": ["198.51.100.13"], "priority": 100, "sync": {}, "handover_file": "/var/lib/ipvs-director/handover"}
PREPARE = """
set -eu
apt-get -qq install -y ipvsadm keepalived python3-pyroute2 >/dev/null 2>&1
modprobe ip_vs_rr
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""
SERVE = "mkdir -p /srv/web; echo yes >/srv/web/health; systemd-run -q --unit=web --working-directory=/srv/web python3 -m http.server --bind :: 80"
LOAD = """
until [ -e {end} ]; do
    for host in 203.0.113.80 '[2001:db8:0:f::80]'; do curl -gfsS -m 10 -o /dev/null http://$host/health && echo yes || echo no; done
    sleep 0.02
done
"""


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    with Lab("failover-test") as lab:
        lab.down()
        lab.up([f"director:front,{request.param}", "rs1:gw=director"])
        lab.ssh("rs1", SERVE, check=True)
        lab.ssh("director", PREPARE, check=True)
        yield lab


class Load:
    """Requests to both addresses until the block ends; then ``done`` and ``failed`` have their numbers."""

    def __init__(self, lab, folder):
        self.end = folder / "end"
        command = lab.exec_command(["sh", "-c", LOAD.format(end=self.end)])
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.end.touch()
        answers = self.process.communicate()[0].split()
        self.end.unlink()
        self.done, self.failed = answers.count("yes"), answers.count("no")


def holders(director):
    """[(address, interface)] of the virtual addresses."""
    words = [line.split() for line in director.say("ip -o address show").splitlines()]
    return sorted((each[3].split("/")[0], each[1]) for each in words if each[3].split("/")[0] in VIPS)


def test_a_running_director_comes_under_vrrp_and_leaves_it(lab, tmp_path):
    director = Director(lab, tmp_path)
    director.run("ipvs_table", services=SERVICES)
    director.run("ipvs_addresses", services=SERVICES)
    on_the_front = sorted((vip, "eth1") for vip in VIPS)
    assert holders(director) == on_the_front

    with Load(lab, tmp_path) as load:
        director.manage(services=SERVICES, checks=False, failover=FAILOVER)
        released = director.run("ipvs_addresses", services=SERVICES, state="released")
    assert (load.failed, load.done > 30) == (0, True)
    assert released["changed"] and holders(director) == on_the_front
    assert director.say("ls /etc/ipvs-director.conf 2>/dev/null || echo gone") == "gone\n"
    info = director.run("ipvs_keepalived_info")
    assert info["master"] is True and info["processes"]["checker"] is None
    assert not director.run("ipvs_addresses", services=SERVICES, state="released")["changed"]

    with Load(lab, tmp_path) as load:
        director.run("ipvs_keepalived", state="absent", keep_addresses=VIPS)
        claimed = director.run("ipvs_addresses", services=SERVICES)
    assert (load.failed, load.done > 30) == (0, True)
    assert (claimed["changed"], claimed["added"]) == (True, []) and holders(director) == on_the_front
    assert director.say("systemctl is-active keepalived || true; systemctl is-active ipvs-director") == "inactive\nactive\n"

    # and for good: without keep_addresses nothing stays
    director.run("ipvs_keepalived", services=SERVICES, checks=False, failover=FAILOVER)
    director.run("ipvs_addresses", services=SERVICES, state="released")
    director.run("ipvs_keepalived", state="absent")
    assert holders(director) == [] and len(director.run("ipvs_info")["services"]) == 2
    assert director.say("ls /var/lib/ipvs-director/handover 2>/dev/null || echo gone") == "gone\n"


def test_a_fault_is_an_error_and_the_addresses_stay(lab, tmp_path):
    director = Director(lab, tmp_path)
    director.run("ipvs_table", services=SERVICES)
    director.run("ipvs_addresses", services=SERVICES)
    before = holders(director)
    director.say("ip link add down0 type dummy; ip address add 198.51.100.201/32 dev down0")
    failover = {**FAILOVER, "source_address": "198.51.100.201", "interface": "down0"}
    failed = director.run("ipvs_keepalived", succeeds=False, services=SERVICES, checks=False, failover=failover)
    assert "VRRP does not work: front on down0 is in state fault" in failed["msg"] and "The former configuration is restored" in failed["msg"]
    eventually(lambda: holders(director) == before)
    assert director.say("systemctl is-active keepalived || true") == "inactive\n"
