# SPDX-License-Identifier: GPL-3.0-or-later
"""The same with real nodes: machines of the lab on which the real kube-proxy runs. What counts is what it answers there.

The cluster has IPv4 and IPv6. node1 is booted from an image that the playbook kube_node_image made ready, node2 knows nothing of it.
Each of kube-proxy's ten schedulers is used by one of the tests.
"""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_config import kube_proxy_config as edit
from extensions.lab import Lab
from extensions.lab.network import BACK, addresses
from tests.kube.real.cluster import Run
from tests.kube.real.control_plane import DUAL, IPV6, ControlPlane
from tests.kube.real.kubelets import Kubelets, Node
from tests.kube.real.machines import ANSIBLE_PLAYBOOK, FOREIGN, Machines, bake
from tests.kube.real.test_configurations import of_this_version
from tests.support import ROOT, ansible, eventually
from tests.unit.kube_proxy_shapes import SHAPES
from tests.unit.kube_proxy_texts import EKS, K3S, KUBEADM

POD = (Path(__file__).parent / "pod.py").read_text()
EXCLUDED = {"kube_proxy_exclude_cidrs": ["203.0.113.0/24"]}
ADDRESSES = {"4": "10.96.0.90", "6": "[2001:db8:96::90]"}
"""Of the service np, as they stand in a URL."""
ASK_UDP = """
import socket, sys
for _number in range(int(sys.argv[3])):
    asked = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    asked.settimeout(20)
    asked.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
    print(asked.recv(99).decode())
"""


@pytest.fixture(scope="module")
def machines(tmp_path_factory):
    disk = bake(tmp_path_factory.mktemp("image"))
    with Lab("kube-nodes") as lab:
        lab.up([f"node1:group=kube_nodes,mem=512M,front,disk={disk}", "node2:group=kube_nodes,mem=512M"])
        with ControlPlane("198.51.100.1", DUAL, network=lab.network) as control_plane, Kubelets(control_plane) as kubelets:
            cluster = Machines(lab, control_plane, kubelets)
            cluster.prepare("node2")
            nodes = {
                name: Node(machine.address, start=lambda name=name: cluster.start(name), stop=lambda name=name: cluster.stop(name))
                for name, machine in lab.machines.items()
            }
            cluster.install(**nodes)
            cluster.call("POST", "/api/v1/namespaces/default/services", service("np", "NodePort"))
            cluster.call("POST", "/api/v1/namespaces/default/endpoints", endpoints("np"))
            cluster.call("POST", "/api/v1/namespaces/default/services", SIX)
            yield cluster


def service(name, kind):
    ports = [
        {"name": "tcp", "port": 81, "protocol": "TCP", "nodePort": 30080},
        {"name": "udp", "port": 82, "protocol": "UDP", "nodePort": 30082},
    ]
    spec = {"type": kind, "ipFamilyPolicy": "RequireDualStack", "clusterIPs": [each.strip("[]") for each in ADDRESSES.values()], "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {**spec, "clusterIP": spec["clusterIPs"][0]}}


SIX = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "six"},
    "spec": {"ipFamilies": ["IPv6"], "clusterIP": "2001:db8:96::66", "ports": [{"port": 81, "protocol": "TCP"}]},
}
"""The one service that a kube-proxy of IPv6 alone finds here."""


def pods(number):
    """The addresses of the pod on the node with this number."""
    return [f"10.244.{number}.2", f"2001:db8:244:{number}::2"]


def endpoints(name):
    """Of a service without a selector: the pods that connect() makes. kube-proxy masquerades a pod that asks itself where it knows its node."""
    ports = [{"name": "tcp", "port": 8081, "protocol": "TCP"}, {"name": "udp", "port": 8082, "protocol": "UDP"}]
    subsets = [{"addresses": [{"ip": address, "nodeName": f"node{number}"} for number in (1, 2) for address in pods(number)], "ports": ports}]
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": subsets}


def connect(machines):
    """A pod in a network namespace of each node, and the routes between them that a network plugin would set."""
    for number, other in ((1, 2), (2, 1)):
        node, peer = f"node{number}", machines.lab.machine(f"node{other}")
        machines.ssh(node, f"""
            set -e
            test ! -e /run/netns/pod || exit 0
            ip netns add pod && ip link add veth0 type veth peer name eth0 netns pod && ip link set veth0 up
            ip address add 10.244.{number}.1/24 dev veth0 && ip address add 2001:db8:244:{number}::1/64 dev veth0 nodad
            ip -n pod link set lo up && ip -n pod link set eth0 up
            ip -n pod address add 10.244.{number}.2/24 dev eth0 && ip -n pod address add 2001:db8:244:{number}::2/64 dev eth0 nodad
            ip -n pod route add default via 10.244.{number}.1 && ip -n pod route add default via 2001:db8:244:{number}::1
            ip route add 10.244.{other}.0/24 via {peer.addresses[0]} && ip route add 2001:db8:244:{other}::/64 via {peer.addresses[1]}
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
            systemd-run --quiet --unit=pod ip netns exec pod python3 -c {shlex.quote(POD)} pod{number}
            timeout 120 sh -c 'until curl --silent --output /dev/null http://10.244.{number}.2:8081/; do :; done'""")


@pytest.fixture
def play(machines, tmp_path):
    """Run a playbook where the lab's client is, with the machines as kube_nodes."""

    def run(playbook: Path, *options: str, **variables) -> Run:
        (tmp_path / "inventory.yml").write_text(machines.lab.inventory())
        words = ["-i", tmp_path / "inventory.yml", playbook, "-e", json.dumps(variables), *options]
        command = [*machines.lab.network.inside(), ANSIBLE_PLAYBOOK]
        done = ansible(None, *words, home=tmp_path, succeeds=None, cwd=tmp_path, command=command, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    return run


@pytest.fixture
def move(machines, play):
    """Run the playbook kube_proxy_mode."""

    def run(*options: str, mode="ipvs", **variables) -> Run:
        kubeconfig = str(machines.control_plane.kubeconfig)
        settings = {"kube_proxy_kubeconfig": kubeconfig, "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120, "kube_proxy_mode": mode}
        return play(ROOT / "playbooks/kube_proxy_mode.yml", *options, **settings, **variables)

    yield run
    machines.before_start.clear()
    assert not machines.kubelets.failure, machines.kubelets.failure


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


def asked(machines, name, address, number=4):
    """The pods that answer by TCP and by UDP to a node that asks a service at its address, that many times each."""
    tcp = f"for each in $(seq {number}); do curl --silent --max-time 20 --globoff http://{address}:81/; echo; done"
    udp = f"python3 -c {shlex.quote(ASK_UDP)} {address.strip('[]')} 82 {number}"
    return sorted(machines.ssh(name, tcp).split()), sorted(machines.ssh(name, udp).split())


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
    return play(Path(__file__).parent / "director.yml", director_vip_interface="eth1", **variables)


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


def test_a_cluster_over_ipv6(machines, play):
    """Another control plane, for the same machines: it and its services have IPv6 alone."""
    connect(machines)
    machines.ssh("node1", "ipvsadm --clear")
    address, pod = ADDRESSES["6"].strip("[]"), pods(2)[1]
    for name in machines.lab.machines:
        machines.stop(name)
    with ControlPlane(addresses(BACK, 1)[1], IPV6, machines.lab.network) as control_plane, Kubelets(control_plane) as kubelets:
        cluster = Machines(machines.lab, control_plane, kubelets)
        cluster.install(**{
            name: Node(machine.addresses[1], start=lambda name=name: cluster.start(name), stop=lambda name=name: cluster.stop(name))
            for name, machine in machines.lab.machines.items()
        })  # fmt: skip
        one, ends = service("np", "NodePort"), endpoints("np")
        one["spec"] |= {"clusterIP": address, "clusterIPs": [address], "ipFamilyPolicy": "SingleStack"}
        ends["subsets"][0]["addresses"] = [{"ip": pod, "nodeName": "node2"}]
        cluster.call("POST", "/api/v1/namespaces/default/services", one)
        cluster.call("POST", "/api/v1/namespaces/default/endpoints", ends)
        settings = {"kube_proxy_kubeconfig": str(control_plane.kubeconfig), "kube_proxy_poll_interval": 2, "kube_proxy_timeout": 120}
        run = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="ipvs", kube_proxy_scheduler="dh", **settings)
        assert not run.failed, run.output
        for name in machines.lab.machines:
            assert cluster.mode(name, "[::1]:10249") == "ipvs"
            assert cluster.schedulers(name) == {"dh"}
            assert not [line for line in cluster.table(name) if "10.96." in line]
        eventually(lambda: f"-a -t [{address}]:81 -r [{pod}]:8081 -m -w 1" in cluster.table("node1"), 60)
        assert asked(cluster, "node1", f"[{address}]", 2) == (["pod2", "pod2"], ["pod2", "pod2"])
        again = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="ipvs", kube_proxy_scheduler="dh", **settings)
        assert (again.failed, again.changed) == (False, 0), again.output
        away = play(ROOT / "playbooks/kube_proxy_mode.yml", kube_proxy_mode="iptables", kube_proxy_cleanup=True, **settings)
        assert not away.failed, away.output
        assert machines.left("node2") == []
        assert not [line for line in machines.left("node1") if line not in FOREIGN and "OURS" not in line]
        for name in machines.lab.machines:
            machines.stop(name)
        assert not kubelets.failure, kubelets.failure


@pytest.mark.parametrize("text", [EKS, KUBEADM, K3S, *SHAPES.values()], ids=["EKS", "kubeadm", "k3s", *SHAPES])
def test_kube_proxy_starts_with_a_tools_shape(machines, text):
    """As the filter edits it; without the keys that Kubernetes has got since. It answers its mode, and writes a table with the scheduler."""
    text = of_this_version(edit(text, mode="ipvs", scheduler="lc"))
    shape = yaml.safe_load(text)
    machine = machines.lab.machine("node2")
    metrics = (shape.get("metricsBindAddress") or "127.0.0.1:10249").replace("0.0.0.0", "127.0.0.1").replace("[::]", "[::1]")
    family = ":" in shape.get("bindAddress", "")
    # kube-proxy takes the family of the node's address if it is to listen on all.
    path, address = "/api/v1/nodes/node2/status", {"type": "InternalIP", "address": machine.addresses[family]}
    machines.stop("node2")
    machines.before_start["node2"] = "modprobe -a ip_vs_lc && ipvsadm --clear"
    try:
        machines.call("PATCH", path, {"status": {"addresses": [address, {"type": "Hostname", "address": "node2"}]}})
        machines.start("node2", text)
        eventually(lambda: machines.mode("node2", metrics) == "ipvs", 60)
        eventually(lambda: machines.schedulers("node2") == {"lc"}, 60)
        assert machines.ssh("node2", "systemctl is-active kube-proxy").strip() == "active"
    finally:
        machines.before_start.clear()
        machines.stop("node2")
