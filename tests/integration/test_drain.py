# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_drain on a real kernel: with traffic, killed at every step, two at a time, IPv6, firewall marks, a thousand services."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain, _drain_record, _netlink, _saved
from tests.support import eventually

from .modules import ModuleFailed
from .site import SERVERS, SERVICE, Load, Site, nat

RS1, RS2, RS3 = "198.51.100.11", "198.51.100.12", "198.51.100.13"
RULES = """
-A -t 203.0.113.80:80 -s wrr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 3
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 2
-A -u 203.0.113.80:53 -s wrr
-a -u 203.0.113.80:53 -r 198.51.100.11:5353 -m -w 4
-a -u 203.0.113.80:53 -r 198.51.100.13:5353 -m -w 1
-A -f 7 -s wrr
-a -f 7 -r 198.51.100.11:0 -g -w 5
-a -f 7 -r 198.51.100.12:0 -g -w 6
-A -t [2001:db8::80]:443 -s wrr -p 300
-a -t [2001:db8::80]:443 -r [2001:db8::11]:443 -m -w 7
-a -t [2001:db8::80]:443 -r [2001:db8::12]:443 -m -w 8
-A -f 9 -6 -s wrr
-a -f 9 -6 -r [2001:db8::11]:0 -i -w 9 --tun-type ipip
-a -f 9 -6 -r [2001:db8::12]:0 -g -w 1
"""


@pytest.fixture
def drain(ipvs, tmp_path):
    """``drain(*addresses, **options)``: the module, with a folder of the test's own for its record."""

    def run(*addresses, **options):
        options = {"drain_interval": 0.1, "drain_timeout": 60, "state_directory": str(tmp_path / "state"), **options}
        return ipvs.module("ipvs_drain", **options, **({"addresses": list(addresses)} if addresses else {}))

    run.folder = tmp_path / "state"
    return run


def idle(ipvs):
    """The places with weight 0, as ipvsadm tells them."""
    return {line.split(" -r ")[1].split()[0] for line in ipvs.saved() if line.endswith(" -w 0") or " -w 0 " in line}


def test_every_kind_of_service(ipvs, drain):
    ipvs.restore(RULES)
    before = ipvs.saved()
    foretold = drain(RS1, "2001:DB8::0:11", check=True, diff=True)
    assert ipvs.saved() == before and not drain.folder.exists()
    done = drain(RS1, "2001:DB8::0:11", diff=True)
    for part in ("changed", "commands", "diff", "places", "drained"):
        assert foretold[part] == done[part], part
    changed = {f"{line.rpartition(' -w ')[0]} -w 0" if " -w " in line and ("100.11:" in line or "db8::11]" in line) else line for line in before}
    tunnel = next(line for line in before if "--tun-type" in line)
    changed = {line for line in changed if "-f 9 -6 -r [2001:db8::11]:0" not in line} | {tunnel.replace("-w 9", "-w 0")}
    assert set(ipvs.saved()) == changed
    assert [place["weight"] for place in done["places"]] == [3, 4, 7, 5, 9]
    assert not drain(RS1, "2001:db8::11")["changed"]
    # each comes back by itself
    drain("2001:db8::11", state="restored")
    assert idle(ipvs) == {"198.51.100.11:80", "198.51.100.11:5353", "198.51.100.11:0"}
    back = drain(RS1, state="restored")
    assert ipvs.saved() == before and len(back["commands"]) == 3
    assert not drain(RS1, state="restored")["changed"]
    assert list(drain.folder.iterdir()) == []


def test_two_at_a_time(ipvs, drain):
    """Together, and by two people of whom each knows of one."""
    ipvs.restore(RULES)
    before = ipvs.saved()
    for addresses in ((RS1, RS2), (RS2, RS1)):
        with pytest.raises(ModuleFailed, match="No server would accept new connections of tcp 203.0.113.80:80; fwmark 7. Restore another"):
            drain(*addresses)
    assert ipvs.saved() == before
    drain(RS1)
    with pytest.raises(ModuleFailed, match="would accept new connections of tcp 203.0.113.80:80; fwmark 7"):
        drain(RS2, check=True)
    drain(RS2, allow_empty=True)
    drain(RS1, state="restored")
    assert idle(ipvs) == {"198.51.100.12:80", "198.51.100.12:0"}
    drain(state="restored")
    assert ipvs.saved() == before


def test_two_at_the_same_time(ipvs, drain, monkeypatch):
    """Of two tasks for the last two servers one is refused, whichever comes second; the record holds what the other has taken out."""
    ipvs.restore(RULES)
    apply = _netlink.Kernel.apply

    def slow(kernel, operations):
        time.sleep(0.3)
        return apply(kernel, operations)

    monkeypatch.setattr(_netlink.Kernel, "apply", slow)
    children = {}
    for address in (RS1, RS2):
        children[address] = child(lambda address=address: drain(address))
    outcomes = {address: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for address, pid in children.items()}
    assert sorted(outcomes.values()) == [0, 1]
    taken = next(address for address, status in outcomes.items() if status == 0)
    assert {place.rpartition(":")[0] for place in idle(ipvs)} == {taken}
    monkeypatch.undo()
    drain(taken, state="restored")
    assert idle(ipvs) == set()


def child(function):
    """Call it in a process of its own, whose exit status is 1 where a module failed; its number."""
    pid = os.fork()
    if pid:
        return pid
    status = 2
    try:
        function()
        status = 0
    except ModuleFailed:
        status = 1
    finally:
        os._exit(status)


def die(*_arguments, **_options):
    os.kill(os.getpid(), signal.SIGKILL)


def at_the_end(function):
    """The function, and then death."""

    def run(*arguments, **options):
        function(*arguments, **options)
        die()

    return run


STEPS = {
    "the record is written and not in its place": (os, "replace", die),
    "the record is in its place": (_drain_record, "_sync", die),
    "before the weights": (_netlink.Kernel, "apply", die),
    "after the weights": (_netlink.Kernel, "apply", at_the_end(_netlink.Kernel.apply)),
    "half of the weights": (_netlink.Kernel, "apply", at_the_end(lambda kernel, operations, apply=_netlink.Kernel.apply: apply(kernel, operations[:2]))),
    "after the saved table": (_saved, "reweigh", at_the_end(_saved.reweigh)),
    "while it waits": (_drain, "wait_for_all", die),
}
OF_RESTORED = {
    **{step: STEPS[step] for step in ("before the weights", "after the weights", "half of the weights", "after the saved table")},
    "before the record goes": (_drain_record.Record, "write", die),
    "after the record has gone": (_drain_record, "_sync", die),
}


@pytest.fixture
def saved_table(ipvs):
    """The file of what the boot restores, with the table that there is; a function that tells its weights."""
    path = Path("/etc/ipvsadm.rules")
    earlier = path.read_text() if path.exists() else None
    ipvs.restore(RULES)
    with _netlink.Kernel() as kernel:
        path.write_text(_saved.render(kernel.read(), None, []))
    yield lambda: weights_of(_saved.read(str(path)))
    path.unlink() if earlier is None else path.write_text(earlier)


def weights_of(table):
    return {(ident, server.id): server.weight for ident, entry in table.items() for server in entry.servers.values()}


def in_kernel():
    with _netlink.Kernel() as kernel:
        return weights_of(kernel.read())


@pytest.mark.once
@pytest.mark.parametrize("then", ["drained", "restored"])
@pytest.mark.parametrize(
    ("state", "step"), [("drained", step) for step in STEPS] + [("restored", step) for step in OF_RESTORED], ids=lambda word: word.replace(" ", "_")
)
@pytest.mark.long
def test_killed_at_every_step(ipvs, drain, saved_table, monkeypatch, state, step, then):
    """Whatever comes next, the weights from before the first run are what is put back in the end, also by the next boot."""
    before = in_kernel()
    assert saved_table() == before
    if state == "restored":
        drain(RS1)
        assert saved_table() == in_kernel() != before
    with monkeypatch.context() as patch:
        patch.setattr(*(STEPS if state == "drained" else OF_RESTORED)[step])
        pid = child(lambda: drain(RS1, state=state))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    if then == "drained":
        drain(RS1)
        assert idle(ipvs) == {"198.51.100.11:80", "198.51.100.11:5353", "198.51.100.11:0"}
        assert saved_table() == in_kernel()
    drain(RS1, state="restored")
    assert in_kernel() == saved_table() == before
    assert not (drain.folder / "drained.json").exists()


def test_a_thousand_services(ipvs, drain):
    services = [
        {"address": "203.0.113.80", "port": port, "servers": [{"address": address, "forward_method": "nat", "weight": port} for address in (RS1, RS2)]}
        for port in range(1, 1001)
    ]
    ipvs.module("ipvs_table", services=services)
    done = drain(RS1)
    assert len(done["commands"]) == len(done["places"]) == 1000 and done["drained"]
    assert len(drain(RS1, state="restored")["commands"]) == 1000
    table = ipvs.module("ipvs_info")["services"]
    assert [server["weight"] for service in table for server in service["servers"]] == [service["port"] for service in table for _time in range(2)]


@pytest.fixture
def site(ipvs):
    with Site() as site:
        ipvs.module("ipvs_service", **SERVICE, scheduler="rr", servers=[nat("rs1"), nat("rs2")])
        ipvs.module("ipvs_service", address=SERVICE["address"], port=81, scheduler="rr", servers=[nat("rs1", port=80), nat("rs2", port=80)])
        yield site


@pytest.mark.once
@pytest.mark.long
def test_it_waits_for_connections(ipvs, drain, site):
    one = site.connect()
    while one.server != "rs1":
        one.close()
        one = site.connect()
    with one:
        with pytest.raises(ModuleFailed, match="1 seconds have passed .* 198.51.100.11:80 of tcp 203.0.113.80:80 has 1. The weights are 0") as failure:
            drain(SERVERS["rs1"], drain_timeout=1)
        result = failure.value.result
        assert result["changed"] and not result["drained"] and len(result["places"]) == 2
        assert [place["connections"]["active"] for place in result["places"]] == [1, 0]
        assert one.echo() and [site.ask() for _time in range(3)] == ["rs2"] * 3
        assert not drain(SERVERS["rs1"], wait=False)["drained"]
        closing = threading.Timer(1, one.close)
        closing.start()
        start = time.monotonic()
        assert drain(SERVERS["rs1"])["drained"]
        assert time.monotonic() - start >= 0.9
        closing.join()
    drain(SERVERS["rs1"], state="restored")
    assert sorted(site.ask() for _time in range(4)) == ["rs1"] * 2 + ["rs2"] * 2


@pytest.mark.once
def test_no_request_fails(ipvs, drain, site):
    Path("/proc/sys/net/ipv4/vs/expire_nodest_conn").write_text("1")
    with Load(site) as load:
        for _round in range(3):
            for name in ("rs1", "rs2"):
                drain(SERVERS[name])
                seen = load.requests
                eventually(lambda seen=seen: load.requests > seen + 2)
                drain(SERVERS[name], state="restored")
    assert (load.failed_requests, load.broken_connections) == (0, 0), load.errors
    assert set(load.answers) == set(SERVERS)
