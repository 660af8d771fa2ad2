# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_service on a real kernel."""

from __future__ import annotations

import pytest

from .conftest import new_netns

WEB = {"address": "203.0.113.80", "port": 80}
WEB6 = {"address": "2001:db8::80", "port": 80}
MARK = {"fwmark": 7}


def nat(address, **options):
    return {"address": address, "forward_method": "nat", **options}


def test_walk_through(ipvs):
    result = ipvs.twice(
        "ipvs_service",
        **WEB,
        scheduler="rr",
        servers=[nat("198.51.100.11"), nat("198.51.100.12", port=8080, weight=3)],
    )
    assert result["changed"]
    assert ipvs.saved() == [
        "-A -t 203.0.113.80:80 -s rr",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:8080 -m -w 3",
    ]
    assert result["commands"] == [
        "ipvsadm -A -t 203.0.113.80:80 -s rr",
        "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.12:8080 -m -w 3",
    ]
    assert result["diff"]["before"] == ""
    assert sorted(result["diff"]["after"].splitlines()) == ipvs.saved()
    assert result["service"]["scheduler"] == "rr"
    assert [server["port"] for server in result["service"]["servers"]] == [80, 8080]


@pytest.mark.parametrize(
    "options, rule",
    [
        (WEB, "-A -t 203.0.113.80:80 -s wlc"),
        (dict(WEB, protocol="udp", scheduler="sed"), "-A -u 203.0.113.80:80 -s sed"),
        (dict(WEB, protocol="sctp", scheduler="nq"), "-A --sctp-service 203.0.113.80:80 -s nq"),
        (dict(WEB6, scheduler="lblc"), "-A -t [2001:db8::80]:80 -s lblc"),
        (dict(WEB6, protocol="udp", scheduler="dh"), "-A -u [2001:db8::80]:80 -s dh"),
        (dict(WEB6, protocol="sctp", scheduler="lc"), "-A --sctp-service [2001:db8::80]:80 -s lc"),
        (dict(WEB, address="2001:DB8:0:0::0050"), "-A -t [2001:db8::50]:80 -s wlc"),
        (dict(MARK, scheduler="wrr"), "-A -f 7 -s wrr"),
        (dict(MARK, family="ipv6", scheduler="fo"), "-A -f 7 -6 -s fo"),
        (dict(fwmark=2147483647), "-A -f 2147483647 -s wlc"),
        (dict(WEB, scheduler="none"), "-A -t 203.0.113.80:80 -s none"),
        (dict(WEB, scheduler="sh", scheduler_flags=["port", "fallback"]), "-A -t 203.0.113.80:80 -s sh -b sh-fallback,sh-port"),
        (dict(WEB, scheduler="mh", scheduler_flags=["port"]), "-A -t 203.0.113.80:80 -s mh -b mh-port"),
        (dict(WEB, scheduler="rr", scheduler_flags=["flag_3"]), "-A -t 203.0.113.80:80 -s rr -b flag-3"),
        (dict(WEB, persistence_timeout=360), "-A -t 203.0.113.80:80 -s wlc -p 360"),
        (
            dict(WEB, persistence_timeout=60, persistence_netmask="24"),
            "-A -t 203.0.113.80:80 -s wlc -p 60 -M 255.255.255.0",
        ),
        (
            dict(WEB, persistence_timeout=60, persistence_netmask="255.0.255.0"),
            "-A -t 203.0.113.80:80 -s wlc -p 60 -M 255.0.255.0",
        ),
        (dict(WEB, persistence_timeout=60, persistence_netmask="0"), "-A -t 203.0.113.80:80 -s wlc -p 60 -M 0.0.0.0"),
        (dict(WEB6, persistence_timeout=60, persistence_netmask="64"), "-A -t [2001:db8::80]:80 -s wlc -p 60 -M 64"),
        (dict(MARK, persistence_timeout=60, persistence_netmask="16"), "-A -f 7 -s wlc -p 60 -M 255.255.0.0"),
        (dict(WEB, port=0, persistence_timeout=300), "-A -t 203.0.113.80:0 -s wlc -p 300"),
        (
            dict(WEB, protocol="udp", persistence_timeout=60, persistence_engine="sip", scheduler="rr"),
            "-A -u 203.0.113.80:80 -s rr -p 60 --pe sip",
        ),
        (dict(WEB, protocol="udp", one_packet=True), "-A -u 203.0.113.80:80 -s wlc -o"),
        (dict(MARK, one_packet=True), "-A -f 7 -s wlc -o"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.long
def test_every_option_of_a_service(ipvs, options, rule):
    result = ipvs.twice("ipvs_service", **options)
    # ipvsadm takes a rule back the way it prints it, with words in its own order
    assert [sorted(line.split()) for line in ipvs.saved()] == [sorted(rule.split())]
    assert result["commands"] == ["ipvsadm " + rule]
    assert ipvs.module("ipvs_info")["services"] == [result["service"]]
    gone = ipvs.twice("ipvs_service", **{key: options[key] for key in options if key in ("address", "port", "protocol", "fwmark", "family")}, state="absent")
    assert gone["changed"] and gone["service"] is None
    assert ipvs.is_empty()


def test_a_mark_that_ipvsadm_prints_with_a_minus_sign(ipvs):
    result = ipvs.twice("ipvs_service", fwmark=4294967295)
    assert result["service"]["fwmark"] == 4294967295
    assert ipvs.saved() == ["-A -f -1 -s wlc"]
    ipvs.twice("ipvs_service", fwmark=4294967295, state="absent")
    assert ipvs.is_empty()


FULL = dict(
    WEB,
    protocol="udp",
    scheduler="sh",
    scheduler_flags=["fallback"],
    persistence_timeout=100,
    persistence_netmask="24",
    persistence_engine="sip",
    one_packet=True,
)
UDP = dict(WEB, protocol="udp")


@pytest.mark.parametrize(
    "change",
    [
        {"scheduler": "mh"},
        {"scheduler_flags": ["port"]},
        {"scheduler_flags": []},
        {"persistence_timeout": 200},
        {"persistence_netmask": "16"},
        {"persistence_engine": ""},
        {"one_packet": False},
    ],
    ids=str,
)
def test_one_option_changes_and_what_is_left_out_is_left_alone(ipvs, change):
    ipvs.module("ipvs_service", **FULL, servers=[nat("198.51.100.11", weight=5)])
    before = ipvs.module("ipvs_info")["services"][0]
    result = ipvs.twice("ipvs_service", **UDP, **change)
    assert len(result["commands"]) == 1 and result["commands"][0].startswith("ipvsadm -E ")
    assert result["service"] == ipvs.module("ipvs_info")["services"][0] == dict(before, **change)
    # and all of it left out changes nothing
    assert not ipvs.twice("ipvs_service", **UDP)["changed"]


def test_persistence_off_takes_its_netmask_along(ipvs):
    ipvs.module("ipvs_service", **WEB, persistence_timeout=100, persistence_netmask="24")
    result = ipvs.twice("ipvs_service", **WEB, persistence_timeout=0)
    assert result["service"]["persistence_netmask"] == "32"
    assert ipvs.saved() == ["-A -t 203.0.113.80:80 -s wlc"]


def test_an_edit_keeps_counters_and_servers(ipvs):
    ipvs.restore("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0\n")
    ipvs.twice("ipvs_service", **WEB, scheduler="wrr")
    assert ipvs.saved() == ["-A -t 203.0.113.80:80 -s wrr", "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 0"]


def test_other_servers_stay_unless_purged(ipvs):
    ipvs.restore(
        "-A -t 203.0.113.80:80 -s rr\n"
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1\n"
        "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 10\n"
    )
    desired = dict(WEB, servers=[{"address": "198.51.100.11", "weight": 10}])
    kept = ipvs.twice("ipvs_service", **desired)
    assert kept["commands"] == ["ipvsadm -e -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 10"]
    assert [server["weight"] for server in kept["service"]["servers"]] == [10, 10]
    assert not ipvs.twice("ipvs_service", **dict(WEB, servers=[]))["changed"]

    purged = ipvs.twice("ipvs_service", **desired, purge_servers=True)
    assert purged["commands"] == ["ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.12:80"]
    assert ipvs.saved()[1:] == ["-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 10"]
    assert ipvs.module("ipvs_info")["services"] == [purged["service"]]

    emptied = ipvs.twice("ipvs_service", **WEB, servers=[], purge_servers=True)
    assert emptied["service"]["servers"] == []
    assert ipvs.saved() == ["-A -t 203.0.113.80:80 -s rr"]


def test_new_servers_come_before_old_ones_go(ipvs):
    ipvs.restore("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1\n")
    result = ipvs.twice("ipvs_service", **WEB, scheduler="wrr", servers=[nat("198.51.100.12")], purge_servers=True)
    assert [command.split()[1] for command in result["commands"]] == ["-E", "-a", "-d"]


def test_absent_takes_the_servers_along_and_nothing_else(ipvs):
    ipvs.restore(
        "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1\n"
        "-A -u 203.0.113.80:80 -s rr\n-A -t 203.0.113.80:8 -s rr\n-A -t 203.0.113.8:80 -s rr\n"
    )
    result = ipvs.twice("ipvs_service", **WEB, state="absent")
    assert result["diff"] == {
        "before": "-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1\n",
        "after": "",
    }
    assert ipvs.saved() == ["-A -t 203.0.113.80:8 -s rr", "-A -t 203.0.113.8:80 -s rr", "-A -u 203.0.113.80:80 -s rr"]


def test_another_network_namespace(ipvs):
    with new_netns() as other:
        pass_name = {"netns": ipvs.netns}
        pass_path = {"netns": "/run/netns/" + ipvs.netns}
        for number, where in enumerate((pass_name, pass_path)):
            assert ipvs.module("ipvs_service", **where, fwmark=number + 1)["changed"]
            assert not ipvs.module("ipvs_service", **where, fwmark=number + 1)["changed"]
        assert ipvs.saved() == [], other  # nothing here
        assert ipvs.module("ipvs_info")["services"] == []
    assert ipvs.saved() == ["-A -f 1 -s wlc", "-A -f 2 -s wlc"]
