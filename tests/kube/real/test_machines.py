# SPDX-License-Identifier: GPL-3.0-or-later
"""The same with real nodes: machines of the lab on which the real kube-proxy runs. What counts is what it answers there."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from extensions.lab import Lab
from tests.kube.real.cluster import Run
from tests.kube.real.control_plane import ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.kube.real.machines import FOREIGN, Machines
from tests.support import ROOT, ansible, eventually

POD = (Path(__file__).parent / "pod.py").read_text()


@pytest.fixture(scope="module")
def machines():
    with Lab("kube-nodes") as lab:
        lab.up(["node1:group=kube_nodes,mem=512M", "node2:group=kube_nodes,mem=512M"])
        with ControlPlane("198.51.100.1", network=lab.network) as control_plane, Kubelets(control_plane) as kubelets:
            cluster = Machines(lab, control_plane, kubelets)
            for name in lab.machines:
                cluster.prepare(name)
            nodes = {
                name: Node(machine.address, start=lambda name=name: cluster.start(name), stop=lambda name=name: cluster.stop(name))
                for name, machine in lab.machines.items()
            }
            cluster.install(**nodes)
            cluster.call("POST", "/api/v1/namespaces/default/services", service("np", "NodePort"))
            cluster.call("POST", "/api/v1/namespaces/default/endpoints", endpoints("np"))
            yield cluster


def service(name, kind):
    ports = [
        {"name": "tcp", "port": 81, "protocol": "TCP", "nodePort": 30080},
        {"name": "udp", "port": 82, "protocol": "UDP", "nodePort": 30082},
    ]
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"type": kind, "clusterIP": "10.96.0.90", "ports": ports}}


def endpoints(name):
    ports = [{"name": "tcp", "port": 8081, "protocol": "TCP"}, {"name": "udp", "port": 8082, "protocol": "UDP"}]
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": [{"addresses": [{"ip": "198.51.100.77"}], "ports": ports}]}


@pytest.fixture
def move(machines, tmp_path):
    """Run the playbook kube_proxy_mode where the lab's client is, with the machines as kube_nodes."""

    def run(*options: str, mode="ipvs", **variables) -> Run:
        (tmp_path / "inventory.yml").write_text(machines.lab.inventory())
        kubeconfig = str(machines.control_plane.kubeconfig)
        settings = {"kube_proxy_kubeconfig": kubeconfig, "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120, "kube_proxy_mode": mode}
        words = ["-i", tmp_path / "inventory.yml", ROOT / "playbooks/kube_proxy_mode.yml", "-e", json.dumps({**settings, **variables}), *options]
        command = [*machines.lab.network.inside(), ROOT / ".cache/kube-venv/bin/ansible-playbook"]
        done = ansible(None, *words, home=tmp_path, succeeds=None, cwd=tmp_path, command=command, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    yield run
    machines.before_start.clear()
    assert not machines.kubelets.failure, machines.kubelets.failure


def test_kube_proxy_does_what_it_was_told(machines, move):
    eventually(lambda: machines.mode("node1") == "iptables", 60)
    assert "ip_vs_lc" not in machines.ssh("node1", "lsmod")
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
    other = move(kube_proxy_scheduler="wrr")
    assert not other.failed, other.output
    assert machines.schedulers("node1") == machines.schedulers("node2") == {"wrr"}


def test_a_silent_fall_back_is_an_error_that_names_its_cause(machines, move):
    machines.before_start["node2"] = "modprobe --remove ip_vs_sed"
    run = move(kube_proxy_scheduler="sed")
    assert run.failed, run.output
    kernel = machines.ssh("node2", "uname -r").strip()
    assert machines.mode("node2") == "iptables", "what this version does without saying so"
    cause = f"These kernel modules are not loaded: ip_vs_sed. The kernel {kernel} has them."
    assert f"kube-proxy is configured for the mode ipvs and runs in the mode iptables. {cause}" in run.text
    assert re.search(r"node1 : .*failed=0", run.text)
    assert re.search(r"node2 : .*failed=1", run.text)


def test_services_of_others_are_named_then_protected_and_survive(machines, move):
    machines.ssh("node1", "modprobe ip_vs; ipvsadm --restore", stdin=None, input="\n".join(FOREIGN) + "\n")
    before = machines.versions()
    named = move(kube_proxy_scheduler="rr", kube_proxy_sync_period="2s", kube_proxy_min_sync_period="1s")
    assert named.failed, named.output
    assert "node1: tcp 203.0.113.5 port 80." in named.text
    assert machines.versions() == before
    covered = move(kube_proxy_scheduler="rr", kube_proxy_sync_period="2s", kube_proxy_min_sync_period="1s", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert not covered.failed, covered.output
    assert machines.mode("node1") == "ipvs"
    syncs = "curl --silent http://127.0.0.1:10249/metrics | sed -n 's/^kubeproxy_sync_proxy_rules_duration_seconds_count //p'"
    start = int(machines.ssh("node1", syncs))
    eventually(lambda: int(machines.ssh("node1", syncs)) >= start + 3, 60)
    assert set(FOREIGN) <= set(machines.table("node1"))


def test_cleaning_up_takes_everything_of_kube_proxys_and_nothing_else(machines, move):
    machines.ssh("node1", "ipset create OURS hash:ip && iptables -A INPUT -m set --match-set OURS src -j ACCEPT")
    assert "kube-ipvs0" in machines.left("node1")
    run = move(mode="iptables", kube_proxy_cleanup=True)
    assert not run.failed, run.output
    assert machines.mode("node1") == machines.mode("node2") == "iptables"
    assert machines.left("node1") == [*FOREIGN, "OURS", "-A INPUT -m set --match-set OURS src -j ACCEPT"]
    assert machines.left("node2") == []
    again = move(mode="iptables", kube_proxy_cleanup=True)
    assert (again.failed, again.changed) == (False, 0), again.output


def test_cleaning_up_after_one_that_was_killed_in_the_middle_of_a_sync(machines, move):
    run = move(kube_proxy_scheduler="rr", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert not run.failed, run.output
    # As soon as the first service is there, and before the table is whole.
    machines.stop("node2")
    machines.ssh("node2", "ipvsadm --clear; ip link delete kube-ipvs0; iptables --flush --table nat; ipset destroy || true")
    kill = "until ipvsadm -Ln | grep --quiet 10.96; do :; done; systemctl kill --signal=KILL kube-proxy"
    machines.before_start["node2"] = f"systemd-run --quiet --collect sh -c {shlex.quote(kill)}"
    machines.start("node2")
    eventually(lambda: machines.ssh("node2", "systemctl is-active kube-proxy || true").strip() != "active", 60)
    machines.before_start.clear()
    assert machines.left("node2")
    run = move(mode="iptables", kube_proxy_cleanup=True)
    assert not run.failed, run.output
    assert machines.left("node2") == []


def test_services_answer_through_the_table(machines, move):
    """Pods as network namespaces of a node; TCP and UDP from the node to the service's address."""
    run = move(kube_proxy_scheduler="rr", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert not run.failed, run.output
    machines.ssh("node1", f"""
        ip netns add pod && ip link add veth0 type veth peer name eth0 netns pod && ip address add 10.244.0.1/24 dev veth0 && ip link set veth0 up
        ip -n pod address add 10.244.0.2/24 dev eth0 && ip -n pod link set eth0 up && ip -n pod link set lo up && ip -n pod route add default via 10.244.0.1
        sysctl -qw net.ipv4.ip_forward=1
        systemd-run --quiet --unit=pod ip netns exec pod python3 -c {shlex.quote(POD)}""")
    machines.call("PATCH", "/api/v1/namespaces/default/endpoints/np", {"subsets": [{**endpoints("np")["subsets"][0], "addresses": [{"ip": "10.244.0.2"}]}]})
    eventually(lambda: "-a -t 10.96.0.90:81 -r 10.244.0.2:8081 -m -w 1" in machines.table("node1"), 60)
    assert machines.ssh("node1", "curl --silent --max-time 20 http://10.96.0.90:81/") == "tcp"
    udp = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(20); s.sendto(b'x', ('10.96.0.90', 82)); print(s.recv(9))"
    assert machines.ssh("node1", f"python3 -c {shlex.quote(udp)}") == "b'udp'\n"
    node = machines.lab.machine("node1").address
    assert machines.lab.exec(["curl", "--silent", "--max-time", "20", f"http://{node}:30080/"], capture_output=True).stdout == "tcp"


def test_a_node_comes_back_from_a_reboot_with_the_scheduler(machines, move):
    run = move(kube_proxy_scheduler="lc", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert not run.failed, run.output
    machines.lab.restart("node1")
    assert "ip_vs_lc" in machines.ssh("node1", "lsmod")
    machines.start("node1")
    eventually(lambda: machines.mode("node1") == "ipvs" and machines.schedulers("node1") == {"lc"}, 60)
    again = move(kube_proxy_scheduler="lc", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert (again.failed, again.changed) == (False, 0), again.output
