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
import time
from pathlib import Path

import pytest

from extensions.lab import Lab
from extensions.lab.host import cache_dir
from tests.integration.test_documentation import assert_documented
from tests.support import ROOT, ansible, eventually

NAT, DR, GATEWAY = "203.0.113.80", "198.51.100.80", "198.51.100.250"
FIRST, SECOND = "198.51.100.13", "198.51.100.33"
PREEMPT_DELAY = 3
ECHO = (Path(__file__).parent / "echo.py").read_text()
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

    def has_all(self, name):
        """Whether this director has all addresses."""
        text = self.say(name, "ip -brief -4 address show")
        return all(f"{address}/" in text for address in (NAT, DR, GATEWAY))

    def master(self):
        """The directors that have all addresses, by name."""
        return [name for name in ("lb1", "lb2") if self.has_all(name)]

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
def test_what_is_refused(fleet):
    def refused(*words):
        done = fleet.play("director_handover", *words, succeeds=False)
        assert "Nothing was changed." in done.line and "changed=0" in done.line and "changed=1" not in done.line and fleet.master() == ["lb1"]
        return done.line

    assert "lb9: there is no such director; there are lb1, lb2" in refused("-e", "director_handover_to=lb9")
    fleet.say("lb2", f"ipvsadm -e -t {NAT}:80 -r {FIRST}:80 -m -w 1 -x 7")
    assert "upper_threshold is 7 here and 0 on lb1" in refused()
    fleet.say("lb2", f"ipvsadm -e -t {NAT}:80 -r {FIRST}:80 -m -w 1 -x 0; ip link set eth1 down")
    assert "lb2 cannot take over: the VRRP instance front is in the state fault" in eventually(lambda: (line := refused()) and "fault" in line and line)
    fleet.say("lb2", "ip link set eth1 up; systemctl stop keepalived")
    assert "keepalived does not run" in refused()
    fleet.say("lb2", "systemctl start keepalived")
    eventually(lambda: fleet.module("lb2", "ipvs_keepalived_info")["instances"])
    left_out = fleet.play("director_handover", "--limit", "lb1", succeeds=False)
    assert "--limit has left out lb2" in left_out.line


@pytest.mark.slow
def test_the_module(fleet):
    """Where nobody takes over in time, the file is as it was before."""
    failed = fleet.module("lb1", "ipvs_handover", succeeds=False, state="lowered", wait_for="backup", timeout=0.5)
    assert "has not become backup within 0.5 seconds" in failed["msg"] and failed["changed"] is False
    assert fleet.say("lb1", "cat /var/lib/ipvs-director/handover") == "0\n"
    foretold = fleet.module("lb1", "ipvs_handover", check=True, state="lowered", wait_for="backup")
    done = fleet.module("lb1", "ipvs_handover", state="lowered", wait_for="backup")
    assert_documented("ipvs_handover", done)
    assert (foretold["changed"], done["changed"], done["master"], fleet.master()) == (True, True, False, ["lb2"])
    assert fleet.module("lb1", "ipvs_handover", state="lowered", wait_for="backup")["changed"] is False


@pytest.mark.slow
def test_verify_and_report(fleet):
    calm = fleet.play("verify")
    assert "gets no connections" not in calm.line
    fleet.say("rs1", "systemctl stop echo2")
    for name in ("lb1", "lb2"):
        fleet.module(name, "ipvs_drain", addresses=[FIRST], allow_empty=True, wait=False)
    try:
        down = f"{SECOND}:80 of tcp {NAT}:80 gets no connections: its check fails: tcp"
        named = eventually(lambda: (line := fleet.play("verify", succeeds=None).line).count(down) == 2 and line)
        assert named.count(f"{FIRST}:80 of tcp {NAT}:80 gets no connections: drained since ") == 2 and "failed=1" not in named
        page = fleet.folder / "report.html"
        fleet.play("report", "-e", f"report_file={page}")
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text().partition("<body>")[2]))
        assert "its check fails: tcp" in text and f"Drained: {FIRST} since " in text and "Every node is as it should be" in text
        assert re.search(r"lb1 as it should be master since \d{4}-\d\d-\d\d .* lb2 as it should be backup since \d{4}", text)
    finally:
        fleet.say("rs1", f"systemd-run -q --unit=echo2 python3 /srv/echo.py {SECOND} 80")
        for name in ("lb1", "lb2"):
            fleet.module(name, "ipvs_drain", state="restored")


def link(number):
    """The addresses of a director's two sides, and the interfaces that lead there. keepalived's sockets heed no route."""
    return (f"203.0.113.{number}", "eth1"), (f"198.51.100.{number}", "eth0")


@pytest.mark.slow
def test_split_brain(fleet, capsys):
    """The link between the directors is cut: both are master, which is seen, and over when the link is back."""
    peers = {"lb1": "12", "lb2": "11"}
    for name, other in peers.items():
        fleet.say(name, "".join(f"ip neigh replace {where} lladdr 02:00:00:00:00:01 dev {interface} nud permanent;" for where, interface in link(other)))
    eventually(lambda: fleet.master() == ["lb1", "lb2"])
    seen = fleet.play("verify", succeeds=False)
    assert seen.line.count("lb1 and lb2 are master at the same time") >= 2
    assert "lb1 and lb2 are master at the same time" in fleet.play("director_handover", succeeds=False).line
    start = time.monotonic()
    for name, other in peers.items():
        fleet.say(name, "".join(f"ip neigh del {where} dev {interface};" for where, interface in link(other)))
    eventually(lambda: fleet.master() == ["lb1"])
    with capsys.disabled():
        print(f"\nsplit brain: healed {time.monotonic() - start:.1f} s after the link was back")
    fleet.play("verify")


@pytest.mark.slow
def test_the_link_to_the_real_servers_is_lost(fleet, capsys):
    """Both sides are in one sync group: the master whose back side is gone gives up its front side, too."""
    with fleet.load() as came:
        time.sleep(5)  # the other director learns the connections
        fleet.say("lb1", "systemd-run -q sh -c 'ip link set eth0 down; sleep 15; ip link set eth0 up'")
        eventually(lambda: fleet.has_all("lb2"))
        time.sleep(20)  # the link is back, and the preempt delay is over
        eventually(lambda: fleet.master() == ["lb1"])
    with capsys.disabled():
        print(f"\nlink to the real servers lost, and back: {bearable(came)}")


@pytest.mark.slow
def test_power_cut_with_quick_advertisements(fleet, capsys):
    fleet.play("site", "-e", "director_vrrp_advert_interval=0.2", "-e", "director_vrrp_preempt_delay=15")
    with fleet.load() as came:
        time.sleep(5)
        fleet.lab.restart("lb1")
        time.sleep(10)
        eventually(lambda: fleet.master() == ["lb1"])
    with capsys.disabled():
        print(f"\npower cut, advertisements every 0.2 s: {bearable(came)}")
    fleet.play("site")


@pytest.mark.slow
@pytest.mark.parametrize("child", ["vrrp", "checker"])
def test_a_child_of_keepalived_dies(fleet, capsys, child):
    """Its parent starts it again, on the master. Nothing of it stays behind that keeps the directors from learning connections."""
    with fleet.load() as came:
        time.sleep(5)
        before = fleet.module("lb1", "ipvs_keepalived_info")["processes"]
        fleet.say("lb1", f"kill -KILL {before[child]}")
        eventually(lambda: (fleet.module("lb1", "ipvs_keepalived_info")["processes"] or before)[child] not in (None, before[child]))
        time.sleep(PREEMPT_DELAY + 5)
        eventually(lambda: fleet.master() == ["lb1"])
    with capsys.disabled():
        print(f"\nthe {child} process of keepalived killed: {bearable(came)}")
    assert fleet.module("lb1", "ipvs_keepalived_info")["processes"]["parent"] == before["parent"]
    daemons = {name: [each["role"] for each in fleet.module(name, "ipvs_info")["sync_daemons"]] for name in ("lb1", "lb2")}
    assert daemons == {"lb1": ["master"], "lb2": ["backup"]}
    fleet.play("verify")


@pytest.mark.slow
def test_no_master(fleet):
    """Both know of a fault: nobody answers, and verify.yml says so."""
    for name in ("lb1", "lb2"):
        fleet.say(name, "ip link set eth1 down")
    try:
        eventually(lambda: fleet.master() == [])
        seen = fleet.play("verify", succeeds=False)
        assert seen.line.count("VRRP: no director is master") >= 2
    finally:
        for name in ("lb1", "lb2"):
            fleet.say(name, "ip link set eth1 up")


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

    # the first failure stops it, and what has handed over stays so
    tasks.write_text("- name: Break\n  ansible.builtin.fail:\n  when: inventory_hostname == 'lb1'\n")
    broken = fleet.play("director_upgrade", "-e", f"director_upgrade_tasks={tasks}", succeeds=False)
    assert "lb1 hands over to lb2" in broken.line and fleet.master() == ["lb2"]
    assert "lb2 hands over to lb1" in fleet.play("director_handover").line
