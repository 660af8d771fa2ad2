# SPDX-License-Identifier: GPL-3.0-or-later
"""The same with real nodes: machines of the lab on which the real kube-proxy runs. What counts is what it answers there."""

from __future__ import annotations

import json
import re
import shlex

import pytest

from tests.kube.real.conftest import Cluster, Run
from tests.kube.real.control_plane import SYSTEM, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.lab import Lab
from tests.support import ROOT, ansible, eventually

PACKAGES = "conntrack ipset iptables ipvsadm python3-pyroute2 curl"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
OF_OTHERS = "-A -t 203.0.113.5:80 -s wlc"
FOREIGN = ["-A -f 9 -s rr", OF_OTHERS, "-a -t 203.0.113.5:80 -r 198.51.100.77:80 -m -w 3"]


class Machines(Cluster):
    """A cluster whose nodes are machines: a pod of kube-proxy is a process there, with what a kubelet would mount."""

    def __init__(self, lab, control_plane, kubelets):
        super().__init__(control_plane, kubelets)
        self.lab = lab
        self.before_start: dict[str, str] = {}
        """Shell commands that a node runs just before kube-proxy starts there."""

    def ssh(self, name: str, command: str, **options) -> str:
        done = self.lab.ssh(name, command, capture_output=True, **options)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout

    def write(self, name: str, path: str, text: str) -> None:
        self.ssh(name, f"cat > {path}", stdin=None, input=text)

    def prepare(self, name: str) -> None:
        """The packages and the program that kube-proxy's image would have."""
        self.ssh(name, f"apt-get install --quiet --yes {PACKAGES} >/dev/null && for each in iptables ip6tables; do"
                       f" update-alternatives --quiet --set $each /usr/sbin/$each-legacy; done; mkdir -p /var/lib/kube-proxy {ACCOUNT}")  # fmt: skip
        program = (self.control_plane.programs / "kube-proxy").read_bytes()
        self.ssh(name, "cat > /usr/local/bin/kube-proxy && chmod +x /usr/local/bin/kube-proxy", stdin=None, input=program, text=False)

    def start(self, name: str) -> None:
        """Start kube-proxy on a node with the genuine objects: its ConfigMap's files, and the token of its account."""
        import base64

        for path, text in self.get(f"{SYSTEM}/configmaps/kube-proxy")["data"].items():
            self.write(name, f"/var/lib/kube-proxy/{path}", text)
        secret = self.get(f"{SYSTEM}/serviceaccounts/kube-proxy")["secrets"][0]["name"]
        for path, data in self.get(f"{SYSTEM}/secrets/{secret}")["data"].items():
            self.write(name, f"{ACCOUNT}/{path}", base64.b64decode(data).decode())
        command = f"/usr/local/bin/kube-proxy --config=/var/lib/kube-proxy/config.conf --hostname-override={name} -v=2"
        self.ssh(name, f"{self.before_start.get(name, 'true')}; systemd-run --quiet --collect --unit=kube-proxy {command}")

    def stop(self, name: str) -> None:
        self.ssh(name, "systemctl stop kube-proxy 2>/dev/null || true")

    def mode(self, name: str) -> str:
        return self.ssh(name, "curl --silent http://127.0.0.1:10249/proxyMode || true")

    def table(self, name: str) -> list[str]:
        return self.ssh(name, "ipvsadm --save --numeric 2>/dev/null || true").splitlines()

    def log(self, name: str) -> str:
        return self.ssh(name, "journalctl --quiet --unit=kube-proxy --output=cat --no-pager || true")

    def schedulers(self, name: str) -> set[str]:
        """Of kube-proxy's services."""
        return {re.search(r"-s (\w+)", line)[1] for line in self.table(name) if line.startswith("-A") and line not in FOREIGN}

    def left(self, name: str) -> list[str]:
        """What of kube-proxy's IPVS mode, and of others, is on a node."""
        show = (
            "ipvsadm --save --numeric | sort; ipset list -name 2>/dev/null | sort; (iptables-save; ip6tables-save) 2>/dev/null | grep -- '--match-set'; "
            "test ! -e /sys/class/net/kube-ipvs0 || echo kube-ipvs0"
        )
        return self.ssh(name, f"({show}) || true").splitlines()


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
        settings = {"kube_proxy_kubeconfig": str(machines.control_plane.kubeconfig), "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120, "kube_proxy_mode": mode}
        words = ["-i", tmp_path / "inventory.yml", ROOT / "playbooks/kube_proxy_mode.yml", "-e", json.dumps({**settings, **variables}), *options]
        command = [*machines.lab.network.inside(), ROOT / ".cache/kube-venv/bin/ansible-playbook"]
        done = ansible(None, *words, home=tmp_path, succeeds=None, cwd=tmp_path, command=command, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    yield run
    machines.before_start.clear()
    assert not machines.kubelets.failure, machines.kubelets.failure


def test_kube_proxy_does_what_it_was_told(machines, move):
    assert machines.mode("node1") == "iptables"
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
    assert f"kube-proxy was told the mode ipvs and answers iptables. These kernel modules are not loaded: ip_vs_sed. The kernel {kernel} has them." in run.text
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
    # As soon as the interface is there, and before the table is whole.
    machines.before_start["node2"] = ("systemctl stop kube-proxy; ipvsadm --clear; ip link delete kube-ipvs0; ipset list -name | xargs -n 1 ipset destroy; (until "
                                      "ipvsadm -Ln | grep --quiet rr; do :; done; systemctl kill --signal=KILL kube-proxy) >/dev/null 2>&1 </dev/null & ")  # fmt: skip
    machines.stop("node2")
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
    server = "import http.server, socket, threading; u = socket.socket(type=socket.SOCK_DGRAM); u.bind(('', 8082))\ndef f():\n    while True:\n        d, a = u.recvfrom(99); u.sendto(b'udp', a)\nthreading.Thread(target=f, daemon=True).start()\nhttp.server.test(http.server.SimpleHTTPRequestHandler, port=8081, bind='0.0.0.0')"
    machines.ssh("node1", f"""
        ip netns add pod && ip link add veth0 type veth peer name eth0 netns pod && ip address add 10.244.0.1/24 dev veth0 && ip link set veth0 up
        ip -n pod address add 10.244.0.2/24 dev eth0 && ip -n pod link set eth0 up && ip -n pod link set lo up && ip -n pod route add default via 10.244.0.1
        sysctl -qw net.ipv4.ip_forward=1
        systemd-run --quiet --unit=pod ip netns exec pod python3 -c {shlex.quote(server)}""")
    machines.call("PATCH", "/api/v1/namespaces/default/endpoints/np", {"subsets": [{**endpoints("np")["subsets"][0], "addresses": [{"ip": "10.244.0.2"}]}]})
    eventually(lambda: "-a -t 10.96.0.90:81 -r 10.244.0.2:8081 -m -w 1" in machines.table("node1"), 60)
    assert "<title>Directory listing" in machines.ssh("node1", "curl --silent --max-time 20 http://10.96.0.90:81/")
    udp = "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.settimeout(20); s.sendto(b'x', ('10.96.0.90', 82)); print(s.recv(9))"
    assert machines.ssh("node1", f"python3 -c {shlex.quote(udp)}") == "b'udp'\n"
    node = machines.lab.machine("node1").address
    assert machines.lab.exec(["curl", "--silent", "--max-time", "20", f"http://{node}:30080/"], capture_output=True).stdout


def test_a_node_comes_back_from_a_reboot_with_the_scheduler(machines, move):
    run = move(kube_proxy_scheduler="lc", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert not run.failed, run.output
    machines.lab.restart("node1")
    assert "ip_vs_lc" in machines.ssh("node1", "lsmod")
    machines.start("node1")
    eventually(lambda: machines.mode("node1") == "ipvs" and machines.schedulers("node1") == {"lc"}, 60)
    again = move(kube_proxy_scheduler="lc", kube_proxy_exclude_cidrs=["203.0.113.0/24"])
    assert (again.failed, again.changed) == (False, 0), again.output
