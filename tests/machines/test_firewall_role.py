# SPDX-License-Identifier: GPL-3.0-or-later
"""The role director with firewall marks on whole machines, and verify.yml where a firewall of somebody else is in the way."""

from __future__ import annotations

import json

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible

VIP, DIRECT = "203.0.113.80", "198.51.100.80"
BOTH = [{"address": f"198.51.100.{host}", "forward_method": "nat"} for host in (12, 13)]
VARIABLES = {
    "director_services": [
        {"fwmark": 7, "scheduler": "rr", "persistence_timeout": 60, "servers": BOTH},
        {"address": DIRECT, "port": 80, "scheduler": "rr", "servers": [{"address": "198.51.100.12"}]},
    ],
    "director_marks": [{"mark": 7, "address": VIP, "ports": [80, 443]}],
    "director_vips": [{"address": VIP}, {"address": DIRECT}],
}
DROP = "table inet theirs { chain input { type filter hook input priority 0; policy accept; ct state invalid drop; }; }"

pytestmark = pytest.mark.nft


@pytest.fixture
def lab():
    with Lab("firewall-role") as lab:
        lab.down()
        lab.up(["director:front,kernel=nft,mem=384M,group=directors", *(f"rs{number}:gw=director,group=real_servers" for number in (1, 2))])
        for name in ("rs1", "rs2"):
            for port in (80, 443):
                serve = f"systemd-run -q --working-directory=/srv/www python3 -m http.server {port}"
                lab.ssh(name, f"mkdir -p /srv/www && hostname >/srv/www/index.html && {serve}", check=True)
        yield lab


def test_http_and_https_are_one_service_and_a_firewall_in_the_way_is_named(lab, tmp_path):
    (tmp_path / "inventory.yml").write_text(lab.inventory())

    def play(name, succeeds=True, **more):
        options = ["-i", tmp_path / "inventory.yml", "-e", json.dumps({**VARIABLES, **more})]
        return ansible("ansible-playbook", *options, ROOT / f"playbooks/{name}.yml", home=tmp_path, succeeds=succeeds, LVS_LAB_CACHE=str(cache_dir()))

    def say(command):
        return lab.ssh("director", command, check=True, capture_output=True).stdout

    def answered(port):
        return lab.exec(["curl", "-sS", "-m", "5", f"http://{VIP}:{port}/"], capture_output=True).stdout

    play("site")
    assert {answered(port) for port in (80, 443) * 3} in ({"rs1\n"}, {"rs2\n"})
    again = [line for line in play("site").stdout.splitlines() if " : ok=" in line]
    assert len(again) == 3 and all("changed=0" in line for line in again)
    play("verify")

    say(f"nft '{DROP}'")
    done = play("verify", succeeds=False)
    for methods in ("dr and tun", "nat"):
        assert f"table inet theirs, chain input: ct state invalid drop: drops packets of virtual services with {methods}" in done.line
    remedy = {"director_notrack": True, "director_sysctls": {"net.ipv4.vs.conntrack": 1}}
    play("site", **remedy)
    play("verify", **remedy)
    say("nft delete table inet theirs")

    play("site", director_state="absent", real_server_state="absent")
    assert say("nft list tables; ipvsadm -S -n; ls -d /etc/ipvs-* 2>/dev/null || true") == ""
