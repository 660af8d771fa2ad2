# SPDX-License-Identifier: GPL-3.0-or-later
"""A director on which keepalived checks two web servers: the machines, its modules, and load on it."""

from __future__ import annotations

import contextlib
import json
import subprocess

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.integration.test_documentation import assert_documented
from tests.support import ansible

VIP = "203.0.113.80"
ADDRESSES = ["198.51.100.12", "198.51.100.13"]
PREPARE = """
set -eu
apt-get -qq install -y ipvsadm keepalived python3-pyroute2 >/dev/null 2>&1
modprobe ip_vs_rr
sysctl -qw net.ipv4.ip_forward=1
ip address add 203.0.113.80/32 dev eth1
ip link add spare0 type dummy
ip link set spare0 up
ip address add 203.0.113.201/29 dev spare0
"""
SERVE = "mkdir -p /srv/web; echo yes >/srv/web/health; systemd-run -q --unit=web --working-directory=/srv/web python3 -m http.server 80"


def services(*addresses, **options):
    check = {"type": "http", "path": "/health", "interval": 1, "retries": 1, "delay": 0.5}
    servers = [{"address": address, "forward_method": "nat", "weight": 1, **options} for address in addresses]
    return [{"address": VIP, "port": 80, "scheduler": "rr", "check": check, "servers": servers}]


@contextlib.contextmanager
def machines(name, suite):
    """A running lab with a director of this suite of Debian, which is the gateway of two servers."""
    with Lab(name) as lab:
        lab.down()
        lab.up([f"director:front,{suite}", "rs1:gw=director", "rs2:gw=director"])
        for name in ("rs1", "rs2"):
            lab.ssh(name, SERVE, check=True)
        lab.ssh("director", PREPARE, check=True)
        yield lab


class Director:
    """The director: modules on it, and what it says."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        (folder / "inventory.yml").write_text(lab.inventory())

    def run(self, module, *words, succeeds=True, **options):
        play = ["director", "-i", self.folder / "inventory.yml", "-m", "lvs.ipvs." + module, *words]
        play += ["-a", json.dumps(options)] if options else []
        done = ansible("ansible", *play, home=self.folder, succeeds=succeeds, LVS_LAB_CACHE=str(cache_dir()))
        return json.loads(done.stdout.partition("=> ")[2])

    def manage(self, **options):
        """Check, do, do again; the result of the real run."""
        foretold, done = self.run("ipvs_keepalived", "--check", **options), self.run("ipvs_keepalived", **options)
        assert foretold["changed"] == done["changed"] and set(foretold["differences"]) <= set(done["differences"])
        assert_documented("ipvs_keepalived", done)
        again = self.run("ipvs_keepalived", **options)
        assert (again["changed"], again["differences"]) == (False, [])
        return done

    def say(self, command):
        return self.lab.ssh("director", command, check=True, capture_output=True).stdout

    def weights(self):
        return [(each["address"], each["weight"]) for service in self.run("ipvs_info")["services"] for each in service["servers"]]

    def processes(self):
        return self.run("ipvs_keepalived_info")["processes"]


@contextlib.contextmanager
def load(lab, folder):
    """Requests, one after the other, from the client until the block ends. Yields {"failed": ..., "done": ...}, which has its numbers then."""
    end = folder / "end"
    loop = f"until [ -e {end} ]; do curl -fsS -m 10 -o /dev/null http://{VIP}/health && echo yes || echo no; sleep 0.05; done"
    with subprocess.Popen(lab.exec_command(["sh", "-c", loop]), stdout=subprocess.PIPE, text=True) as process:
        count = {}
        try:
            yield count
        finally:
            end.touch()
            answers = process.communicate()[0].split()
            end.unlink()
        count.update(done=answers.count("yes"), failed=answers.count("no"))
