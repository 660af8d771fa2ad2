# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_firewall on a machine that runs firewalld, and beside nftables.service: with traffic, and over a reboot."""

from __future__ import annotations

import json

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ansible, eventually

VIP = "203.0.113.80"
SERVER = {"address": "198.51.100.12", "forward_method": "nat"}
SERVICE = {"address": VIP, "port": 80, "scheduler": "rr", "servers": [SERVER]}
MARKED = {"fwmark": 7, "scheduler": "rr", "servers": [SERVER]}
MARKS = [{"mark": 7, "address": VIP, "ports": ["8000-8010"]}]
PREPARE = """
set -eu
apt-get -qq install -y netbase nftables firewalld ipvsadm >/dev/null
# The daemon was started before there was a user polkitd.
systemctl reload dbus
systemctl start firewalld
firewall-cmd --state
modprobe ip_vs_rr
sysctl -qw net.ipv4.vs.conntrack=1 net.ipv4.ip_forward=1
echo net.ipv4.ip_forward=1 >/etc/sysctl.d/90-test.conf
printf 'ip_vs\\nip_vs_rr\\n' >/etc/modules-load.d/test.conf
printf '%s\\n' '-A -t 203.0.113.80:80 -s rr' '-a -t 203.0.113.80:80 -r 198.51.100.12 -m' '-A -f 7 -s rr' '-a -f 7 -r 198.51.100.12 -m' | ipvsadm -R
ip address add 203.0.113.80/32 dev eth1
"""

pytestmark = pytest.mark.nft


@pytest.fixture(scope="module")
def lab():
    with Lab("firewall-test") as lab:
        lab.down()
        lab.up(["director:front,kernel=nft,mem=384M", "rs1:gw=director"])
        for port in (80, 8001):
            lab.ssh("rs1", f"cd / && systemd-run -q python3 -m http.server {port}", check=True)
        done = lab.ssh("director", PREPARE, capture_output=True)
        assert done.stdout == "running\n", done.stderr
        yield lab


@pytest.fixture
def firewall(lab, tmp_path):
    """``firewall(**OPTIONS)``: check, do, do again; the result of the real run."""
    (tmp_path / "inventory.yml").write_text(lab.inventory())

    def run(options, *words):
        play = ["director", "-i", tmp_path / "inventory.yml", "-m", "lvs.ipvs.ipvs_firewall", "-a", json.dumps(options), *words]
        done = ansible("ansible", *play, home=tmp_path, LVS_LAB_CACHE=str(cache_dir()))
        return json.loads(done.stdout[done.stdout.index("{") :])

    def firewall(**options):
        foretold, done = run(options, "--check"), run(options)
        assert (foretold["changed"], foretold["differences"]) == (done["changed"], done["differences"])
        again = run(options)
        assert (again["changed"], again["differences"]) == (False, [])
        return done

    return firewall


def answers(lab, port):
    return lab.exec(["curl", "-sS", "-m", "3", "-o", "/dev/null", f"http://{VIP}:{port}/"], capture_output=True).returncode == 0


def say(lab, command):
    return lab.ssh("director", command, check=True, capture_output=True).stdout


def test_silent_before_answers_after_closed_when_the_service_goes(lab, firewall):
    say(lab, "firewall-cmd -q --add-service=https; nft add table inet theirs")
    before = say(lab, "firewall-cmd --list-all; firewall-cmd --permanent --list-all")
    assert not answers(lab, 80) and not answers(lab, 8001)

    done = firewall(services=[SERVICE])
    rule = f'rule family="ipv4" destination address="{VIP}" port port="80" protocol="tcp" accept'
    assert done["differences"] == [f"firewalld zone public ({place}): {rule} is missing" for place in ("running", "permanent")]
    assert answers(lab, 80) and not answers(lab, 8001)

    firewall(services=[SERVICE, MARKED], marks=MARKS)
    assert answers(lab, 80) and answers(lab, 8001)

    # What others do to their rules leaves ours.
    for command in ("firewall-cmd -q --reload", "systemctl restart firewalld"):
        say(lab, command)
        assert answers(lab, 80) and answers(lab, 8001)
    assert "theirs" in say(lab, "nft list tables")

    done = firewall(services=[MARKED], marks=MARKS)
    assert [each for each in done["differences"] if "no longer needed" in each] == done["differences"] != []
    assert not answers(lab, 80) and answers(lab, 8001)
    firewall(state="absent")
    assert not answers(lab, 8001)
    say(lab, "firewall-cmd -q --add-service=https")  # the reload has forgotten it
    assert say(lab, "firewall-cmd --list-all; firewall-cmd --permanent --list-all") == before
    assert say(lab, "ls -A /var/lib/ipvs-firewall; ls -d /etc/ipvs-firewall* /etc/systemd/system/ipvs-firewall* 2>/dev/null || true") == ""


def test_beside_nftables_service_and_over_a_reboot(lab, firewall):
    say(lab, "systemctl disable -q --now firewalld")
    firewall(services=[MARKED], marks=MARKS)
    assert answers(lab, 8001)
    for command in ("start", "reload", "restart"):
        say(lab, f"systemctl {command} nftables")
        eventually(lambda: answers(lab, 8001), 60)  # systemctl waits for that unit, not for those that follow it
        assert "chain input" in say(lab, "nft list table inet filter")  # theirs, which that service loads
    say(lab, "systemctl stop nftables && systemctl start nftables")
    eventually(lambda: answers(lab, 8001))
    say(lab, "systemctl enable -q nftables && sync")
    lab.restart("director")
    say(lab, "systemctl is-system-running --wait")
    assert "meta mark set 0x00000007" in say(lab, "nft list table inet lvs_ipvs") and "chain input" in say(lab, "nft list table inet filter")
    firewall(state="absent")
    assert say(lab, "ls -d /etc/ipvs-firewall* /etc/systemd/system/*/ipvs-firewall* /etc/systemd/system/ipvs-firewall* 2>/dev/null || true") == ""
    assert say(lab, "nft list tables") == "table inet filter\n" and say(lab, "systemctl --failed --no-legend") == ""
