# SPDX-License-Identifier: GPL-3.0-or-later
"""Text in options that would become a line of its own in a file, or a path elsewhere: refused, or kept where it belongs; and secrets.

Every text within valid options is spoiled in turn, and the task is run for real: what it opens for writing, renames or makes has to lie
where the module's files lie.
"""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path

import pytest

from tests.support import ansible

from .modules import ModuleFailed, run_module
from .node_state import CHECKED, DIRECT, LIST, State, put_back, steps

pytestmark = [pytest.mark.once, pytest.mark.slow]

MARK = "injected"
EVIL = [f"\n{MARK} = 1\n", f"\r{MARK}", f"/../../../tmp/{MARK}", f"../../tmp/{MARK}", f"\0{MARK}", f'"; {MARK}; "', f"$(touch /tmp/{MARK})", f" {{\n{MARK}\n}}"]
FOLDERS = (
    "/etc/default/", "/etc/ipvs", "/etc/keepalived/", "/etc/modprobe.d/", "/etc/modules-load.d/", "/etc/network/", "/etc/sysctl.d/", "/etc/systemd/",
    "/etc/.ansible_tmp", "/proc/", "/sys/", "/usr/local/", "/var/lib/ipvs-", "/tmp/keepalived-", "/dev/null",
)  # fmt: skip
OPTIONS = {
    "ipvs_service": {**LIST[0], "persistence_timeout": 60, "persistence_netmask": "255.255.255.0"},
    "ipvs_server": {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"},
    "ipvs_table": {"services": LIST},
    "ipvs_sync_daemon": {"role": "master", "interface": "lo", "multicast_group": "224.0.0.81"},
    "ipvs_drain": {"addresses": ["198.51.100.11"], "allow_missing": True, "wait": False},
    "ipvs_saved": {"path": "/etc/ipvsadm.rules"},
    "ipvs_modules": {
        "names": ["ip_vs_rr"], "schedulers": ["lc"], "path": "/etc/modules-load.d/ipvs.conf", "options": {"ip_vs": {"conn_tab_bits": "12"}},
        "options_path": "/etc/modprobe.d/ipvs.conf",
    },
    "ipvs_sysctls": {"settings": {"net.ipv4.vs.conn_reuse_mode": "0"}, "path": "/etc/sysctl.d/60-ipvs-director.conf"},
    "ipvs_addresses": {"addresses": ["203.0.113.80", {"address": "203.0.113.81", "interface": "lo"}], "interface": "lo", "announce": False},
    "ipvs_real_server": {
        "services": DIRECT, "addresses": ["198.51.100.11"], "fwmark_addresses": ["203.0.113.81"], "vip_interface": "lo", "arp_interfaces": ["lo"],
        "nat_gateways": [],
    },
    "ipvs_firewall": {"marks": [{"mark": 7, "address": "203.0.113.80", "ports": ["80"]}], "load": False, "firewalld": False},
    "ipvs_keepalived": {
        "services": [{**CHECKED[0], "servers": [{**CHECKED[0]["servers"][0], "check": {"type": "http", "path": "/health", "host": "www.example.com"}}]}],
        "path": "/etc/keepalived/keepalived.conf", "service": "keepalived",
    },
}  # fmt: skip
NO_FILES = ("subprocess.Popen", "socket.sendto", "os.kill", "os.posix_spawn")
PATHS = ("path", "options_path", "state_directory")
"""Options that name a file, which may be anywhere; a relative one, or one with an odd character, may not."""


def spoiled(value, evil):
    """(where, a copy in which one text has become an evil one) for each text within, the names of settings included."""
    if isinstance(value, str):
        yield "", value + evil
    elif isinstance(value, dict):
        for key, each in value.items():
            yield from ((f".{key}{where}", {**value, key: other}) for where, other in spoiled(each, evil))
            if key[:1].islower() and ("." in key or key in ("ip_vs", "conn_tab_bits")):
                yield f".{key}, the name", {(name + evil if name == key else name): each for name, each in value.items()}
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from ((f"[{number}]{where}", [*value[:number], other, *value[number + 1 :]]) for where, other in spoiled(each, evil))


@pytest.fixture
def node(netns):
    os.makedirs("/etc/modules-load.d", exist_ok=True)
    Path("/etc/keepalived").mkdir(exist_ok=True)
    clean = State()
    yield
    put_back(clean)


@pytest.mark.parametrize("name", OPTIONS)
def test_no_text_gets_out_of_its_place(node, name):
    before, cases = State(), 0
    for evil in EVIL:
        for where, options in spoiled(OPTIONS[name], evil):
            cases += 1
            steps.begin(lambda _count: None)
            try:
                result = run_module(name, diff=True, **copy.deepcopy(options))
            except ModuleFailed as failure:
                result = failure.result
            finally:
                steps.end()
            case = (name, where, evil, result)
            assert "Traceback" not in result.get("exception", ""), case
            written = [word for event, words in steps.heard if event not in NO_FILES for word in words if isinstance(word, str) and word.startswith("/")]
            stray = [path for path in written if not (os.path.normpath(path) + "/").startswith(FOLDERS)]
            if result.get("failed") or not where.endswith(PATHS):
                assert not stray, (case, stray)
                assert not os.path.exists(f"/tmp/{MARK}"), case
            Path(f"/tmp/{MARK}").unlink(missing_ok=True)
            now = State()
            lines = [line for path, (mode, text) in now.files.items() if mode for line in text.decode(errors="replace").splitlines()]
            assert not [line for line in lines if line.strip().startswith(MARK)], case
            if result.get("failed"):
                assert now.files == before.files, case
            else:
                put_back(before)
    assert cases >= len(EVIL)


SECRET = "s3cr3t-77"
FOREIGN = f"""\
vrrp_instance web {{
    interface lo
    virtual_router_id 7
    priority 100
    authentication {{
        auth_type PASS
        auth_pass {SECRET}
    }}
}}
"""


@pytest.mark.parametrize("replace", [False, True])
def test_no_output_shows_the_vrrp_password_of_a_file_that_is_replaced(node, tmp_path, replace):
    """Not even with -vvv and --diff, whether the module refuses to replace the file or does so."""
    path = tmp_path / "keepalived.conf"
    path.write_text(FOREIGN)
    path.chmod(0o600)
    task = {"lvs.ipvs.ipvs_keepalived": {"path": str(path), "services": CHECKED, "replace": replace}}
    play = tmp_path / "play.yml"
    play.write_text(json.dumps([{"hosts": "localhost", "gather_facts": False, "tasks": [task]}]))
    for words in (["--check"], []):
        done = ansible("ansible-playbook", play, "-vvv", "--diff", *words, home=tmp_path, succeeds=replace)
        assert SECRET not in done.output
        if replace:
            assert "auth_pass ********" in done.output, "the diff shows the rest"
        else:
            assert "was not written by this module" in done.line
    assert (SECRET in path.read_text()) != replace
