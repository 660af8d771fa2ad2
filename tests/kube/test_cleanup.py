# SPDX-License-Identifier: GPL-3.0-or-later
"""The role's entry point cleanup in a real IPVS kernel, on tables and sets filled as kube-proxy fills them."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
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


def test_cleanup_takes_what_kube_proxy_left_and_nothing_else(tmp_path):
    (tmp_path / "inventory").write_text(f"node ansible_connection=local ansible_python_interpreter={BIN}/python\n")
    script = f"""
        mkdir /run/bin && sh {HERE}/node.sh prepare /run/bin && sh {HERE}/node.sh show && echo PLAY-STARTS
        PATH=/run/bin:$PATH HOME=/run ANSIBLE_COLLECTIONS_PATH={ROOT}/.cache/collections ANSIBLE_NOCOLOR=true ANSIBLE_PIPELINING=true \\
            {BIN}/ansible-playbook -i {tmp_path}/inventory -e kube_proxy_mode=nftables {HERE}/cleanup.yml
        echo PLAY-ENDS && sh {HERE}/node.sh show
    """
    done = subprocess.run(
        ["/usr/bin/python3", "-m", "tests.lab", "run", "--", "sh", "-ec", script], cwd=ROOT, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    before, output = done.stdout.split("PLAY-STARTS\n")
    play, after = output.split("PLAY-ENDS\n")
    assert set(OF_OTHERS) < set(before.splitlines())
    assert after.splitlines() == OF_OTHERS
    assert "changed=5 " in play, play
