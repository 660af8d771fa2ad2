# SPDX-License-Identifier: GPL-3.0-or-later
"""What is cleaned up on real nodes: all that the real kube-proxy has left there, however it ended, and nothing of anybody else."""

from __future__ import annotations

import json
import shlex

import pytest

from tests.kube.real.machines import EXCLUDED, FOREIGN
from tests.support import ROOT, eventually


def test_cleaning_up_takes_everything_of_kube_proxys_and_nothing_else(machines, move):
    machines.ssh("node1", "ipvsadm --clear; ipvsadm --restore", stdin=None, input="\n".join(FOREIGN) + "\n")
    machines.ssh("node1", "ipset create OURS hash:ip && iptables -A INPUT -m set --match-set OURS src -j ACCEPT")
    before = move(kube_proxy_scheduler="lblcr", **EXCLUDED)
    assert not before.failed, before.output
    assert machines.schedulers("node1") == {"lblcr"}
    left = machines.left("node1")
    assert "kube-ipvs0" in left and "KUBE-CLUSTER-IP" in left and "KUBE-6-CLUSTER-IP" in left
    run = move(mode="iptables", kube_proxy_cleanup=True)
    assert not run.failed, run.output
    assert machines.mode("node1") == machines.mode("node2") == "iptables"
    assert machines.left("node1") == [*FOREIGN, "OURS", "-A INPUT -m set --match-set OURS src -j ACCEPT"]
    assert machines.left("node2") == []
    again = move(mode="iptables", kube_proxy_cleanup=True)
    assert (again.failed, again.changed) == (False, 0), again.output


IPV4_ONLY = {"clusterCIDR": "10.244.0.0/16", "featureGates": {"IPv6DualStack": False}}
NO_IPV6 = "sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1"


def fill(machines, name, until, **settings):
    """Have kube-proxy fill a node by itself, in the mode ipvs, and kill it as soon as that shell command succeeds."""
    machines.stop(name)
    kill = f"until {until}; do :; done; systemctl kill --signal=KILL kube-proxy"
    machines.before_start[name] = f"systemd-run --quiet --collect --unit=killer sh -c {shlex.quote(kill)}"
    ipvs = {"scheduler": "rr", "strictARP": False, "excludeCIDRs": [], "syncPeriod": "30s", "minSyncPeriod": "0s"}
    machines.start(name, json.dumps({**machines.configuration(), "mode": "ipvs", "ipvs": ipvs, **settings}))
    machines.before_start.clear()
    eventually(lambda: machines.ssh(name, "systemctl is-active kube-proxy killer || true").split() == ["inactive", "inactive"])


SYNCED = "curl --silent http://127.0.0.1:10249/metrics | grep --quiet '^kubeproxy_sync_proxy_rules_duration_seconds_count [1-9]'"


def clean(play, **variables):
    """The entry point cleanup by itself, on node2, whose kube-proxy does not run."""
    settings = {"node": "node2", "kube_proxy_mode": "iptables", "kube_proxy_cleanup_unanswered": True, "kube_proxy_poll_interval": 1}
    return play(ROOT / "tests/kube/cleanup.yml", **{**settings, **variables})


@pytest.mark.parametrize(
    ("moment", "settings"),
    [
        ("ipvsadm -Ln | grep --quiet 10.96", {}),
        ("ipvsadm -Ln | grep --quiet :30080", {}),
        ("iptables-save | grep --quiet -- --match-set.KUBE", IPV4_ONLY),
        (SYNCED, IPV4_ONLY),
        (SYNCED, {}),
    ],
    ids=["services", "node ports", "rules", "IPv4 alone", "dual stack"],
)
def test_cleaning_up_after_one_that_was_killed(machines, play, moment, settings):
    """In the middle of its first sync, or after it; dual stack, and on a node that has IPv4 alone."""
    if settings:
        machines.ssh("node2", NO_IPV6)
    try:
        fill(machines, "node2", moment, **settings)
        assert machines.left("node2")
        assert moment != SYNCED or machines.schedulers("node2") == {"rr"}
        run = clean(play)
        assert not run.failed, run.output
        assert machines.left("node2") == []
        again = clean(play)
        assert (again.failed, again.changed) == (False, 0), again.output
    finally:
        machines.ssh("node2", NO_IPV6.replace("=1", "=0"))


@pytest.mark.parametrize(
    ("commands", "cause"),
    [
        (["/usr/sbin/ipset"], "The sets on node2 cannot be read with ipset save. Nothing was cleaned up."),
        (["/usr/sbin/iptables-save", "/usr/sbin/ip6tables-save"], "On node2, kube-proxy's sets "),
    ],
    ids=["ipset", "iptables"],
)
def test_cleaning_up_on_a_node_that_lacks_the_commands(machines, play, commands, cause):
    """What they would have shown is not passed over: the error comes before anything is touched."""
    fill(machines, "node2", SYNCED)
    before = machines.left("node2")
    machines.ssh("node2", "; ".join(f"mv {each} {each}.away" for each in commands))
    try:
        refused = clean(play)
    finally:
        machines.ssh("node2", "; ".join(f"mv {each}.away {each}" for each in commands))
    assert refused.failed, refused.output
    assert cause in refused.text
    assert machines.left("node2") == before
    run = clean(play)
    assert not run.failed, run.output
    assert machines.left("node2") == []


def test_cleaning_up_where_there_is_nothing_needs_no_commands(machines, play):
    machines.reboot("node2")
    commands = "/usr/sbin/ipset /usr/sbin/iptables-save /usr/sbin/ip6tables-save"
    machines.ssh("node2", f"for each in {commands}; do mv $each $each.away; done")
    try:
        run = clean(play)
    finally:
        machines.ssh("node2", f"for each in {commands}; do mv $each.away $each; done")
    assert (run.failed, run.changed) == (False, 0), run.output
