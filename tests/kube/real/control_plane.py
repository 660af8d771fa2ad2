# SPDX-License-Identifier: GPL-3.0-or-later
"""A real control plane: etcd, kube-apiserver, kube-controller-manager and kube-scheduler as processes, set up by kubeadm's own phases.

It listens on one address alone. Not as in a cluster: it has no kubelets (kubelets.py stands in for them), hence no node lifecycle controller.
"""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from extensions.lab.inside import enter, holder
from extensions.lab.network import Network
from tests.kube.parts import programs
from tests.support import eventually

PORT, ETCD_PORTS = 16443, (16444, 16445)
SYSTEM = "/api/v1/namespaces/kube-system"
DAEMONSET = "/apis/apps/v1/namespaces/kube-system/daemonsets/kube-proxy"
ADDON = """\
apiVersion: kubeadm.k8s.io/v1beta2
kind: InitConfiguration
localAPIEndpoint: {{advertiseAddress: "{advertise}", bindPort: {port}}}
nodeRegistration: {{name: control-plane}}
---
apiVersion: kubeadm.k8s.io/v1beta2
kind: ClusterConfiguration
kubernetesVersion: v{version}
featureGates: {{IPv6DualStack: {dual}}}
certificatesDir: {folder}/pki
controlPlaneEndpoint: "{url}"
apiServer: {{certSANs: ["{address}"]}}
networking: {{podSubnet: "{pods}", serviceSubnet: "{services}"}}
"""
IPV4 = {"pods": "10.244.0.0/16", "services": "10.96.0.0/16", "advertise": "198.51.100.1"}
DUAL = {"pods": "10.244.0.0/16,2001:db8:244::/56", "services": "10.96.0.0/16,2001:db8:96::/112", "advertise": "198.51.100.1"}
IPV6 = {"pods": "2001:db8:244::/56", "services": "2001:db8:96::/112", "advertise": "2001:db8::1"}


def _connected_in(process: int, address: tuple[str, int]) -> socket.socket:
    """A connection out of that process's network namespace: only the thread that makes it goes there."""

    def connect():
        enter(process)
        return socket.create_connection(address, 60)

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(connect).result()


class Refused(Exception):
    """The API server's answer that is no success: its code and its Status object."""

    def __init__(self, code: int, status: dict):
        super().__init__(f"{code}: {status.get('message')}")
        self.code, self.status = code, status


class ControlPlane:
    """Started and ended as a context manager.

    ``address``: where it listens; ``ranges``: IPV4, IPV6 or DUAL; ``network``: of the lab in whose client's place it runs.
    """

    def __init__(self, address="127.0.0.1", ranges=None, network: Network | None = None):
        self.address, self.ranges, self.network = address, ranges or IPV4, network
        self.dual = str(self.ranges is DUAL).lower()
        self.within = network.inside() if network else []
        self.host = f"[{address}]" if ":" in address else address
        self.url = f"{self.host}:{PORT}"
        self.programs = programs()
        self.version = (self.programs / "version").read_text().strip()
        self._temporary = tempfile.TemporaryDirectory(prefix="kubernetes-")
        self.folder = Path(self._temporary.name)
        self.kubeconfig = self.folder / "admin.conf"
        self._processes: list[subprocess.Popen] = []

    def __enter__(self):
        try:
            self._set_up()
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exc):
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._temporary.cleanup()

    def kubeadm(self, *words: str) -> str:
        done = subprocess.run(
            [*self.within, self.programs / "kubeadm", *words], env={"HOME": str(self.folder), "PATH": "/usr/bin:/bin"},
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def add_kube_proxy(self) -> None:
        """The genuine ConfigMaps, DaemonSet, roles and accounts."""
        self.kubeadm("init", "phase", "addon", "all", f"--config={self.folder}/kubeadm.yaml", f"--kubeconfig={self.kubeconfig}")

    def user(self, name: str) -> Path:
        """The kubeconfig of a user who may do nothing yet."""
        path = self.folder / f"{name}.conf"
        path.write_text(self.kubeadm("alpha", "kubeconfig", "user", f"--client-name={name}", f"--config={self.folder}/kubeadm.yaml"))
        return path

    def call(self, method: str, path: str, body: dict | None = None, kind="application/merge-patch+json"):
        """What the API server answers to the administrator; raises Refused."""
        connection = self._connect()
        try:
            headers = {"Content-Type": kind if method == "PATCH" else "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise Refused(answer.status, json.loads(text) if text.startswith(b"{") else {"message": text.decode()})
        return json.loads(text) if text.startswith(b"{") else text.decode()

    def get(self, path: str):
        return self.call("GET", path)

    def log(self, program: str) -> str:
        return (self.folder / f"{program}.log").read_text()

    def _connect(self) -> http.client.HTTPSConnection:
        connection = http.client.HTTPSConnection(self.address, PORT, context=self._trust, timeout=60)
        if self.network:
            connection.sock = self._trust.wrap_socket(_connected_in(holder(self.network.client_hold), (self.address, PORT)), server_hostname=self.address)
        return connection

    def _set_up(self) -> None:
        settings = {**self.ranges, "port": PORT, "version": self.version, "dual": self.dual, "folder": self.folder, "url": self.url, "address": self.address}
        (self.folder / "kubeadm.yaml").write_text(ADDON.format(**settings))
        config = f"--config={self.folder}/kubeadm.yaml"
        for phase in ("ca", "apiserver", "apiserver-kubelet-client", "front-proxy-ca", "front-proxy-client"):
            self.kubeadm("init", "phase", "certs", phase, config)
        # Not by kubeadm: for this phase it takes no configuration, and asks the Internet for the newest version.
        for words in (("genrsa", "-out", "sa.key", "2048"), ("rsa", "-in", "sa.key", "-pubout", "-out", "sa.pub")):
            subprocess.run(["openssl", *words], cwd=self.folder / "pki", check=True, capture_output=True)
        for name in ("admin", "controller-manager", "scheduler"):
            self.kubeadm("init", "phase", "kubeconfig", name, config, f"--kubeconfig-dir={self.folder}")
            path = self.folder / f"{name}.conf"
            # kubeadm has these two ask the address that is advertised.
            path.write_text("".join(f"    server: https://{self.url}\n" if "server:" in line else line for line in path.read_text().splitlines(keepends=True)))
        pki = self.folder / "pki"
        self._trust = ssl.create_default_context(cafile=pki / "ca.crt")
        self._trust.load_cert_chain(pki / "apiserver-kubelet-client.crt", pki / "apiserver-kubelet-client.key")

    def _start(self) -> None:
        pki, etcd = f"{self.folder}/pki", [f"http://{self.host}:{port}" for port in ETCD_PORTS]
        self._run("etcd", f"--data-dir={self.folder}/etcd", f"--listen-client-urls={etcd[0]}", f"--advertise-client-urls={etcd[0]}",
                  f"--listen-peer-urls={etcd[1]}", f"--initial-advertise-peer-urls={etcd[1]}", f"--initial-cluster=default={etcd[1]}",
                  "--unsafe-no-fsync")  # fmt: skip
        self._run("kube-apiserver", f"--etcd-servers={etcd[0]}", f"--bind-address={self.address}", f"--secure-port={PORT}",
                  f"--advertise-address={self.ranges['advertise']}", f"--service-cluster-ip-range={self.ranges['services']}",
                  f"--client-ca-file={pki}/ca.crt", f"--tls-cert-file={pki}/apiserver.crt", f"--tls-private-key-file={pki}/apiserver.key",
                  f"--service-account-key-file={pki}/sa.pub", f"--service-account-signing-key-file={pki}/sa.key",
                  "--service-account-issuer=https://kubernetes.default.svc", "--authorization-mode=Node,RBAC", "--allow-privileged=true",
                  "--enable-admission-plugins=NodeRestriction", f"--feature-gates=IPv6DualStack={self.dual}",
                  "--disable-admission-plugins=TaintNodesByCondition")  # fmt: skip
        eventually(self._is_ready, 120)
        self._run("kube-controller-manager", f"--kubeconfig={self.folder}/controller-manager.conf", f"--service-account-private-key-file={pki}/sa.key",
                  f"--root-ca-file={pki}/ca.crt", "--use-service-account-credentials", "--controllers=*,-nodelifecycle", "--leader-elect=false",
                  f"--feature-gates=IPv6DualStack={self.dual}", "--port=0", "--secure-port=0")  # fmt: skip
        self._run("kube-scheduler", f"--kubeconfig={self.folder}/scheduler.conf", "--leader-elect=false", "--port=0", "--secure-port=0")

    def _run(self, program: str, *words: str) -> None:
        with (self.folder / f"{program}.log").open("wb") as log:
            command = [*self.within, self.programs / program, *words]
            self._processes.append(subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder))

    def _is_ready(self) -> bool:
        for process in self._processes:
            assert process.poll() is None, f"{process.args} ended: {[path.read_text()[-2000:] for path in self.folder.glob('*.log')]}"
        try:
            return self.call("GET", "/readyz") == "ok"
        except (OSError, http.client.HTTPException, Refused):
            return False
