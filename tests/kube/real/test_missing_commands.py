# SPDX-License-Identifier: GPL-3.0-or-later
"""The clean-up of a node that lacks ipset or iptables-save, which kube-proxy's image brings itself: refused before anything is touched."""

from __future__ import annotations

import subprocess

from tests.kube.test_cleanup import BIN, HERE
from tests.support import PATIENCE, ROOT


def test_what_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "inventory").write_text(f"node ansible_connection=local ansible_python_interpreter={BIN}/python\n")
    play = f"""PATH=/run/bin:$PATH HOME=/run ANSIBLE_COLLECTIONS_PATH={ROOT}/.cache/collections ANSIBLE_NOCOLOR=true ANSIBLE_PIPELINING=true \\
        {BIN}/ansible-playbook -i {tmp_path}/inventory -e kube_proxy_mode=nftables -e kube_proxy_poll_interval=1 {HERE}/cleanup.yml && exit 1"""
    script = f"""
        mkdir /run/bin && sh {HERE}/node.sh prepare /run/bin && sh {HERE}/node.sh show >/run/before
        sh {HERE}/node.sh answer 127.0.0.1 nftables
        ipset=$(command -v ipset) && mv $ipset $ipset.away
        {play}
        mv $ipset.away $ipset && sh {HERE}/node.sh show | cmp - /run/before || exit 1
        # The lab's copy of the file system.
        rm /run/bin/iptables-save $(command -v iptables-save)
        {play}
        sh {HERE}/node.sh show | cmp - /run/before || exit 1
    """
    command = ["/usr/bin/python3", "-m", "extensions.lab", "run", "--", "sh", "-c", f"{script}\necho UNTOUCHED"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE * 2, check=False)
    said = " ".join(done.stdout.split())
    assert done.stdout.endswith("UNTOUCHED\n"), done.stdout + done.stderr
    assert "The sets on node cannot be read with ipset save. Nothing was cleaned up. If the command is missing, install the package ipset." in said
    assert "kube-proxy's sets KUBE-CLUSTER-IP, KUBE-NODE-PORT-TCP are in use, but not by a rule that iptables-save or ip6tables-save shows." in said
