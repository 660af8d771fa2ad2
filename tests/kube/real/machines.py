# SPDX-License-Identifier: GPL-3.0-or-later
"""A cluster whose nodes are machines of the lab, on which the real kube-proxy runs."""

from __future__ import annotations

import base64
import io
import re
import subprocess
import tarfile
from pathlib import Path

import yaml

from extensions.lab import host
from extensions.lab.image import disk as make_disk
from extensions.lab.image import image
from tests.kube.parts import programs
from tests.kube.real.cluster import Cluster
from tests.kube.real.control_plane import PORT, SYSTEM
from tests.support import ROOT, ansible, eventually

PACKAGES = ["conntrack", "curl", "ipset", "iptables", "ipvsadm", "python3-pyroute2"]
"""Of kube-proxy's image, and for Ansible. ipset and ipvsadm are what the role kube_node installs."""
LEGACY = "update-alternatives --quiet --set iptables /usr/sbin/iptables-legacy; update-alternatives --quiet --set ip6tables /usr/sbin/ip6tables-legacy"
PROGRAM = "usr/local/bin/kube-proxy"
ANSIBLE_PLAYBOOK = ROOT / ".cache/kube-venv/bin/ansible-playbook"
ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
EXCLUDED = {"kube_proxy_exclude_cidrs": ["203.0.113.0/24"]}
# What others have in the table of a node.
FOREIGN = ["-A -f 9 -s rr", "-A -t 203.0.113.5:80 -s wlc", "-a -t 203.0.113.5:80 -r 198.51.100.77:80 -m -w 3"]


def bake(place: Path) -> Path:
    """The disk of a node's image: the lab's own root file system as the playbook kube_node_image makes it ready. Needs root, as images do."""
    root, disk = place / "root", place / "disk.ext4"
    root.mkdir()
    subprocess.run([host.find("debugfs"), "-R", f"rdump / {root}", image("bookworm")], check=True, capture_output=True)
    options = ["-i", f"{root},", "-c", "community.general.chroot", "-e", "ansible_python_interpreter=/usr/bin/python3"]
    packages = f"kube_node_packages={','.join(PACKAGES)}"
    for changed in (True, False):
        done = ansible(None, *options, ROOT / "playbooks/kube_node_image.yml", "-e", packages, home=place, command=[ANSIBLE_PLAYBOOK])
        assert ("changed=0" not in done.line) == changed, done.output
    (root / PROGRAM).write_bytes((programs() / "kube-proxy").read_bytes())
    (root / PROGRAM).chmod(0o755)
    subprocess.run(["chroot", root, "sh", "-ec", LEGACY], check=True)
    make_disk(root, disk)
    return disk


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

    def write(self, name: str, files: dict[str, str]) -> None:
        """Files on a node, by their paths."""
        archive = io.BytesIO()
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, text in files.items():
                member = tarfile.TarInfo(path.lstrip("/"))
                member.size, member.mode = len(text.encode()), 0o600
                tar.addfile(member, io.BytesIO(text.encode()))
        self.ssh(name, "tar --extract --directory=/ --file=-", stdin=None, input=archive.getvalue(), text=False)

    def prepare(self, name: str) -> None:
        """The packages and the program that kube-proxy's image would have, on a machine that knows nothing of the image of nodes."""
        self.ssh(name, f"apt-get install --quiet --yes {' '.join(PACKAGES)} >/dev/null && {LEGACY}")
        program = (self.control_plane.programs / "kube-proxy").read_bytes()
        self.ssh(name, f"cat > /{PROGRAM} && chmod +x /{PROGRAM}", stdin=None, input=program, text=False)

    def start(self, name: str, text: str | None = None) -> None:
        """Start kube-proxy on a node with the genuine objects: its ConfigMap's files, and the token of its account.

        ``text``: the configuration, for this start alone. Its kubeconfig is found where it says; if it says nothing, by what a pod's environment says.
        """
        files = {f"/var/lib/kube-proxy/{path}": text for path, text in self.get(f"{SYSTEM}/configmaps/kube-proxy")["data"].items()}
        if text is not None:
            files["/var/lib/kube-proxy/config.conf"] = text
            kubeconfig = yaml.safe_load(text).get("clientConnection", {}).get("kubeconfig")
            files |= {kubeconfig: files["/var/lib/kube-proxy/kubeconfig.conf"]} if kubeconfig else {}
        secret = self.get(f"{SYSTEM}/serviceaccounts/kube-proxy")["secrets"][0]["name"]
        for path, data in self.get(f"{SYSTEM}/secrets/{secret}")["data"].items():
            files[f"{ACCOUNT}/{path}"] = base64.b64decode(data).decode()
        self.write(name, files)
        of_a_pod = f"--setenv=KUBERNETES_SERVICE_HOST={self.control_plane.address} --setenv=KUBERNETES_SERVICE_PORT={PORT}"
        command = f"/{PROGRAM} --config=/var/lib/kube-proxy/config.conf --hostname-override={name} -v=2"
        self.ssh(name, f"{self.before_start.get(name, 'true')}; systemd-run --quiet --collect --unit=kube-proxy {of_a_pod} {command}")

    def stop(self, name: str) -> None:
        self.ssh(name, "systemctl stop kube-proxy 2>/dev/null || true")

    def reboot(self, name: str) -> None:
        boot = self.ssh(name, "cat /proc/sys/kernel/random/boot_id")
        self.lab.ssh(name, "systemctl reboot", capture_output=True)

        def rebooted():
            now = self.lab.ssh(name, "cat /proc/sys/kernel/random/boot_id", capture_output=True).stdout
            return now and now != boot

        eventually(rebooted)
        assert self.ssh(name, "systemctl is-system-running --wait || systemctl --failed --no-legend").strip() == "running"

    def mode(self, name: str, at="127.0.0.1:10249") -> str:
        return self.ssh(name, f"curl --silent --globoff http://{at}/proxyMode || true")

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
