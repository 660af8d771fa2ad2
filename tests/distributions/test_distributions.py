# SPDX-License-Identifier: GPL-3.0-or-later
"""All four roles on machines that look like Amazon Linux 2023, Red Hat Enterprise Linux 9 and Ubuntu 24.04: applied, unchanged, rebooted.

Real are the programs that the roles meet: dnf and rpm, apt and dpkg, systemd with systemd-networkd, NetworkManager, firewalld, netplan, ipvsadm and a
Linux with IPVS and modules, each in the version of Debian 12 (Ubuntu: Debian 13); Ansible and all of this collection.

Stand-ins are
- the distribution: a Debian with its os-release and release files. Its C library, Python, paths of libraries and default settings are Debian's, and
  there is no SELinux. On what looks like Red Hat's, apt and dpkg are gone.
- the packages: built here of Debian's programs, with the names and files of the public lists. ipvsadm.service runs what theirs runs.
- the kernel: user-mode Linux, whose release has no distribution's suffix. Amazon's is 6.12, in a package name as those of its 6.12. Which package
  of Amazon's has IPVS is not verified: here it is kernel6.12-modules-extra, on Ubuntu linux-modules-extra; on Red Hat's the kernel has it.
- cloud-init: the network manager's files come from the lab, with fixed addresses in place of DHCP.
- the cluster: an API server of tests/kube, and on the node a script with kube-proxy's interface, one virtual service, and its port.
"""

from __future__ import annotations

import json
import re

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.distributions.disks import DISTRIBUTIONS, disk
from tests.kube.api_server import TOKEN, ApiServer
from tests.kube.texts import KUBEADM
from tests.support import ROOT, ansible, eventually

FRONT, BACK = "203.0.113.80", "198.51.100.80"
WEB = "198.51.100.12"
METHODS = {
    # name: how the service on BACK is forwarded. firewalld drops what connection tracking calls invalid: dr beside it needs director_notrack, nat the setting.
    "amazon2023": "dr",
    "rhel9": "nat",
    "ubuntu2404": "dr",
}
SETTINGS = {"amazon2023": {}, "rhel9": {"net.ipv4.vs.conntrack": 1}, "ubuntu2404": {}}
FACTS = {
    # name: what ansible.builtin.setup says of a real one
    "amazon2023": {"distribution": "Amazon", "distribution_major_version": "2023", "os_family": "RedHat", "pkg_mgr": "dnf"},
    "rhel9": {"distribution": "RedHat", "distribution_major_version": "9", "os_family": "RedHat", "pkg_mgr": "dnf"},
    "ubuntu2404": {"distribution": "Ubuntu", "distribution_major_version": "24", "os_family": "Debian", "pkg_mgr": "apt"},
}
# The unit that manages the network, and those beside it that have to be there.
RUNNING = {"amazon2023": ["systemd-networkd"], "rhel9": ["NetworkManager", "firewalld"], "ubuntu2404": ["systemd-networkd"]}
NOT_RUNNING = {"amazon2023": ["NetworkManager", "firewalld"], "rhel9": ["systemd-networkd"], "ubuntu2404": ["NetworkManager", "firewalld"]}
KEPT_BY = {
    # what has a director's address kept, in the manager's own terms
    "amazon2023": "/etc/systemd/network/70-eth0.network.d/*ipvs*.conf",
    "rhel9": "/etc/NetworkManager/dispatcher.d/50-ipvs*",
    "ubuntu2404": "/etc/systemd/network/10-netplan-eth0.network.d/*ipvs*.conf",
}
SAVED = {"amazon2023": "/etc/sysconfig/ipvsadm", "rhel9": "/etc/sysconfig/ipvsadm", "ubuntu2404": "/etc/ipvsadm.rules"}


@pytest.fixture(params=DISTRIBUTIONS)
def distribution(request):
    return DISTRIBUTIONS[request.param]


@pytest.fixture
def lab(distribution):
    options = f"mem=384M,kernel={distribution.kernel},disk={disk(distribution.name)}"
    with Lab("distributions-test") as lab:
        lab.down()
        lab.up([f"lb1:front,group=directors,{options}", f"web1:group=real_servers,group=kube_nodes,{options}"])
        yield lab


@pytest.fixture
def cluster():
    """A cluster whose only node is web1."""
    with ApiServer(configmap="kube-proxy", key="config.conf", mount="/var/lib/kube-proxy", text=KUBEADM, nodes=("web1",)) as server:
        yield server


@pytest.fixture
def run(lab, distribution, cluster, tmp_path):
    """``run(PROGRAM, *WORDS)``: one of Ansible's programs on the lab's machines; what it prints."""
    ipvs_package = [distribution.ipvs_package] if distribution.ipvs_package else []
    variables = {
        "director_services": services(distribution.name),
        "director_sysctls": SETTINGS[distribution.name],
        "director_pyroute2_pip_arguments": "--no-index --find-links /srv/wheels",
        "real_server_pyroute2_pip_arguments": "--no-index --find-links /srv/wheels",
        "real_server_nat_route": "policy",
        "real_server_nat_gateways": ["198.51.100.11"],
        # docs/kube_node_images.md: the package with the modules is the user's to name.
        "kube_node_packages": ["ipvsadm", "ipset", *ipvs_package],
        "kube_proxy_mode": "ipvs",
        "kube_proxy_scheduler": "rr",
        "kube_proxy_kubeconfig": str(tmp_path / "kubeconfig"),
        "kube_proxy_poll_interval": 1,
        "kube_proxy_timeout": 60,
    }
    inventory = tmp_path / "inventory"
    (inventory / "group_vars").mkdir(parents=True)
    (inventory / "group_vars/all.yml").write_text(json.dumps(variables))
    (inventory / "machines.yml").write_text(lab.inventory())
    entry = {"name": "lab", "cluster": {"server": cluster.url}}
    context = {"name": "lab", "context": {"cluster": "lab", "user": "lab"}}
    (tmp_path / "kubeconfig").write_text(
        json.dumps({"clusters": [entry], "users": [{"name": "lab", "user": {"token": TOKEN}}], "contexts": [context], "current-context": "lab"})
    )

    def run(program, *words):
        return ansible(program, "-i", inventory, *words, home=tmp_path, LVS_LAB_CACHE=str(cache_dir()), TMPDIR=str(tmp_path)).stdout

    return run


def services(name):
    return [
        {"address": FRONT, "port": 80, "scheduler": "rr", "servers": [{"address": WEB, "forward_method": "nat"}]},
        {"address": BACK, "port": 80, "scheduler": "wlc", "servers": [{"address": WEB, "forward_method": METHODS[name]}]},
    ]


def table(name):
    """What `ipvsadm -Sn` prints of them, sorted."""
    method = {"dr": "-g", "nat": "-m"}[METHODS[name]]
    lines = [
        f"-A -t {BACK}:80 -s wlc", f"-a -t {BACK}:80 -r {WEB}:80 {method} -w 1",
        f"-A -t {FRONT}:80 -s rr", f"-a -t {FRONT}:80 -r {WEB}:80 -m -w 1",
    ]  # fmt: skip
    return sorted(lines)


def changes(output):
    """The counts of a recap: {host: changed}."""
    return {name: int(count) for name, count in re.findall(r"(?m)^(\S+) +: ok=\d+ +changed=(\d+) ", output)}


def test_all_roles(lab, run, cluster, distribution):
    name = distribution.name

    def say(machine, command, **options):
        return lab.ssh(machine, command, capture_output=True, **{"check": True, **options}).stdout

    def active(machine, units):
        return say(machine, f"systemctl is-active {' '.join(units)}", check=False).split()

    def counted():
        return re.findall(r"(?m)^TCP +(\S+):80 +(\d+)", say("lb1", "ipvsadm -Ln --stats --exact"))

    def works():
        assert sorted(say("lb1", "ipvsadm -Sn").splitlines()) == table(name)
        for address in (FRONT, BACK):
            ask = ["curl", "-sS", "-m", "10", f"http://{address}/"]
            eventually(lambda ask=ask: lab.exec(ask, capture_output=True).stdout == "web1\n", 60)
        eventually(lambda: {address for address, number in counted() if int(number)} == {FRONT, BACK}, 60)  # they went through the director
        for machine in ("lb1", "web1"):
            assert active(machine, RUNNING[name]) == ["active"] * len(RUNNING[name])
            assert say(machine, "systemctl list-units --failed --plain --no-legend") == ""
        assert active("web1", ["kube-proxy"]) == ["active"]

    for machine in ("lb1", "web1"):
        eventually(lambda machine=machine: active(machine, RUNNING[name]) == ["active"] * len(RUNNING[name]))
        assert "active" not in active(machine, NOT_RUNNING[name])
    say("web1", "systemctl enable -q --now web")
    if name == "rhel9":
        say("web1", "firewall-cmd -q --add-service=http; firewall-cmd -q --permanent --add-service=http")
    facts = json.loads(run("ansible", "lb1", "-m", "ansible.builtin.setup", "-a", "gather_subset=!all,!min,distribution,pkg_mgr").partition("=> ")[2])
    assert {fact: facts["ansible_facts"][f"ansible_{fact}"] for fact in FACTS[name]} == FACTS[name]
    missing = lab.ssh("lb1", "modprobe ip_vs", capture_output=True).returncode != 0
    assert missing == (distribution.ipvs_package is not None)

    first = run("ansible-playbook", ROOT / "tests/distributions/roles.yml")
    assert all(changes(first)[host] > 0 for host in ("lb1", "web1", "localhost")), first
    works()
    assert 'mode: "ipvs"\n' in cluster.text("kube-proxy", "config.conf") and cluster.restarts() == 1
    assert say("lb1", f"ls {KEPT_BY[name]}") and say("lb1", f"cat {SAVED[name]}").count("-a -t") == 2
    if name != "ubuntu2404":
        assert say("lb1", "rpm -q --qf '%{name} ' ipvsadm python3-pip") == "ipvsadm python3-pip "
        assert say("web1", "rpm -q --qf '%{name} ' ipset ipset-libs") == "ipset ipset-libs "
    if distribution.ipvs_package:
        query = "rpm -q" if name != "ubuntu2404" else "dpkg-query -W"
        for machine in ("lb1", "web1"):
            assert say(machine, f"{query} {distribution.ipvs_package}")

    second = run("ansible-playbook", ROOT / "tests/distributions/roles.yml")
    assert changes(second) == {"lb1": 0, "web1": 0, "localhost": 0}, second
    assert cluster.restarts() == 1

    run("ansible", "lb1:web1", "-m", "ansible.builtin.reboot")
    eventually(lambda: active("web1", ["kube-proxy"]) == ["active"], 120)
    works()
