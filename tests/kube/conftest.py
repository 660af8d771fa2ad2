# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs playbooks/kube_proxy_mode.yml with the real ansible-playbook, kubernetes.core and aws command against the stand-ins."""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import dataclass

import pytest

from tests.kube.api_server import TOKEN, ApiServer
from tests.kube.eks_endpoint import EksEndpoint
from tests.kube.texts import EKS, KUBEADM
from tests.support import ROOT, ansible


@dataclass
class Run:
    """One run of ansible-playbook. ``changed``: of all hosts together."""

    failed: bool
    changed: int
    output: str

    @property
    def text(self) -> str:
        """The output as one line, since Ansible wraps long messages."""
        return " ".join(self.output.split())


@pytest.fixture
def kubeadm():
    """A cluster made with kubeadm; the version and the text are given where they matter."""
    servers = []

    def make(text=KUBEADM, **options):
        server = ApiServer(configmap="kube-proxy", key="config.conf", mount="/var/lib/kube-proxy", text=text, **options)
        servers.append(server.__enter__())
        return server

    yield make
    for server in servers:
        server.__exit__()


@pytest.fixture
def eks_cluster():
    """An EKS cluster's API server; EKS itself is another server."""
    with ApiServer(configmap="kube-proxy-config", key="config", mount="/var/lib/kube-proxy-config", text=EKS, version="1.33", nodes=("node1",)) as server:
        yield server


@pytest.fixture
def play(tmp_path):
    """Run the playbook with variables against a cluster, an EKS endpoint, or both.

    ``nodes``: the hosts of kube_nodes and the kernel modules that each has.
    """

    def run(*options: str, api: ApiServer | None = None, eks: EksEndpoint | None = None, nodes: dict[str, list[str]] | None = None, **variables) -> Run:
        collections = tmp_path / "collections" / "ansible_collections" / "lvs"
        collections.mkdir(parents=True, exist_ok=True)
        if not (collections / "ipvs").exists():
            (collections / "ipvs").symlink_to(ROOT)
        if api and eks and not eks.endpoint:
            eks.endpoint = api.url
        (tmp_path / "kubeconfig").write_text(json.dumps(_kubeconfig(api.url if api else "http://127.0.0.1:9")))
        hosts = {
            name: {"ansible_connection": "local", "ansible_python_interpreter": _node(tmp_path / name, modules)}
            for name, modules in (nodes or {}).items()
        }
        (tmp_path / "inventory.json").write_text(json.dumps({"kube_nodes": {"hosts": hosts}} if hosts else {}))
        variables = {"kube_proxy_kubeconfig": str(tmp_path / "kubeconfig"), "kube_proxy_poll_interval": 1, "kube_proxy_timeout": 30, **variables}
        environment = {
            # kubernetes.core keeps what it discovered in the directory for temporary files, by the server's URL.
            "TMPDIR": str(tmp_path),
            "ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "collections"),
            "AWS_ACCESS_KEY_ID": "stand-in",
            "AWS_SECRET_ACCESS_KEY": "stand-in",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL_EKS": eks.url if eks else "http://127.0.0.1:9",
        }
        words = ["-i", tmp_path / "inventory.json", ROOT / "playbooks/kube_proxy_mode.yml", "-e", json.dumps(variables), *options]
        done = ansible("ansible-playbook", *words, home=tmp_path, succeeds=None, cwd=tmp_path, **environment)
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    return run


def _node(directory, modules):
    """A Python for a node that has these kernel modules: this machine with a list of modules of its own, in a mount namespace."""
    lists = directory / "lib/modules" / os.uname().release
    lists.mkdir(parents=True, exist_ok=True)
    (lists / "modules.dep").write_text("".join(f"kernel/{name}.ko:\n" for name in modules))
    python = directory / "python"
    mount = f"mount -t overlay overlay -o lowerdir={directory}/lib:/usr/lib /usr/lib"
    user = "" if os.geteuid() == 0 else " --map-root-user"
    python.write_text(f"#!/bin/sh\nexec unshare --mount{user} sh -c '{mount} && exec {sys.executable} \"$@\"' python \"$@\"\n")
    python.chmod(0o755)
    return str(python)


def _kubeconfig(server):
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "lab", "cluster": {"server": server}}],
        "users": [{"name": "lab", "user": {"token": TOKEN}}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        "current-context": "lab",
    }
