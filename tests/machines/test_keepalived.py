# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_keepalived on a director with systemd, under load: servers that fail, lists that change, a keepalived that crashes, the way back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.machines.keepalived import ADDRESSES, SERVE, Director, load, machines, services
from tests.support import eventually

ADDRESS = "203.0.113.203"  # moves by VRRP
OVERRIDE = Path("/etc/systemd/system/keepalived.service.d/override.conf")
FOR_GOOD = Path("/run/systemd/system/keepalived.service.d/zz-test.conf")


@pytest.fixture(scope="module", params=["bookworm", "trixie"])
def lab(request):
    with machines("keepalived-test", request.param) as lab:
        yield lab


@pytest.fixture
def director(lab, tmp_path):
    return Director(lab, tmp_path)


def kill(director):
    """All processes at once. Not by systemctl, which may hit what the unit does afterwards as well."""
    director.say("kill -KILL $(cat /sys/fs/cgroup/system.slice/keepalived.service/cgroup.procs)")


def test_keepalived(lab, director, tmp_path):
    own = "/usr/sbin/keepalived --dont-fork --log-facility=3"  # an administrator's
    director.say(f"mkdir -p {OVERRIDE.parent}; printf '[Service]\\nExecStart=\\nExecStart={own}\\nRestart=always\\n' >{OVERRIDE}")
    director.run("ipvs_table", services=services(*ADDRESSES))
    with load(lab, tmp_path) as count:
        done = director.manage(services=services(*ADDRESSES))
    assert "keepalived does not run" in done["differences"] and (count["failed"], count["done"] > 50) == (0, True)
    assert director.say("systemctl is-active keepalived; systemctl is-enabled keepalived") == "active\nenabled\n"
    assert sorted(director.weights()) == [(address, 1) for address in ADDRESSES]
    assert f"{own} --dont-release-ipvs ;" in director.say("systemctl show --property ExecStart keepalived")
    assert director.say("systemctl show --property Restart keepalived") == "Restart=always\n"

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
    kill(director)
    eventually(lambda: director.processes()["parent"] not in (None, before["parent"]))
    eventually(lambda: ADDRESS in director.say("ip address show dev spare0"))
    # ... and for good: its addresses go. (Of a masked unit systemd knows no ExecStopPost.)
    director.say(f"mkdir -p {FOR_GOOD.parent}; printf '[Service]\\nRestart=no\\n' >{FOR_GOOD}; systemctl daemon-reload")
    kill(director)
    eventually(lambda: ADDRESS not in director.say("ip address show dev spare0"))
    eventually(lambda: director.say("systemctl is-active keepalived || true") == "failed\n")
    # ... and nobody gets a connection from a table that nobody checks
    assert sorted(director.weights()) == [(address, 0) for address in ADDRESSES]
    director.say(f"rm {FOR_GOOD}; systemctl daemon-reload; systemctl reset-failed keepalived; systemctl start keepalived")
    eventually(lambda: all(weight for _address, weight in director.weights()))

    # back to the table without checks
    with load(lab, tmp_path) as count:
        director.manage(state="absent")
    assert director.say("systemctl show --property NRestarts keepalived") == "NRestarts=0\n", "an administrator's Restart=always starts it no more"
    assert count["failed"] == 0 and sorted(director.weights()) == [(address, 1) for address in ADDRESSES]
    assert director.say("systemctl is-active keepalived || true; systemctl is-enabled keepalived || true") == "inactive\ndisabled\n"
    assert ADDRESS not in director.say("ip address show dev spare0")
    assert director.say(f"ls -A {OVERRIDE.parent}; ls -A /var/lib/ipvs-director/drain") == OVERRIDE.name + "\n"
