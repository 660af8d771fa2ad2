# SPDX-License-Identifier: GPL-3.0-or-later
"""The role kube_proxy with real nodes. What counts is what the real kube-proxy answers there.

Each of kube-proxy's ten schedulers is used by one of the tests of this folder.
"""

from __future__ import annotations

import re

import pytest

from tests.kube.real.machines import EXCLUDED, FOREIGN
from tests.kube.real.services import ADDRESSES, ASK_UDP, asked, connect
from tests.support import ROOT, eventually


def test_a_baked_image_has_the_modules_from_its_first_second(machines, play):
    loaded = set(re.findall(r"^ip_vs_(\w+)", machines.ssh("node1", "lsmod"), re.MULTILINE))
    assert loaded >= {"rr", "wrr", "lc", "wlc", "lblc", "lblcr", "sh", "dh", "sed", "nq"}
    again = play(ROOT / "playbooks/kube_node_image.yml", kube_node_hosts="node1", kube_node_image_build=False)
    assert (again.failed, again.changed) == (False, 0), again.output
    # apt and the rest of the system are as they were.
    assert machines.ssh("node1", "systemctl --failed --no-legend") == ""


def test_kube_proxy_does_what_it_was_told(machines, move):
    eventually(lambda: machines.mode("node1") == machines.mode("node2") == "iptables", 60)
    assert "ip_vs_lc" not in machines.ssh("node2", "lsmod")
    run = move(kube_proxy_scheduler="lc")
    assert not run.failed, run.output
    for name in ("node1", "node2"):
        assert machines.mode(name) == "ipvs"
        assert machines.schedulers(name) == {"lc"}
        assert "ip_vs_lc" in machines.ssh(name, "cat /etc/modules-load.d/ipvs.conf")
    again = move(kube_proxy_scheduler="lc")
    assert (again.failed, again.changed) == (False, 0), again.output
    kept = move()
    assert (kept.failed, kept.changed) == (False, 0), "the scheduler of the configuration counts where none is given"


HIDE = "modprobe --remove ip_vs_sh; mv $(modinfo --filename ip_vs_sh) /root/; depmod"


@pytest.mark.parametrize(
    ("scheduler", "before", "cause"),
    [
        ("sed", "modprobe --remove ip_vs_sed", "These kernel modules are not loaded: ip_vs_sed. The kernel {kernel} has them."),
        ("sh", HIDE, "The kernel {kernel} does not have ip_vs_sh."),
    ],
    ids=["not loaded", "not there"],
)
def test_a_silent_fall_back_is_an_error_that_names_its_cause(machines, move, scheduler, before, cause):
    machines.before_start["node2"] = before
    place = machines.ssh("node2", "dirname $(modinfo --filename ip_vs_sh)").strip()
    try:
        run = move(kube_proxy_scheduler=scheduler)
    finally:
        machines.ssh("node2", f"test ! -e /root/ip_vs_sh.* || {{ mv /root/ip_vs_sh.* {place}/ && depmod; }}")
    assert run.failed, run.output
    kernel = machines.ssh("node2", "uname -r").strip()
    assert machines.mode("node2") == "iptables", "what this version does without saying so"
    assert f"kube-proxy is configured for the mode ipvs and runs in the mode iptables. {cause.format(kernel=kernel)}" in run.text
    assert re.search(r"node1 : .*failed=0", run.text)
    assert re.search(r"node2 : .*failed=1", run.text)
    assert machines.schedulers("node1") == {scheduler}


def test_services_answer_through_the_table(machines, move):
    """TCP and UDP from a node, from a pod and from outside, over IPv4 and IPv6, to pods on both nodes, in turns."""
    connect(machines)
    run = move(kube_proxy_scheduler="wrr")
    assert not run.failed, run.output
    servers = {f"-a -t {address}:81 -r {pod}:8081 -m -w 1" for address, pod in (("10.96.0.90", "10.244.1.2"), ("[2001:db8:96::90]", "[2001:db8:244:2::2]"))}
    eventually(lambda: servers <= set(machines.table("node1")), 60)
    both = ["pod1", "pod1", "pod2", "pod2"]
    for address in ADDRESSES.values():
        assert asked(machines, "node1", address) == (both, both), address
    inside = "for each in 1 2 3 4; do ip netns exec pod curl --silent --max-time 20 http://10.96.0.90:81/; echo; done"
    assert sorted(machines.ssh("node2", inside).split()) == both
    for address in machines.lab.machine("node1").addresses:
        name = f"[{address}]" if ":" in address else address
        tcp = [machines.lab.exec(["curl", "--silent", "--max-time", "20", "--globoff", f"http://{name}:30080/"], capture_output=True).stdout for _each in both]
        assert sorted(tcp) == both, address
        udp = machines.lab.exec(["python3", "-c", ASK_UDP, address, "30082", "4"], capture_output=True).stdout
        assert sorted(udp.split()) == both, address


def test_services_of_others_are_named_then_protected_and_survive(machines, move):
    # A kube-proxy that runs would delete them before they are seen.
    machines.stop("node1")
    machines.ssh("node1", "modprobe ip_vs; ipvsadm --restore", stdin=None, input="\n".join(FOREIGN) + "\n")
    before = machines.versions()
    settings = {"kube_proxy_scheduler": "wlc", "kube_proxy_sync_period": "2s", "kube_proxy_min_sync_period": "1s"}
    named = move(**settings)
    assert named.failed, named.output
    assert "node1: tcp 203.0.113.5 port 80." in named.text
    assert machines.versions() == before
    covered = move(**settings, **EXCLUDED)
    assert not covered.failed, covered.output
    assert machines.mode("node1") == "ipvs"
    assert machines.schedulers("node1") == {"wlc"}
    logged = machines.log("node1")
    syncs(machines, "node1", 3)
    assert set(FOREIGN) <= set(machines.table("node1"))
    assert "Failed to delete service 0.0.0.0:0" in machines.log("node1").removeprefix(logged), "what docs/kube_proxy.md says of firewall marks"


def syncs(machines, name, number):
    """Wait until kube-proxy on the node has compared the table that many times more."""
    count = "curl --silent http://127.0.0.1:10249/metrics | sed -n 's/^kubeproxy_sync_proxy_rules_duration_seconds_count //p'"
    start = int(machines.ssh(name, count))
    eventually(lambda: int(machines.ssh(name, count)) >= start + number)


def director(play, **variables):
    return play(ROOT / "tests/kube/real/director.yml", director_vip_interface="eth1", **variables)


def test_a_director_beside_kube_proxy(machines, move, play):
    """What docs/kube_proxy.md says of the two on one node: exclude_cidrs first, no prune without a scope, both come back from a reboot."""
    connect(machines)
    run = move(kube_proxy_scheduler="lblc", kube_proxy_sync_period="2s", kube_proxy_min_sync_period="1s", **EXCLUDED)
    assert not run.failed, run.output
    set_up = director(play)
    assert not set_up.failed, set_up.output
    ours = {"-A -t 203.0.113.80:80 -s rr", "-a -t 203.0.113.80:80 -r 10.244.1.2:8081 -m -w 1"}
    theirs = {line for line in machines.table("node1") if "10.96.0." in line or "2001:db8:96:" in line}
    assert ours <= set(machines.table("node1"))
    assert theirs
    refused = director(play, director_prune=True)
    assert refused.failed
    assert "kube-proxy (interface kube-ipvs0)" in refused.text
    machines.ssh("node1", "ipvsadm --add-service --tcp-service 203.0.113.81:80")
    scoped = director(play, director_prune=True, director_prune_scope={"addresses": ["203.0.113.80/31"]})
    assert not scoped.failed, scoped.output

    def both_are_there():
        table = set(machines.table("node1"))
        assert "-A -t 203.0.113.81:80 -s wlc" not in table
        return ours | theirs <= table

    assert both_are_there()
    syncs(machines, "node1", 3)
    assert both_are_there()
    # A limit that docs/kube_proxy.md names: node ports are open on the director's addresses, too.
    assert "-A -t 203.0.113.80:30080 -s lblc" in machines.table("node1")
    assert machines.lab.exec(["curl", "--silent", "--max-time", "20", "http://203.0.113.80:30080/"], capture_output=True).stdout in ("pod1", "pod2")
    again = director(play)
    assert (again.failed, again.changed) == (False, 0), again.output
    assert machines.lab.exec(["curl", "--silent", "--max-time", "20", "http://203.0.113.80/"], capture_output=True).stdout == "pod1"


def test_a_node_comes_back_from_a_reboot(machines, move, play):
    """With the modules, the scheduler, the director's table, and nothing to change for any of the playbooks."""
    run = move(kube_proxy_scheduler="nq", **EXCLUDED)
    assert not run.failed, run.output
    machines.reboot("node1")
    assert "ip_vs_nq" in machines.ssh("node1", "lsmod")
    assert "-A -t 203.0.113.80:80 -s rr" in machines.table("node1"), "the director's, before kube-proxy starts"
    connect(machines)
    machines.start("node1")
    eventually(lambda: machines.mode("node1") == "ipvs" and machines.schedulers("node1") - {"rr"} == {"nq"}, 60)
    again = move(kube_proxy_scheduler="nq", **EXCLUDED)
    assert (again.failed, again.changed) == (False, 0), again.output
    for playbook, variables in (("kube_node_image", {"kube_node_hosts": "node1", "kube_node_image_build": False}), ("director", {})):
        same = director(play) if playbook == "director" else play(ROOT / f"playbooks/{playbook}.yml", **variables)
        assert (same.failed, same.changed) == (False, 0), same.output
    assert asked(machines, "node1", "10.96.0.90", 2)[0] != [], "services answer again"
    assert machines.lab.exec(["curl", "--silent", "--max-time", "20", "http://203.0.113.80/"], capture_output=True).stdout == "pod1"
    gone = director(play, director_state="absent")
    assert not gone.failed, gone.output
