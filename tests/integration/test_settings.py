# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_timeouts, ipvs_sync_daemon, ipvs_counters and ipvs_info on a real kernel."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._table import _plan, _settings
from ansible_collections.lvs.ipvs.plugins.module_utils._table._netlink import Kernel
from tests.support import eventually

from .modules import ModuleFailed

DAEMON = {"role": "master", "interface": "lo"}


def timeouts_of(ipvs):
    return [int(number) for number in re.findall(r"\d+", ipvs.ipvsadm("-L", "--timeout"))]


def daemons_of(ipvs):
    """What ``ipvsadm -L --daemon`` says: role -> words."""
    lines = [line.replace("(", "").split() for line in ipvs.ipvsadm("-L", "--daemon").splitlines()]
    return {words[0]: words[3:] for words in lines}


# ipvs_timeouts


@pytest.mark.parametrize(
    "desired, expected",
    [
        ({"tcp": 3600}, [3600, 120, 300]),
        ({"tcp_fin": 1}, [900, 1, 300]),
        ({"udp": 86400}, [900, 120, 86400]),
        ({"tcp": 60, "tcp_fin": 61, "udp": 62}, [60, 61, 62]),
    ],
    ids=str,
)
def test_timeouts(ipvs, desired, expected):
    result = ipvs.twice("ipvs_timeouts", **desired)
    assert timeouts_of(ipvs) == expected == list(result["timeouts"].values())
    assert result["commands"] == ["ipvsadm --set %d %d %d" % tuple(expected)]
    assert result["diff"] == {"before": "--set 900 120 300\n", "after": "--set %d %d %d\n" % tuple(expected)}
    assert ipvs.module("ipvs_info")["timeouts"] == result["timeouts"]


def test_timeouts_0_and_left_out_mean_keep(ipvs):
    ipvs.ipvsadm("--set", "100", "200", "300")
    for desired in ({"tcp": 0}, {"tcp": 0, "tcp_fin": 0, "udp": 0}, {"udp": 300}):
        assert not ipvs.twice("ipvs_timeouts", **desired)["changed"]
    ipvs.twice("ipvs_timeouts", tcp=0, tcp_fin=20)
    assert timeouts_of(ipvs) == [100, 20, 300]


def test_timeouts_are_those_of_the_namespace(ipvs, netns):
    ipvs.twice("ipvs_timeouts", udp=77, netns=netns)
    assert timeouts_of(ipvs) == [900, 120, 77]


# ipvs_sync_daemon


@pytest.fixture
def daemons(ipvs):
    """With an interface for IPv6. The daemons must end with the test: their threads keep the namespace."""
    subprocess.run(["ip", "-batch", "-"], input="link add eth7 type dummy\nlink set eth7 up\n", text=True, check=True)
    yield ipvs
    for role in ("master", "backup"):
        ipvs.module("ipvs_sync_daemon", role=role, state="absent")


def daemon_twice(ipvs, **options):
    """``ipvs.twice`` for a daemon of which the kernel chooses the length."""
    foretold = ipvs.module("ipvs_sync_daemon", check=True, diff=True, **options)
    done = ipvs.module("ipvs_sync_daemon", diff=True, **options)
    assert (foretold["changed"], foretold["commands"]) == (done["changed"], done["commands"])
    for name, value in foretold["sync_daemon"].items():
        assert value in (None, done["sync_daemon"][name]), name
    again = ipvs.module("ipvs_sync_daemon", diff=True, **options)
    assert not again["changed"]
    assert again["sync_daemon"] == done["sync_daemon"]
    assert again["diff"]["before"] == again["diff"]["after"] == done["diff"]["after"]
    return done


def test_a_sync_daemon_of_each_role(daemons):
    master = daemon_twice(daemons, **DAEMON, sync_id=7)
    assert master["sync_daemon"] == {
        "role": "master",
        "interface": "lo",
        "sync_id": 7,
        "max_length": 1472,
        "multicast_group": "224.0.0.81",
        "multicast_port": 8848,
        "multicast_ttl": 1,
    }
    assert master["diff"]["before"] == ""
    listed = daemons_of(daemons)["master"]
    assert "mcast=lo," in listed and "syncid=7," in listed and "group=224.0.0.81," in listed and "port=8848," in listed

    backup = daemon_twice(daemons, role="backup", interface="eth7", multicast_group="ff02::81", multicast_port=9999, multicast_ttl=3)
    assert set(daemons_of(daemons)) == {"master", "backup"}
    assert "port=9999," in daemons_of(daemons)["backup"]
    # in the order of their names, whole
    assert daemons.module("ipvs_info")["sync_daemons"] == [backup["sync_daemon"], master["sync_daemon"]]

    gone = daemons.twice("ipvs_sync_daemon", role="master", state="absent")
    assert gone["changed"] and gone["sync_daemon"] is None
    assert gone["commands"] == ["ipvsadm --stop-daemon master"]
    assert set(daemons_of(daemons)) == {"backup"}


@pytest.mark.parametrize(
    "role, asked, clamped",
    [("master", 1, 1), ("master", 65507, 65507), ("backup", 1, 1024), ("backup", 2000, 2000)],
)
def test_a_length_is_compared_as_the_kernel_clamps_it(daemons, role, asked, clamped):
    result = daemons.twice("ipvs_sync_daemon", role=role, interface="lo", max_length=asked)
    assert result["sync_daemon"]["max_length"] == clamped
    assert "maxlen=%d," % clamped in daemons_of(daemons)[role]


def test_a_length_with_a_group_of_ipv6(daemons):
    result = daemons.twice("ipvs_sync_daemon", role="master", interface="eth7", max_length=65507, multicast_group="ff02::81")
    assert result["sync_daemon"]["max_length"] == 65487


def sync_threads():
    """The kernel's threads of sync daemons, of all namespaces."""
    names = {path.parent: path.read_text() for path in Path("/proc").glob("[0-9]*/comm")}
    return {path for path, name in names.items() if name.startswith("ipvs-")}


LINKS = """\
link property add dev eth7 altname other7
link add down0 type dummy
link add small0 mtu 1000 type dummy
link set small0 up
link add tiny.0 mtu 60 type dummy
link set tiny.0 up
"""


def test_what_is_refused_beforehand_is_what_the_kernel_would_refuse(daemons):
    """An interface that isn't there, one that is down, and such as have no IPv6, or no IPv4 either."""
    subprocess.run(["ip", "-batch", "-"], input=LINKS, text=True, check=True)
    options = {"sync_id": 0, "max_length": None, "multicast_port": 8848, "multicast_ttl": 1}
    differing, refused = [], 0
    with Kernel() as kernel:
        for role in ("master", "backup"):
            for interface in ("lo", "eth7", "other7", "down0", "small0", "tiny.0", "nosuch0"):
                for group in ("224.0.0.81", "239.1.1.1", "ff02::81", "ff05::81"):
                    daemon = _settings.Daemon(role, interface, multicast_group=group, **options)
                    [outcome] = kernel.apply([_plan.Operation(_plan.START_DAEMON, None, None, daemon)])
                    if outcome == 0:
                        kernel.apply([_plan.Operation(_plan.STOP_DAEMON, None, daemon, None)])
                    refused += outcome != 0
                    if (outcome == 0) != succeeds(daemons, role=role, interface=interface, multicast_group=group):
                        differing.append((role, interface, group, outcome))
    assert not differing and refused >= 16


def succeeds(daemons, **options):
    try:
        return daemons.module("ipvs_sync_daemon", check=True, **options)["changed"]
    except ModuleFailed as failure:
        assert re.match("(interface|multicast_group): '", failure.result["msg"])
        return False


def test_a_daemon_is_changed_by_stop_and_start_and_keeps_what_is_left_out(daemons):
    daemons.module("ipvs_sync_daemon", **DAEMON, sync_id=7, max_length=1000, multicast_ttl=5)
    result = daemons.twice("ipvs_sync_daemon", role="master", sync_id=8)
    assert [command.split()[1] for command in result["commands"]] == ["--stop-daemon", "--start-daemon"]
    kept = (result["sync_daemon"]["interface"], result["sync_daemon"]["max_length"], result["sync_daemon"]["multicast_ttl"])
    assert kept == ("lo", 1000, 5)
    assert not daemons.twice("ipvs_sync_daemon", role="master")["changed"]
    assert "syncid=8," in daemons_of(daemons)["master"]


def test_a_daemon_is_stopped_right_after_it_was_started(daemons):
    """Its thread may not have run yet; then the kernel stops it and gives no answer."""
    for _time in range(10):
        daemons.module("ipvs_sync_daemon", **DAEMON)
        assert daemons.module("ipvs_sync_daemon", role="master", state="absent")["changed"]
    assert daemons_of(daemons) == {}


def test_a_daemon_that_cannot_be_changed_runs_on(daemons, netns):
    """It isn't stopped and started again: its thread stays. So for a port that somebody else has taken."""
    for role, wrong in (
        ("master", {"interface": "nosuch0"}),
        ("master", {"multicast_group": "ff02::81"}),
        ("backup", {"multicast_port": 8849}),
    ):
        before = daemons.module("ipvs_sync_daemon", role=role, interface="lo", sync_id=7)["sync_daemon"]
        threads = sync_threads()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.bind(("224.0.0.81", 8849))
            for options in ({"check": True}, {}, {"netns": netns}):
                failed = daemons.fails("ipvs_sync_daemon", role=role, **wrong, **options)
                assert failed["msg"].startswith(f"{next(iter(wrong))}: ")
        assert sync_threads() == threads and len(threads) >= 1
        assert daemons.module("ipvs_info")["sync_daemons"] == [before]
        daemons.module("ipvs_sync_daemon", role=role, state="absent")


def test_a_daemon_that_does_not_start_all_the_same_gives_way_to_the_one_that_ran(daemons):
    """With two threads the kernel takes the port after it as well, which nothing can tell before."""
    Path("/proc/sys/net/ipv4/vs/sync_ports").write_text("2")
    before = daemons.module("ipvs_sync_daemon", role="backup", interface="lo", multicast_port=9000)["sync_daemon"]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("224.0.0.81", 8849))
        failed = daemons.fails("ipvs_sync_daemon", role="backup", multicast_port=8848)
    assert "EADDRINUSE" in failed["msg"]
    assert "The backup sync daemon runs as before: ipvsadm --start-daemon backup --mcast-interface lo" in failed["msg"]
    assert daemons.module("ipvs_info")["sync_daemons"] == [before]


def test_a_master_without_an_address(daemons):
    assert "eth7 has no IPv4 address" in daemons.module("ipvs_sync_daemon", role="master", interface="eth7")["warnings"][0]
    assert "warnings" not in daemons.module("ipvs_sync_daemon", role="master", interface="lo")


def test_no_daemon_beside_a_server_of_the_other_family(daemons):
    daemons.fill("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r [2001:db8::11]:80 -i -w 1 --tun-type ipip\n")
    for check in (True, False):
        failed = daemons.fails("ipvs_sync_daemon", **DAEMON, check=check)
        assert "[2001:db8::11]:80 of service tcp 203.0.113.80:80" in failed["msg"]


# ipvs_counters


@pytest.fixture
def counted(ipvs):
    """Two services that each have one packet on their counters."""
    subprocess.run(["ip", "-batch", "-"], input="addr add 203.0.113.80/32 dev lo\naddr add 198.51.100.11/32 dev lo\n", text=True, check=True)
    ipvs.restore(
        "".join(
            f"-A -u 203.0.113.80:{port} -s rr\n-a -u 203.0.113.80:{port} -r 198.51.100.11:{port} -m -w 1\n" for port in (53, 54)
        )
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for port in (53, 54):
            client.sendto(b"hello", ("203.0.113.80", port))
    eventually(lambda: packets_of(ipvs) == [1] * 4)  # the kernel sums its counters up every two seconds
    return ipvs


def packets_of(ipvs):
    """Packets in, of each service and its server, as ``ipvsadm --stats --exact`` counts them."""
    lines = ipvs.ipvsadm("-Ln", "--stats", "--exact").splitlines()
    return [int(line.split()[-4]) for line in lines if "113.80:" in line or "->" in line and "100.11:" in line]


def test_counters_of_one_service(counted):
    before = counted.module("ipvs_info", statistics=True)["services"][0]["statistics"]
    assert before["connections"] == 1 and before["in_packets"] == 1 and before["in_bytes"] == 33
    one = {"address": "203.0.113.80", "port": 53, "protocol": "udp"}
    result = counted.twice("ipvs_counters", **one)
    assert result["commands"] == ["ipvsadm -Z -u 203.0.113.80:53"]
    assert result["diff"]["before"] != result["diff"]["after"]
    after = counted.module("ipvs_info", statistics=True)["services"]
    assert [service["statistics"]["in_packets"] for service in after] == [0, 1]
    assert [service["servers"][0]["statistics"]["in_packets"] for service in after] == [0, 1]
    assert after[1]["servers"][0]["statistics"]["inactive_connections"] == 1


def test_counters_of_a_protocol_or_a_family(counted):
    counted.restore("-A -t 203.0.113.80:53 -s rr\n")
    for written in ({"protocol": "tcp"}, {"family": "ipv6"}, {"protocol": "udp", "family": "ipv6"}):
        assert not counted.twice("ipvs_counters", **written)["changed"]
    assert packets_of(counted) == [0, 1, 1, 1, 1]
    assert counted.twice("ipvs_counters", protocol="udp", family="ipv4")["commands"] == [f"ipvsadm -Z -u 203.0.113.80:{port}" for port in (53, 54)]
    assert packets_of(counted) == [0] * 5


def test_counters_of_all(counted):
    assert counted.twice("ipvs_counters")["commands"] == ["ipvsadm -Z"]
    assert packets_of(counted) == [0, 0, 0, 0]


def test_counters_of_a_service_that_is_not_there(ipvs):
    assert "there is no such virtual service" in ipvs.fails("ipvs_counters", fwmark=9)["msg"]
    foretold = ipvs.module("ipvs_counters", check=True, fwmark=9)
    assert not foretold["changed"] and "an earlier task may create it" in foretold["warnings"][0]


# ipvs_info

SERVICES = """\
-A -t 203.0.113.80:80 -s rr
-A -t 203.0.113.80:443 -s rr
-A -u 203.0.113.80:80 -s rr
-A -t 203.0.113.9:80 -s rr
-A -t [2001:db8::80]:80 -s rr
-A -f 7 -s rr
-A -f 7 -6 -s rr
"""


def test_info_filters(ipvs):
    ipvs.fill(SERVICES)
    for criteria, number in [
        ({}, 7),
        ({"address": "203.0.113.80"}, 3),
        ({"address": "203.0.113.80", "port": 80}, 2),
        ({"address": "203.0.113.80", "port": 80, "protocol": "tcp"}, 1),
        ({"protocol": "tcp"}, 4),
        ({"port": 80}, 4),
        ({"address": "2001:DB8::0:80"}, 1),
        ({"family": "ipv6"}, 2),
        ({"fwmark": 7}, 2),
        ({"fwmark": 7, "family": "ipv4"}, 1),
        ({"fwmark": 8}, 0),
        ({"address": "203.0.113.8"}, 0),
    ]:
        result = ipvs.module("ipvs_info", **criteria)
        assert len(result["services"]) == number, criteria
        assert not result["changed"]


def test_info_sorts_and_tells_of_the_kernel(ipvs):
    ipvs.restore(SERVICES + "".join("-a -f 7 -r 198.51.100.%d:0 -m\n" % number for number in (10, 9, 100)))
    result = ipvs.module("ipvs_info")
    addresses = ["203.0.113.9", "203.0.113.80", "203.0.113.80", "203.0.113.80", "2001:db8::80", None, None]
    assert [service.get("address") for service in result["services"]] == addresses
    assert [server["address"][11:] for server in result["services"][5]["servers"]] == ["9", "10", "100"]
    assert result["loaded"] is True
    assert result["idle_servers"] == []
    ipvs.ipvsadm("-e", "-f", "7", "-r", "198.51.100.10:0", "-m", "-w", "0")
    assert ipvs.module("ipvs_info")["idle_servers"] == ["198.51.100.10:0 of fwmark 7"]
    assert "version %s (size=%d)" % (result["version"], result["connection_table_size"]) in ipvs.ipvsadm("-L")


def test_info_of_nothing(ipvs):
    result = ipvs.module("ipvs_info", statistics=True)
    assert (result["services"], result["sync_daemons"]) == ([], [])
