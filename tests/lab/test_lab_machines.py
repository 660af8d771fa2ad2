# SPDX-License-Identifier: GPL-3.0-or-later
"""`up` and what follows: whole machines. One lab serves most tests: a director on both networks, two real servers behind it."""
from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from extensions.lab import Lab, LabError, host
from extensions.lab.image import INSTALLABLE, image
from extensions.lab.inside import holder
from extensions.lab.network import namespace
from tests.support import PATIENCE, ROOT, ansible, eventually

SPECS = ["director:front,group=directors", "rs1:gw=director,group=real_servers", "rs2:gw=director,group=real_servers,trixie"]
ECHO = """
import http.server, socket, socketserver, sys, threading
name = sys.argv[1].encode()
class TCP(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(9999); self.request.sendall(b"HTTP/1.0 200 OK\\r\\n\\r\\n" + name)
class UDP(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(name, self.client_address)
class V6(socketserver.ThreadingTCPServer):
    address_family, allow_reuse_address = socket.AF_INET6, True
threading.Thread(target=V6(("::", 80), TCP).serve_forever).start()
socketserver.UDPServer(("0.0.0.0", 80), UDP).serve_forever()
"""
RULES = """
-A -t 203.0.113.80:80 -s rr
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m
-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m
-A -u 203.0.113.80:80 -s rr
-a -u 203.0.113.80:80 -r 198.51.100.12:80 -m
-a -u 203.0.113.80:80 -r 198.51.100.13:80 -m
-A -t [2001:db8:0:f::80]:80 -s rr
-a -t [2001:db8:0:f::80]:80 -r [2001:db8::12]:80 -m
-a -t [2001:db8:0:f::80]:80 -r [2001:db8::13]:80 -m
"""
ASK_UDP = """
import socket
for _ in range(4):
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(5); s.sendto(b"?", ("203.0.113.80", 80)); print(s.recv(99).decode())
"""


FRAMES = """
import socket, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW); wire.bind(("eth0", 0x88B5)); wire.settimeout(3 if sys.argv[1] == "send" else 60)
if sys.argv[1] == "send":
    wire.send(b"\\xff" * 6 + wire.getsockname()[4] + b"\\x88\\xb5" + sys.argv[2].encode().ljust(50))
else:
    print("ready", flush=True)
try:
    print(wire.recv(99)[14:].decode().strip())
except TimeoutError:
    print("nothing")
"""


@pytest.fixture(scope="module")
def lab():
    with Lab("t-lab") as lab:
        lab.up(SPECS)
        yield lab


def answer(lab, name, line):
    done = lab.ssh(name, line, capture_output=True, timeout=PATIENCE)
    assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


def remains(lab):
    """Whatever there still is of a lab."""
    lines = [" ".join(host.command_line(path.name)) for path in Path("/proc").glob("[0-9]*")]
    return [line for line in lines if f"{lab.directory}/" in line] + ([lab.directory] if lab.directory.exists() else [])


@pytest.mark.parametrize("name", ["director", "rs1", "rs2"])
def test_a_machine_is_whole(lab, name):
    assert answer(lab, name, "systemctl is-system-running --wait; systemctl --failed --no-legend") == "running"
    assert answer(lab, name, "hostname; cat /etc/hostname") == f"{name}\n{name}"
    assert answer(lab, name, "systemctl is-active systemd-sysctl systemd-modules-load ssh") == "active\nactive\nactive"
    assert answer(lab, name, ". /etc/os-release; echo $VERSION_CODENAME") == lab.machines[name].suite
    addresses = answer(lab, name, "ip -o address show scope global")
    for address in lab.machines[name].addresses:
        assert f" {address}/" in addresses


def test_apt_works_without_a_network(lab):
    assert "IP Virtual Server" in answer(lab, "director", "apt-get -q -y install ipvsadm >/dev/null 2>&1; ipvsadm -Ln")
    for name in ("director", "rs2"):
        simulated = answer(lab, name, f"apt-get -q -y install --simulate {' '.join(INSTALLABLE)}")
        assert "Inst keepalived" in simulated and "Inst python3-pyroute2" in simulated


def test_the_classic_nat_carries_tcp_and_udp_over_ipv4_and_ipv6(lab):
    """The servers' way back leads through the director; nothing but the default routes makes that so."""
    answer(lab, "director", "ip a add 203.0.113.80/32 dev eth1; ip a add 2001:db8:0:f::80/128 dev eth1 nodad;"
           f"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; ipvsadm -C; ipvsadm -R <<E\n{RULES}E")
    for name in ("rs1", "rs2"):
        lab.ssh(name, f"cat >/run/echo.py; systemd-run -q python3 /run/echo.py {name}", stdin=None, input=ECHO, check=True)
        url = f"http://{lab.machines[name].address}/"
        eventually(lambda url=url: lab.exec(["curl", "-s", url], capture_output=True).returncode == 0)
    for vip in ("203.0.113.80", "[2001:db8:0:f::80]"):
        answers = [lab.exec(["curl", "-sS", "-m", "5", f"http://{vip}/"], capture_output=True).stdout for _number in range(4)]
        assert sorted(answers) == ["rs1", "rs1", "rs2", "rs2"] and answers[0] != answers[1]
    answers = lab.exec([sys.executable, "-c", ASK_UDP], capture_output=True).stdout.split()
    assert sorted(answers) == ["rs1", "rs1", "rs2", "rs2"]


def test_ansible_reaches_every_machine_from_an_ordinary_shell(lab, tmp_path):
    inventory = tmp_path / "inventory.yml"
    inventory.write_text(lab.inventory())
    words = ["directors:real_servers", "-i", inventory, "-m", "ansible.builtin.ping"]
    done = ansible("ansible", *words, home=tmp_path, cwd=tmp_path, LVS_LAB_CACHE=str(host.cache_dir()))
    assert done.stdout.count('"ping": "pong"') == 3, done.output


def running_boot(lab, name):
    """The ID of the boot that runs on a machine; empty while it can't be asked."""
    return lab.ssh(name, "cat /proc/sys/kernel/random/boot_id", capture_output=True).stdout.strip()


def test_a_reboot_brings_back_what_was_persisted(lab):
    before = {name: answer(lab, name, "cat /proc/sys/kernel/random/boot_id") for name in ("rs1", "rs2")}
    for name in before:
        answer(lab, name, "echo ip_vs >/etc/modules-load.d/ipvs.conf; echo options ip_vs conn_tab_bits=8 >/etc/modprobe.d/ipvs.conf;"
               "echo net.ipv4.vs.conntrack=1 >/etc/sysctl.d/ipvs.conf; sync")
        lab.ssh(name, "systemctl reboot", stderr=subprocess.DEVNULL)
    for name, boot_id in before.items():
        eventually(lambda name=name, boot_id=boot_id: running_boot(lab, name) not in ("", boot_id))
        assert answer(lab, name, "systemctl is-system-running --wait") == "running"
        assert answer(lab, name, "cat /sys/module/ip_vs/parameters/conn_tab_bits /proc/sys/net/ipv4/vs/conntrack") == "8\n1"
        assert f" {lab.machines[name].address}/" in answer(lab, name, "ip -o -4 address")


def test_a_machine_that_was_switched_off_is_started_again_with_its_disk(lab, command):
    answer(lab, "rs1", "echo kept >/root/note; sync")
    lab.ssh("rs1", "systemctl poweroff", stderr=subprocess.DEVNULL)
    eventually(lambda: not lab.is_running("rs1"))
    assert "rs1              off" in command("status", "--lab", "t-lab").stdout
    assert command("restart", "--lab", "t-lab", "rs1").returncode == 0
    assert answer(lab, "rs1", "cat /root/note") == "kept"


def test_the_file_system_outlives_the_plug_being_pulled(lab, command):
    client = ["cat", "/sys/class/net/back/address", "/sys/class/net/front/address"]
    before = command("exec", "--lab", "t-lab", *client).stdout
    write = "cd /root; (while :; do mkdir -p d; cp -r /etc d; sync -f d; rm -r d; done) >/dev/null 2>&1 & sleep 2"
    for _time in range(2):
        answer(lab, "rs1", write)
        assert command("restart", "--lab", "t-lab", "rs1").returncode == 0
        assert answer(lab, "rs1", "rm -rf /root/d; cp -r /etc /root/d; rm -r /root/d; ls /proc/fs/jbd2; dmesg | grep 'EXT4-fs error' || true") == "ubda-8"
        assert command("exec", "--lab", "t-lab", *client).stdout == before, "machines would lose the client when one of them is restarted"


def test_a_program_with_a_thousand_open_files_can_wait_for_a_machine(lab):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    with contextlib.ExitStack() as stack:
        for _number in range(1100):
            stack.enter_context(open("/dev/null"))
        lab.restart("rs2")
    assert answer(lab, "rs2", "hostname") == "rs2"


def test_entering_a_lab_leaves_no_file_open(lab):
    """A program may enter it again and again."""
    code = (
        "import os, sys; sys.path.insert(0, sys.argv[1])\nfrom extensions.lab.inside import enter, holder\n"
        "before = len(os.listdir('/proc/self/fd')); enter(holder(sys.argv[2])); print(len(os.listdir('/proc/self/fd')) - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, ROOT, lab.network.client_hold], capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


def test_a_frame_reaches_the_others_and_not_the_one_who_sent_it(lab):
    others = [subprocess.Popen(lab.ssh_command(name, [f"python3 -c '{FRAMES}' wait"]), stdout=subprocess.PIPE, text=True) for name in ("director", "rs2")]
    assert [each.stdout.readline() for each in others] == ["ready\n"] * 2
    assert answer(lab, "rs1", f"python3 -c '{FRAMES}' send hello") == "nothing"
    assert [each.communicate()[0] for each in others] == ["hello\n"] * 2


def test_up_again_keeps_what_runs_and_another_lab_does_not_meet_it(lab, command):
    boot_id = answer(lab, "director", "cat /proc/sys/kernel/random/boot_id")
    lab.up(SPECS)
    assert answer(lab, "director", "cat /proc/sys/kernel/random/boot_id") == boot_id
    with Lab("t-other") as other:
        other.up(["only"])
        assert other.machines["only"].address == lab.machines["director"].address
        assert command("ssh", "--lab", "t-other", "only", "hostname").stdout == "only\n"
        assert command("ssh", "--lab", "t-lab", "director", "hostname").stdout == "director\n"
    assert not remains(other)
    assert answer(lab, "director", "hostname") == "director"


def test_a_root_file_system_becomes_a_machine(lab, command, tmp_path):
    root, disk = tmp_path / "root", tmp_path / "disk.ext4"
    root.mkdir()
    subprocess.run([host.find("debugfs"), "-R", f"rdump / {root}", image("bookworm")], check=True, capture_output=True)
    shutil.rmtree(root / "root/.ssh")
    (root / "etc/made-here").write_text("yes\n")
    before = sorted(os.listdir(root / "etc"))
    assert command("disk", root, disk).stdout == f"{disk}\n"
    assert sorted(os.listdir(root / "etc")) == before and not (root / "root/.ssh").exists()
    lab.up([f"node:disk={disk}"])
    assert answer(lab, "node", "systemctl is-system-running --wait; cat /etc/made-here; modprobe ip_vs && echo loaded") == "running\nyes\nloaded"


def test_a_disk_wants_systemd_and_sshd(command, tmp_path):
    done = command("disk", tmp_path, tmp_path / "out")
    assert done.returncode == 125 and "install openssh-server in it" in done.stderr
    assert os.listdir(tmp_path) == []


def test_questions_about_what_is_not_there_are_answered_plainly(command):
    for words in (["ssh", "rs1"], ["exec", "true"], ["inventory"], ["restart", "rs1"], ["console", "rs1"]):
        done = command(*words[:1], "--lab", "t-none", *words[1:])
        assert done.returncode == 125 and "not up" in done.stderr, words
    assert command("down", "--lab", "t-none").returncode == 0


def test_a_machine_that_cannot_boot_is_told_with_its_console_and_nothing_stays(tmp_path):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    lab = Lab("t-broken")
    with pytest.raises(LabError, match="(?s)machine bad did not come up: its kernel ended.*[Uu]nable to mount root"):
        lab.up([f"bad:disk={tmp_path}/disk"])
    assert not remains(lab)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_an_up_that_is_stopped_leaves_nothing_after_down(start, number, status):
    lab = Lab("t-stopped")
    with start("up", "--lab", "t-stopped", "2") as process:
        eventually(lambda: len(host.kernels(lab.directory)) >= 2)
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
        process.communicate()
    if number == signal.SIGKILL:
        assert host.kernels(lab.directory)
        lab.down()
    assert not remains(lab)


def test_down_ends_everything_whatever_started_it(command, start):
    lab = Lab("t-down")
    lab.up(["one"])
    held = {namespace(holder(lab.network.socket_hold)), namespace(holder(lab.network.client_hold))}
    with start("exec", "--lab", "t-down", "sleep", str(9 * PATIENCE)) as guest, start("ssh", "--lab", "t-down", "one", f"sleep {9 * PATIENCE}") as session:
        eventually(lambda: namespace(guest.pid) != namespace("self"))
        assert command("exec", "--lab", "t-down", sys.executable, "-m", "extensions.lab", "down", "--lab", "t-down").returncode == 125
        assert None not in held and namespace(guest.pid) in held
        os.kill(host.kernels(lab.directory)[0], signal.SIGKILL)  # a crash on top
        lab.down()
        assert guest.wait(PATIENCE) and session.wait(PATIENCE)
        guest.communicate(), session.communicate()
    eventually(lambda: not remains(lab))
    eventually(lambda: not held & {namespace(path.name) for path in Path("/proc").glob("[0-9]*")})
