# SPDX-License-Identifier: GPL-3.0-or-later
"""Services that keepalived checks, under load: ipvs_keepalived beside a template and a restart. Whole machines of the lab.

    python -m tests.bench.health [SERVICES...]    30 and 1,000 unless given; each has 10 servers, which are checked every 60 seconds

The director is a machine with one CPU, the servers are ten addresses of another one. Load comes from a third place: 10 new connections a
second to each of five services, and 20 to each that stay open.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from extensions.lab import Lab

ROOT = Path(__file__).parents[2]
PLAYBOOKS = Path(__file__).parent / "playbooks"
ECHO = (ROOT / "tests/machines/echo.py").read_text()
WAYS = {"this collection": "health_ours.yml", "template, restart": "health_template.yml"}
VIP, PORT, SERVERS, INTERVAL, CHECKED_FOR = "203.0.113.80", 1000, 10, 60, 120
LOADED = 5
REAL = f"""
set -eu
for last in $(seq 100 {100 + SERVERS}); do ip address add 198.51.100.$last/32 dev eth0; done
cat >/srv/echo.py <<'END'
{ECHO}
END
systemd-run -q --unit=echo -p LimitNOFILE=65536 python3 /srv/echo.py 0.0.0.0 {PORT} {PORT + 1999}
"""
DIRECTOR = f"""
set -eu
apt-get -qq install -y ipvsadm keepalived python3-pyroute2 >/dev/null 2>&1
modprobe -a ip_vs_rr ip_vs_wrr
sysctl -qw net.ipv4.ip_forward=1 net.ipv4.vs.conntrack=0
ip address add {VIP}/32 dev eth1
for last in $(seq 100 {100 + SERVERS}); do ip route add 198.51.100.$last via {{gateway}}; done
"""
FRESH = "systemctl stop keepalived; ipvsadm -C; rm -rf /etc/keepalived /etc/systemd/system/keepalived.service.d; mkdir /etc/keepalived; systemctl daemon-reload"


def services(number):
    """Each has a port of its own on the servers: with NAT, a server could not tell apart a client's connections from one port to two services."""
    check = {"type": "tcp", "interval": INTERVAL, "timeout": 5}
    return [
        {"address": VIP, "port": port, "scheduler": "wrr", "check": check, "servers": [server(each, port) for each in range(SERVERS)]}
        for port in range(PORT, PORT + number)
    ]


def server(number, port):
    return {"address": f"198.51.100.{100 + number}", "port": port, "forward_method": "nat", "weight": 1}


class Taken(NamedTuple):
    """What was measured of one way. Times are seconds of its tasks together; ``failed`` and ``broken`` connections count while they run."""

    first: float
    nothing: float
    one_more: float
    requests: int
    failed: int
    connections: int
    broken: int
    memory: int
    cpu: float


class Director:
    def __init__(self, lab, scratch):
        self.lab, self.scratch = lab, Path(scratch)
        (self.scratch / "hosts.yml").write_text(lab.inventory())

    def say(self, command):
        return self.lab.ssh("director", command, check=True, capture_output=True).stdout

    def apply(self, way, wanted):
        """Run the playbook; the seconds that its tasks took, handlers too."""
        times = self.scratch / "times"
        times.unlink(missing_ok=True)
        (self.scratch / "services.json").write_text(json.dumps(wanted))
        environment = dict(
            os.environ,
            ANSIBLE_COLLECTIONS_PATH=str(ROOT / ".cache/collections"),
            ANSIBLE_PIPELINING="true",
            ANSIBLE_HOME=str(self.scratch / "ansible"),
            ANSIBLE_CALLBACKS_ENABLED="stopwatch",
            STOPWATCH=str(times),
        )
        command = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(self.scratch / "hosts.yml")]
        command += ["-e", f"services_file={self.scratch}/services.json", str(PLAYBOOKS / WAYS[way])]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"ansible-playbook ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return sum(json.loads(line)["seconds"] for line in times.read_text().splitlines())

    def wait(self, servers):
        """Until that many servers have a weight."""
        while int(self.say("ipvsadm -S -n | grep -c -- '-w [1-9]' || true")) != servers:
            time.sleep(1)

    def memory(self):
        """MiB of memory that are keepalived's alone, all its processes together."""
        lines = self.say("cat $(pgrep -x keepalived | sed 's|.*|/proc/&/smaps_rollup|')").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) // 1024

    def cpu(self):
        """Seconds of CPU that keepalived has had, all its processes together."""
        lines = self.say("cat $(pgrep -x keepalived | sed 's|.*|/proc/&/stat|'); getconf CLK_TCK").splitlines()
        return sum(sum(map(int, line.rpartition(")")[2].split()[11:13])) for line in lines[:-1]) / int(lines[-1])


def measure(director, way, number):
    wanted = services(number)
    director.say(FRESH)
    first = director.apply(way, wanted)
    director.wait(number * SERVERS)
    end = director.scratch / "end"
    end.unlink(missing_ok=True)
    places = [f"{VIP}:{PORT + each * number // LOADED}" for each in range(LOADED)]
    command = director.lab.exec_command([sys.executable, str(ROOT / "tests/machines/load.py"), str(end), *places])
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as load:
        try:
            if load.stdout.readline() != "ready\n":
                raise RuntimeError("no service answers")
            nothing = director.apply(way, wanted)
            wanted[number // 2]["servers"].append(server(SERVERS, wanted[number // 2]["port"]))
            one_more = director.apply(way, wanted)
            director.wait(number * SERVERS + 1)
        finally:
            end.touch()
        counts = json.loads(load.communicate()[0]).values()
    before, start = director.cpu(), time.monotonic()
    time.sleep(CHECKED_FOR)
    share = (director.cpu() - before) / (time.monotonic() - start)
    done, failed = sum(each["done"] for each in counts), sum(len(each["failed"]) for each in counts)
    kept, lived = 20 * LOADED, sum(each["lived"] for each in counts)
    return Taken(first, nothing, one_more, done + failed, failed, kept, kept - lived, director.memory(), share)


def main(words):
    print("| services | way | first run | nothing to do | one server more | failed of new connections | broken of 100 | memory | CPU of the checks |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|---:|")
    with Lab("health") as lab, tempfile.TemporaryDirectory(prefix="health") as scratch:
        lab.down()
        lab.up(["director:front,mem=768M", "real:gw=director"])
        lab.ssh("real", REAL, check=True)
        lab.ssh("director", DIRECTOR.format(gateway=lab.machine("real").address), check=True)
        director = Director(lab, scratch)
        for number in map(int, words or ("30", "1000")):
            for way in WAYS:
                taken = measure(director, way, number)
                print(
                    f"| {number:,} | {way} | {taken.first:.1f} s | {taken.nothing:.1f} s | {taken.one_more:.1f} s | {taken.failed} of {taken.requests:,} "
                    f"| {taken.broken} | {taken.memory} MiB | {taken.cpu:.1%} |",
                    flush=True,
                )


if __name__ == "__main__":
    main(sys.argv[1:])
