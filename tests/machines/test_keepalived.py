# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived on a director with systemd, under load: servers that fail, lists that change, a keepalived that crashes, the way back."""

from __future__ import annotations

import contextlib
import json
import subprocess
from pathlib import Path

import pytest

from tests.integration.test_documentation import assert_documented
from tests.lab import Lab
from tests.lab.host import cache_dir
from tests.support import ansible, eventually

VIP = "203.0.113.80"
ADDRESS = "203.0.113.203"  # moves by VRRP
FOR_GOOD = Path("/run/systemd/system/keepalived.service.d/zz-test.conf")
ADDRESSES = ["198.51.100.12", "198.51.100.13"]
PREPARE = """
set -eu
apt-get -qq install -y keepalived python3-pyroute2 >/dev/null 2>&1
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


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    with Lab("keepalived-test") as lab:
        lab.down()
        lab.up([f"director:front,{request.param}", "rs1:gw=director", "rs2:gw=director"])
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


@pytest.fixture
def director(lab, tmp_path):
    return Director(lab, tmp_path)


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


def test_keepalived(lab, director, tmp_path):
    director.run("ipvs_table", services=services(*ADDRESSES))
    with load(lab, tmp_path) as count:
        done = director.manage(services=services(*ADDRESSES))
    assert "keepalived does not run" in done["differences"] and (count["failed"], count["done"] > 50) == (0, True)
    assert director.say("systemctl is-active keepalived; systemctl is-enabled keepalived") == "active\nenabled\n"
    assert sorted(director.weights()) == [(address, 1) for address in ADDRESSES]

    # a server that fails, and comes back
    lab.ssh("rs1", "systemctl stop web", check=True)
    eventually(lambda: sorted(director.weights()) == [(ADDRESSES[0], 0), (ADDRESSES[1], 1)])
    with load(lab, tmp_path) as count:
        assert director.manage(services=services(*ADDRESSES))["changed"] is False
    assert count["failed"] == 0
    lab.ssh("rs1", SERVE, check=True)
    eventually(lambda: sorted(director.weights()) == [(address, 1) for address in ADDRESSES])

    # lists that change
    before = director.processes()
    with load(lab, tmp_path) as count:
        director.manage(services=services(*ADDRESSES, upper_threshold=1000))
        director.manage(services=services(ADDRESSES[0]))
        director.manage(services=services(*ADDRESSES))
        # beside VRRP, of which there is none yet
        failover = {"interface": "spare0", "priority": 100, "peers": ["203.0.113.202"], "addresses": [ADDRESS], "preempt_delay": 0}
        director.manage(services=services(*ADDRESSES), failover=failover)
    assert count["failed"] == 0 and director.processes()["parent"] == before["parent"] and director.processes()["checker"] == before["checker"]
    eventually(lambda: ADDRESS in director.say("ip address show dev spare0"))

    # what cannot be taken into use
    failed = director.run("ipvs_keepalived", succeeds=False, services=services(*ADDRESSES), failover={"interface": "eth7", "priority": 100})
    assert "eth7" in failed["msg"]
    assert director.manage(services=services(*ADDRESSES), failover=failover)["changed"] is False

    # all of it is killed, and comes back
    director.say("systemctl kill --signal=KILL keepalived")
    eventually(lambda: director.processes()["parent"] not in (None, before["parent"]))
    eventually(lambda: ADDRESS in director.say("ip address show dev spare0"))
    # ... and for good: its addresses go. (Of a masked unit systemd knows no ExecStopPost.)
    director.say(f"mkdir -p {FOR_GOOD.parent}; printf '[Service]\\nRestart=no\\n' >{FOR_GOOD}; systemctl daemon-reload")
    director.say("systemctl kill --signal=KILL keepalived")
    eventually(lambda: ADDRESS not in director.say("ip address show dev spare0"))
    eventually(lambda: director.say("systemctl is-active keepalived || true") == "failed\n")
    director.say(f"rm {FOR_GOOD}; systemctl daemon-reload; systemctl reset-failed keepalived; systemctl start keepalived")
    eventually(lambda: all(weight for _address, weight in director.weights()))

    # back to the table without checks
    with load(lab, tmp_path) as count:
        director.manage(state="absent")
    assert count["failed"] == 0 and sorted(director.weights()) == [(address, 1) for address in ADDRESSES]
    assert director.say("systemctl is-active keepalived || true; systemctl is-enabled keepalived || true") == "inactive\ndisabled\n"
    assert ADDRESS not in director.say("ip address show dev spare0")
    assert director.say("ls -A /var/lib/ipvs-director/drain /etc/systemd/system/keepalived.service.d").count("conf") == 0
