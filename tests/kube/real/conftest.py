# SPDX-License-Identifier: GPL-3.0-or-later
"""A real control plane on loopback, with nodes that have no machine behind them; each test finds kube-proxy as kubeadm installs it."""

from __future__ import annotations

import json
import re

import pytest

from tests.kube.real.cluster import Cluster, Run
from tests.kube.real.control_plane import ControlPlane
from tests.kube.real.kubelets import Kubelets
from tests.support import ROOT, ansible


@pytest.fixture(scope="session")
def control_plane():
    with ControlPlane() as started, Kubelets(started) as kubelets:
        yield Cluster(started, kubelets)


@pytest.fixture
def cluster(control_plane):
    yield control_plane
    assert not control_plane.kubelets.failure, control_plane.kubelets.failure
    control_plane.reset()


@pytest.fixture
def play(tmp_path, control_plane):
    """Run the playbook kube_proxy_mode from the controller, with no Ansible connection to any node."""

    def run(*options: str, mode="ipvs", **variables) -> Run:
        variables = {
            "kube_proxy_kubeconfig": str(control_plane.control_plane.kubeconfig),
            "kube_proxy_poll_interval": 1,
            "kube_proxy_timeout": 60,
            "kube_proxy_mode": mode,
            **variables,
        }
        words = ["-i", "localhost,", ROOT / "playbooks/kube_proxy_mode.yml", "-e", json.dumps(variables), *options]
        # kubernetes.core keeps what it discovered in the directory for temporary files.
        done = ansible("ansible-playbook", *words, home=tmp_path, succeeds=None, cwd=tmp_path, TMPDIR=str(tmp_path))
        return Run(done.status != 0, sum(map(int, re.findall(r"\bchanged=(\d+)", done.output))), done.output)

    return run
