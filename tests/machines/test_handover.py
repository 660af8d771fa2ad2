# SPDX-License-Identifier: GPL-3.0-or-later
"""Two directors under VRRP, Debian 12 and 13: handing over, upgrading, verifying and reporting, under load.

A NAT service on the front, whose server has a gateway that moves with it, and a DR service on the back.
"""

from __future__ import annotations

import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.support import ROOT, ansible, eventually

NAT, DR, GATEWAY = "203.0.113.80", "198.51.100.80", "198.51.100.250"
FIRST, SECOND = "198.51.100.13", "198.51.100.33"
PREEMPT_DELAY = 3
ECHO = """
import asyncio, sys

async def serve(reader, writer):
    while line := await reader.readline():
        writer.write(line)
        await writer.drain()
    writer.close()

async def main():
    await (await asyncio.start_server(serve, sys.argv[1], int(sys.argv[2]), backlog=1000)).serve_forever()

asyncio.run(main())
"""
PREPARE = f"""
set -eu
ip address add {SECOND}/24 dev eth0
ip route replace default via {GATEWAY}
cat >/srv/echo.py <<'END'
{ECHO}
END
systemd-run -q --unit=echo1 python3 /srv/echo.py {FIRST} 80
systemd-run -q --unit=echo2 python3 /srv/echo.py {SECOND} 80
systemd-run -q --unit=echo3 python3 /srv/echo.py 0.0.0.0 8080
"""
CHECK = {"type": "tcp", "interval": 1, "timeout": 1, "retries": 1, "delay": 0.5}
VARIABLES = {
    "director_services": [
        {"address": NAT, "port": 80, "scheduler": "rr", "check": CHECK, "servers": [
            {"address": address, "forward_method": "nat"} for address in (FIRST, SECOND)
        ]},
        {"address": DR, "port": 8080, "scheduler": "rr", "check": CHECK, "servers": [{"address": FIRST}]},
    ],
    "director_health": "keepalived",
    "director_failover": "vrrp",
    "director_vips": [{"address": NAT, "interface": "eth1"}, {"address": DR, "interface": "eth0"}],
    "director_vrrp_interface": "eth1",
    "director_vrrp_source_address": "{{ lab_front_ipv4 }}",
    "director_vrrp_peers": "{{ groups.directors | difference([inventory_hostname]) | map('extract', hostvars, 'lab_front_ipv4') | list }}",
    "director_vrrp_back_interface": "eth0",
    "director_vrrp_back_peers": "{{ groups.directors | difference([inventory_hostname]) | map('extract', hostvars, 'lab_back_ipv4') | list }}",
    "director_vrrp_gateways": [{"address": GATEWAY}],
    "director_vrrp_preempt_delay": PREEMPT_DELAY,
    "director_sysctls": {"net.ipv4.ip_forward": 1},
}  # fmt: skip


class Fleet:
    """The machines, and playbooks on them."""

    def __init__(self, lab, folder):
        self.lab, self.folder = lab, folder
        inventory = folder / "inventory"
        (inventory / "group_vars").mkdir(parents=True)
        (inventory / "hosts.yml").write_text(lab.inventory())
        (inventory / "group_vars/all.json").write_text(json.dumps(VARIABLES))
        (inventory / "group_vars/real_servers.json").write_text(json.dumps({"real_server_addresses": [FIRST, SECOND]}))
        self.inventory = inventory

    def play(self, name, *words, succeeds=True):
        path = ROOT / "playbooks" / f"{name}.yml"
        return ansible("ansible-playbook", "-i", self.inventory, *words, path, home=self.folder, succeeds=succeeds, LVS_LAB_CACHE=str(cache_dir()))

    def module(self, host, module, succeeds=True, check=False, **options):
        words = [host, "-i", self.inventory, "-m", "lvs.ipvs." + module, *(["--check"] if check else [])]
        words += ["-a", json.dumps(options)] if options else []
        done = ansible("ansible", *words, home=self.folder, succeeds=succeeds, LVS_LAB_CACHE=str(cache_dir()))
        return json.loads(done.stdout.partition("=> ")[2])

    def say(self, host, command):
        return self.lab.ssh(host, command, check=True, capture_output=True).stdout

    def master(self):
        """The directors that have all addresses, by name."""
        found = {name: self.say(name, "ip -brief -4 address show") for name in ("lb1", "lb2")}
        return [name for name, text in found.items() if all(f"{address}/" in text for address in (NAT, DR, GATEWAY))]

    @contextlib.contextmanager
    def load(self):
        """Load until the block ends. Yields a dict that has what came of it then."""
        end = self.folder / "end"
        program = [sys.executable, str(Path(__file__).with_name("load.py")), str(end), f"{NAT}:80", f"{DR}:8080"]
        came = {}
        with subprocess.Popen(self.lab.exec_command(program), stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout.readline() == "ready\n"
                yield came
            finally:
                end.touch()
                text = process.stdout.read()
                process.wait()
                end.unlink()
        came.update(json.loads(text))


def bearable(came, shortest=200):
    """At most 1 of 600 requests failed, all long connections lived."""
    print(came)
    done, failed = (sum(each) for each in zip(*((one["done"], len(one["failed"])) for one in came.values()), strict=True))
    assert done >= shortest and failed <= 1 + done // 600, came
    assert [one["lived"] for one in came.values()] == [20, 20], came
    return f"{failed} of {done + failed} requests failed, 40 of 40 long connections lived, addresses gone for {[one['gap'] for one in came.values()]} s"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    with Lab("handover-test") as lab:
        lab.down()
        lab.up(["lb1:front,bookworm,group=directors", "lb2:front,trixie,group=directors", "rs1:group=real_servers"])
        lab.ssh("rs1", PREPARE, check=True)
        fleet = Fleet(lab, tmp_path_factory.mktemp("fleet"))
        fleet.play("site")
        eventually(lambda: fleet.master() == ["lb1"])
        yield fleet


@pytest.fixture(autouse=True)
def sound(fleet):
    """Every test begins with the first director as the master, and nothing handed over."""
    yield
    for name in ("lb1", "lb2"):
        fleet.module(name, "ipvs_handover", state="restored")
    eventually(lambda: fleet.master() == ["lb1"])


def test_there_and_back(fleet, capsys):
    seconds = []
    with fleet.load() as came:
        for to in ("lb2", "lb1"):
            done = fleet.play("director_handover")
            seconds.append(re.search(rf"{to} is the master of .* ([0-9.]+) seconds after", done.line).group(1))
            assert fleet.master() == [to]
    with capsys.disabled():
        print(f"\nhanding over, there and back: {bearable(came)}; master after {' and '.join(seconds)} s with a preempt delay of {PREEMPT_DELAY} s")
    assert "changed=0" in fleet.play("director_handover", "-e", "director_handover_to=lb1").line
    assert "lb1 hands over to lb2" in fleet.play("director_handover", "--check").line
    assert fleet.master() == ["lb1"]


@pytest.mark.slow
def test_upgrade(fleet, tmp_path, capsys):
    """Both directors are rebooted, one after the other, under load."""
    tasks = tmp_path / "upgrade.yml"
    tasks.write_text("- name: Reboot\n  ansible.builtin.reboot:\n")
    before = {name: fleet.say(name, "cat /proc/sys/kernel/random/boot_id") for name in ("lb1", "lb2")}
    with fleet.load() as came:
        fleet.play("director_upgrade", "-e", f"director_upgrade_tasks={tasks}")
    assert all(fleet.say(name, "cat /proc/sys/kernel/random/boot_id") != boot for name, boot in before.items())
    with capsys.disabled():
        print(f"\nupgrade with two reboots: {bearable(came)}")
    assert fleet.master() == ["lb1"]
    fleet.play("verify")
