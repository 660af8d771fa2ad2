# Copyright: Contributors to the lvs.ipvs project
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The program that keeps checks from taking more than a share of a pool out of its service.

keepalived starts it on the director, with the FIFO into which it writes every change of health, ends it with itself and starts it anew when it
reloads. keepalived sets a server's weight only when the health, or the weight in its configuration, changes. So the weight that this program gives
to a server which fails its check stays.

Needs Python's standard library and ipvsadm, nothing of the collection: this file is what is installed.
Source: keepalived.conf(5), lvs_notify_fifo; runs of 2.2.7 and 2.3.3.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import select
import signal
import subprocess
import sys
import syslog
from typing import Dict, NamedTuple

SETTINGS = "/var/lib/ipvs-director/pool_guard.json"
RECORD = "/run/ipvs-director-pool-guard.json"
"""Who failed, in the order in which they did, of the checker that is named in it: what a reload must not forget."""
DRAIN_FOLDER = "/var/lib/ipvs-director/drain"
DRAINED = -100000
_EVENT = re.compile(r"RS (\[.+?\]):\w+(:\d+) (.+) (UP|DOWN)$")
_LOOK = 1.0  # seconds between two looks at who is drained, of which keepalived writes nothing
_NEW = 5.0  # seconds: an older checker has been reloaded
_PARENT_DIED = 1  # PR_SET_PDEATHSIG


class Server(NamedTuple):
    """``rule_in``, ``rule_out``: the ipvsadm rules that give it its weight, and 0."""

    address: str
    weight: int
    rule_in: str
    rule_out: str


class Pool(NamedTuple):
    """``share``: percent of the weight that may be out; ``servers``: {name: Server}, by keepalived's names without the protocol."""

    service: str
    share: int
    servers: Dict[str, Server]


def staying(pool, failed, drained):
    """The names of those failed servers that stay: the ones that failed first go, as many as the share has room for.

    ``failed``: names in the order of failure; ``drained``: addresses. Drained servers are not part of the pool, and never stay.
    """
    room = sum(server.weight for server in pool.servers.values() if server.address not in drained) * pool.share // 100
    stay = []
    for name in failed:
        server = pool.servers[name]
        if server.address in drained:
            continue
        if server.weight <= room:
            room -= server.weight
        else:
            stay.append(name)
    return stay


class Guard:
    """What is known of the pools. A place is (number of the pool, name of the server); ``failed``: places in the order of failure."""

    def __init__(self, pools, failed=()):
        self.pools = pools
        self._numbers = {(pool.service, name): number for number, pool in enumerate(pools) for name in pool.servers}
        self.failed = [(self._numbers[pair], pair[1]) for pair in map(tuple, failed) if pair in self._numbers]
        self._heard = set(self.failed)  # places whose weights keepalived may have set since we did
        self._held = {}  # place: whether it stays, of those whose weight we have set

    def record(self):
        """What is given as ``failed`` to the next one."""
        return [(self.pools[number].service, name) for number, name in self.failed]

    def hear(self, line):
        """Take in one line of the FIFO."""
        event = _EVENT.match(line)
        if not event:
            return
        name = event.group(1) + event.group(2)
        number = self._numbers.get((event.group(3), name))
        if number is None:
            return
        if (number, name) in self.failed:
            self.failed.remove((number, name))
        if event.group(4) == "DOWN":
            self.failed.append((number, name))
        self._heard.add((number, name))

    def addresses(self):
        """Those of all servers in pools where one fails: whether they are drained matters."""
        return {server.address for number in self._concerned() for server in self.pools[number].servers.values()}

    def _concerned(self):
        return sorted({number for number, _name in self.failed} | {number for number, _name in self._heard})

    def decide(self, drained):
        """([rule to set], [line for the log]), for the addresses that are drained. Called again with others until they stay the same."""
        rules, lines = [], []
        for number in self._concerned():
            pool = self.pools[number]
            failed = [name for each, name in self.failed if each == number]
            stay = staying(pool, failed, drained)
            for name in failed:
                place, held = (number, name), name in stay
                if place in self._heard or self._held.get(place) != held:
                    rules.append(pool.servers[name].rule_in if held else pool.servers[name].rule_out)
                if held and not self._held.get(place):
                    lines.append("%s: more than %d%% of the weight fails; %s stays in service" % (pool.service, pool.share, name))
                self._held[place] = held
        for place in self._healthy_again():
            server = self.pools[place[0]].servers[place[1]]
            rules.append(server.rule_out if server.address in drained else server.rule_in)
        return rules, lines

    def _healthy_again(self):
        """Those whose weight we last set to 0, perhaps after keepalived had given it back."""
        return sorted(place for place in self._heard.difference(self.failed) if self._held.get(place) is False)

    def settled(self):
        """What has been decided is done."""
        for place in self._heard.difference(self.failed):
            self._held.pop(place, None)
        self._heard = set()


def read_pools(path):
    """[Pool] of a file of settings."""
    with open(path, encoding="utf-8") as stream:
        found = json.load(stream)
    return [Pool(each["service"], each["share"], {name: Server(**server) for name, server in each["servers"].items()}) for each in found]


def read_drained(addresses):
    """Those of the addresses that are drained, a set."""
    found = set()
    for address in addresses:
        try:
            with open(os.path.join(DRAIN_FOLDER, address), encoding="utf-8") as stream:
                if int(stream.read()) <= DRAINED:
                    found.add(address)
        except (OSError, ValueError):  # keepalived takes such a file as 0
            continue
    return found


def settle(guard):
    """Give every failed server the weight that it should have. Whoever is drained meanwhile stays drained."""
    addresses, before = guard.addresses(), None
    drained = read_drained(addresses)
    while drained != before:
        rules, lines = guard.decide(drained)
        if rules:
            _set(rules)
        for line in lines:
            syslog.syslog(syslog.LOG_WARNING, line)
        before, drained = drained, read_drained(addresses)
    guard.settled()


def _set(rules):
    """A rule for a server that is gone meanwhile fails, and the others are carried out."""
    _ipvsadm("-R", input="".join(rule + "\n" for rule in rules))


def _ipvsadm(*words, **options):
    """What it prints."""
    environment = dict(os.environ, PATH="/usr/sbin:/sbin:/usr/bin:/bin")
    try:
        return subprocess.run(["ipvsadm"] + list(words), env=environment, universal_newlines=True, stdout=subprocess.PIPE, check=False, **options).stdout
    except OSError as error:
        syslog.syslog(syslog.LOG_ERR, "ipvsadm: %s" % error.strerror)
        return ""


def without_weight(pools, rules):
    """[(service, name)] of the servers with weight 0 in the rules that ``ipvsadm -S -n`` prints, and not drained."""
    weightless = {line.partition(" -w ")[0] for line in rules.splitlines() if (line + " ").count(" -w 0 ")}
    found = [(pool, name) for pool in pools for name, server in pool.servers.items() if "-a" + server.rule_out.partition(" -w ")[0][2:] in weightless]
    drained = read_drained({pool.servers[name].address for pool, name in found})
    return [(pool.service, name) for pool, name in found if pool.servers[name].address not in drained]


def _checker():
    """The process that has started us, by a number that no other process ever has."""
    with open("/proc/%d/stat" % os.getppid(), encoding="utf-8", errors="replace") as stream:
        return "%d %s" % (os.getppid(), stream.read().rpartition(")")[2].split()[19])


def _age(checker):
    """Seconds."""
    with open("/proc/uptime", encoding="utf-8") as stream:
        return float(stream.read().split()[0]) - int(checker.split()[1]) / os.sysconf("SC_CLK_TCK")


def _recorded(checker):
    """What was recorded of this checker, or None."""
    try:
        with open(RECORD, encoding="utf-8") as stream:
            record = json.load(stream)
    except (OSError, ValueError):
        return None
    return record["failed"] if record["checker"] == checker else None


def _failed_before(pools, checker):
    """Who had failed before we were started. A new checker will say it of every server; one that has run without us will not."""
    recorded = _recorded(checker)
    if recorded is None and _age(checker) > _NEW:
        return without_weight(pools, _ipvsadm("-S", "-n"))
    return recorded or []


def _write_record(checker, guard):
    with open(RECORD + ".new", "w", encoding="utf-8") as stream:
        json.dump({"checker": checker, "failed": guard.record()}, stream)
    os.rename(RECORD + ".new", RECORD)


def watch(fifo, guard, checker, signals):
    """Until a signal arrives or nobody writes the FIFO any longer. ``signals``: a descriptor that has something when one has come."""
    part = b""
    while True:
        ready = select.select([fifo, signals], [], [], _LOOK if guard.failed else None)[0]
        if fifo in ready:  # before the signal: what is in it, nobody says again
            data = os.read(fifo, 1 << 20)
            lines = (part + data).split(b"\n")
            part = lines.pop()
            for line in lines:
                guard.hear(line.decode("ascii", "replace"))
            _write_record(checker, guard)
            if not data:
                return
        if signals in ready:
            return
        settle(guard)


def main(words):
    """``words``: the command line, whose last word is the FIFO."""
    syslog.openlog("ipvs-director-pool-guard", syslog.LOG_PID, syslog.LOG_DAEMON)
    received, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGTERM, lambda number, frame: None)
    signal.set_wakeup_fd(wake)
    ctypes.CDLL(None).prctl(_PARENT_DIED, int(signal.SIGTERM))  # or the next checker's events would come here
    fifo, checker = os.open(words[-1], os.O_RDONLY | os.O_NONBLOCK), _checker()
    pools = read_pools(SETTINGS)
    guard = Guard(pools, _failed_before(pools, checker))
    _write_record(checker, guard)
    settle(guard)
    watch(fifo, guard, checker, received)


if __name__ == "__main__":
    main(sys.argv)
