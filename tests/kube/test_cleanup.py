# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's entry point cleanup: in a real IPVS kernel, on tables and sets filled as kube-proxy fills them; and what it refuses."""

from __future__ import annotations

import json
import re
import subprocess
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.kube.metrics import kube_proxy
from tests.support import PATIENCE, ROOT, ansible

HERE = Path(__file__).parent
# Not the environment of the tests beside this one: the node needs pyroute2, and no more of Ansible than its core.
BIN = ROOT / ".venv/bin"

OF_OTHERS = """\
-A -f 7 -s rr
-A -t 198.51.100.7:8080 -s rr
-A -t 198.51.100.99:30080 -s rr
-a -t 198.51.100.7:8080 -r 198.51.100.30:80 -m -w 1
OURS
-A INPUT -m set --match-set OURS src -j ACCEPT
-A PREROUTING -j KUBE-SERVICES
""".splitlines()


def clean_in_kernel(tmp_path, prepare, *answers):
    """Before, the play's output, and after, on a node with an IPVS kernel of its own. ``answers``: addresses where kube-proxy answers nftables."""
    (tmp_path / "inventory").write_text(f"node ansible_connection=local ansible_python_interpreter={BIN}/python\n")
    answer = "\n".join(f"sh {HERE}/node.sh answer '{address}' nftables" for address in answers)
    script = f"""
        mkdir /run/bin && sh {HERE}/node.sh {prepare} /run/bin && sh {HERE}/node.sh show
        {answer}
        echo PLAY-STARTS
        PATH=/run/bin:$PATH HOME=/run ANSIBLE_COLLECTIONS_PATH={ROOT}/.cache/collections ANSIBLE_NOCOLOR=true ANSIBLE_PIPELINING=true \\
            {BIN}/ansible-playbook -i {tmp_path}/inventory -e kube_proxy_mode=nftables -e kube_proxy_poll_interval=1 {HERE}/look.yml {HERE}/cleanup.yml
        echo PLAY-ENDS && sh {HERE}/node.sh show
    """
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "extensions.lab", "run", "--", "sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, output = done.stdout.split("PLAY-STARTS\n")
    play, after = output.split("PLAY-ENDS\n")
    return before.splitlines(), play, after.splitlines()


def test_cleanup_takes_what_kube_proxy_left_and_nothing_else(tmp_path):
    before, play, after = clean_in_kernel(tmp_path, "prepare", "[::1]")
    assert set(OF_OTHERS) < set(before)
    assert after == OF_OTHERS
    assert "changed=4 " in play, play
    found = "LOST: tcp 198.51.100.7 port 8080, tcp 198.51.100.99 port 30080, firewall mark 7 (ipv4)'] UNREAD ."
    assert found in play, play


def test_cleanup_comes_to_its_end_where_the_packet_filter_has_nothing(tmp_path):
    before, play, after = clean_in_kernel(tmp_path, "prepare_ipv4", "127.0.0.1")
    assert before == ["-A -t 198.51.100.99:30080 -s rr", "-A -t 203.0.113.1:443 -s rr", "KUBE-CLUSTER-IP", "kube-ipvs0"]
    assert after == ["-A -t 198.51.100.99:30080 -s rr"], play
    assert "changed=3 " in play, play


@pytest.fixture
def closed_port():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        port = server.server_port
    return port


@pytest.fixture
def clean(tmp_path):
    """Check what the clean-up would do on this machine; returns whether it failed, and its output as one line."""

    def run(port=10249, playbook="cleanup.yml", **variables):
        (tmp_path / "inventory").write_text(f"node ansible_connection=local ansible_python_interpreter={BIN}/python\n")
        variables = {"kube_proxy_mode": "nftables", "kube_proxy_metrics_port": port, "kube_proxy_poll_interval": 1, **variables}
        words = ["--check", "-i", tmp_path / "inventory", "-e", json.dumps(variables), HERE / playbook]
        # A proxy that does not exist: kube-proxy on the node is asked without one.
        done = ansible(None, *words, home=tmp_path, succeeds=None, command=[BIN / "ansible-playbook"], http_proxy="http://127.0.0.1:9")
        return done.status != 0, done.line

    return run


@pytest.mark.parametrize("mode", ["ipvs", "iptables"])
def test_another_mode_than_the_one_asked_for_is_refused(clean, mode):
    with kube_proxy(mode) as port:
        failed, text = clean(port, kube_proxy_cleanup_unanswered=True)
    assert failed, text
    assert f"kube-proxy on node answers that its mode is {mode}, not nftables" in text
    assert "Read the node" not in text


def test_the_mode_asked_for_is_cleaned_up_after(clean):
    with kube_proxy("nftables") as port:
        failed, text = clean(port, kube_proxy_metrics_address="127.0.0.1")
    assert not failed, text
    assert re.search(r"Read kube-proxy's mode again\] \*+ skipping", text)


def test_no_answer_is_refused_unless_allowed(clean, closed_port):
    failed, text = clean(closed_port)
    assert failed, text
    assert f"does not say its mode, and nothing was cleaned up. Asked: 127.0.0.1:{closed_port} and [::1]:{closed_port}." in text
    assert "kube_proxy_metrics_address" in text and "kube_proxy_cleanup_unanswered: true" in text
    assert "Read the node" not in text
    failed, text = clean(closed_port, kube_proxy_cleanup_unanswered=True)
    assert not failed, text


def test_an_error_is_no_answer(clean):
    with kube_proxy("nftables", status=404) as port:
        failed, text = clean(port)
    assert failed, text
    assert "does not say its mode" in text


def test_an_address_with_its_port_is_refused(clean):
    failed, text = clean(kube_proxy_metrics_address="127.0.0.1:x")
    assert failed, text
    assert "kube_proxy_metrics_address: 127.0.0.1:x is not an IP address; the port goes into kube_proxy_metrics_port" in text


def test_a_node_that_cannot_be_read_says_why(clean):
    failed, text = clean(playbook="look.yml", test_environment={"PATH": "/nowhere"})
    assert not failed, text
    assert "[] UNREAD Read the node's addresses: " in text
