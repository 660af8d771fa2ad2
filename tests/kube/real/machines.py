# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster whose nodes are machines of the lab, on which the real kube-proxy runs."""

from __future__ import annotations

import base64
import re

from tests.kube.real.cluster import Cluster
from tests.kube.real.control_plane import SYSTEM

PACKAGES = "conntrack curl ipset iptables ipvsadm python3-pyroute2"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# What others have in the table of a node.
FOREIGN = ["-A -f 9 -s rr", "-A -t 203.0.113.5:80 -s wlc", "-a -t 203.0.113.5:80 -r 198.51.100.77:80 -m -w 3"]


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
