# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_table on a real kernel: merging, pruning, rules, and what ipvs_info returns given back."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from .conftest import new_netns

TABLE = """\
-A -t 203.0.113.80:80 -s rr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0
-A -u 203.0.113.80:53 -s sh -b sh-port -p 60 -M 255.255.255.0
-a -u 203.0.113.80:53 -r 198.51.100.11:5353 -m -w 10 -x 100 -y 10
-A -t [2001:db8::80]:80 -s mh -p 60 -M 64
-a -t [2001:db8::80]:80 -r [2001:db8::11]:80 -g -w 1
-A --sctp-service 203.0.113.81:99 -s wlc
-A -f 7 -s rr
-a -f 7 -r 198.51.100.11:0 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum
-a -f 7 -r 198.51.100.12:0 -i -w 1 --tun-type gre --tun-csum
-A -f 7 -6 -s rr
-A -f 150 -s rr
"""
WEB = {"address": "203.0.113.80", "port": 80}
DNS = {"address": "203.0.113.80", "port": 53, "protocol": "udp"}


def services_of(ipvs):
    return sorted(line.split(" -s ")[0].removeprefix("-A ") for line in ipvs.saved() if line.startswith("-A"))


def test_a_whole_table(ipvs):
    server = {"address": "198.51.100.11", "forward_method": "nat"}
    result = ipvs.twice(
        "ipvs_table",
        services=[
            dict(WEB, scheduler="rr", servers=[server, {"address": "198.51.100.12", "weight": 0}]),
            dict(DNS, persistence_timeout=60),
            {"fwmark": 7, "family": "ipv6", "servers": [{"address": "2001:db8::11"}]},
        ],
    )
    assert ipvs.saved() == [
        "-A -f 7 -6 -s wlc",
        "-A -t 203.0.113.80:80 -s rr",
        "-A -u 203.0.113.80:53 -s wlc -p 60",
        "-a -f 7 -6 -r [2001:db8::11]:0 -g -w 1",
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -g -w 0",
    ]
    assert sorted(result["diff"]["after"].splitlines()) == ipvs.saved()
    assert len(result["commands"]) == 6
    # in the order that was asked for
    assert [service.get("port") for service in result["services"]] == [80, 53, None]


def test_what_is_left_out_is_left_alone(ipvs):
    ipvs.fill(TABLE)
    before = ipvs.saved()
    desired = [dict(WEB, servers=[{"address": "198.51.100.12"}]), dict(DNS), {"fwmark": 7, "servers": [{"address": "198.51.100.11"}]}]
    assert not ipvs.twice("ipvs_table", services=desired)["changed"]
    assert ipvs.saved() == before


@pytest.mark.parametrize("statistics", [False, True])
def test_what_ipvs_info_returns_goes_in_unchanged(ipvs, statistics):
    ipvs.restore(TABLE)
    info = ipvs.module("ipvs_info", statistics=statistics)
    given_back = ipvs.twice("ipvs_table", services=info["services"], purge_servers=True, prune=True)
    assert not given_back["changed"]
    ipvs.ipvsadm("-C")
    made = ipvs.twice("ipvs_table", services=info["services"], purge_servers=True, prune=True)
    assert made["changed"]
    again = ipvs.module("ipvs_info")
    assert again["services"] == made["services"] == given_back["services"]


def test_rules_text(ipvs):
    result = ipvs.twice("ipvs_table", rules=TABLE)
    assert len(result["services"]) == 7
    made = ipvs.module("ipvs_info")["services"]
    ipvs.ipvsadm("-C")
    ipvs.restore(TABLE)
    assert ipvs.module("ipvs_info")["services"] == made
    assert not ipvs.twice("ipvs_table", rules=TABLE, purge_servers=True, prune=True)["changed"]


def test_rules_as_ipvsadm_saves_them(ipvs):
    ipvs.restore(TABLE.replace(" -x 100 -y 10", ""))
    assert not ipvs.twice("ipvs_table", rules=ipvs.ipvsadm("-S", "-n"), purge_servers=True, prune=True)["changed"]


def test_a_rule_says_the_defaults_too(ipvs):
    ipvs.fill(TABLE)
    result = ipvs.twice("ipvs_table", rules="-A -t 203.0.113.80:80\n-a -t 203.0.113.80:80 -r 198.51.100.12 -m\n")
    assert sorted(command.split()[1] for command in result["commands"]) == ["-E", "-e"]
    assert "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 1" in ipvs.saved()


def test_prune_all(ipvs):
    ipvs.fill(TABLE)
    result = ipvs.twice("ipvs_table", services=[dict(WEB, servers=[{"address": "198.51.100.12"}]), DNS], purge_servers=True, prune=True)
    # the servers of a service that is listed without any are not spoken of
    assert ipvs.saved() == [
        "-A -t 203.0.113.80:80 -s rr",
        "-A -u 203.0.113.80:53 -s sh -p 60 -M 255.255.255.0 -b sh-port",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0",
        "-a -u 203.0.113.80:53 -r 198.51.100.11:5353 -m -w 10",
    ]
    assert "-A -f 150 -s rr" in result["diff"]["before"]
    assert "-A -f 150 -s rr" not in result["diff"]["after"]
    for check in (True, False):
        message = ipvs.fails("ipvs_table", check=check, services=[], prune=True)["msg"]
        assert "services: []: no service is listed, and prune would remove 2 services (tcp 203.0.113.80:80, udp 203.0.113.80:53)" in message
        assert "rules: '# none'" in ipvs.fails("ipvs_table", check=check, rules="# none", prune=True)["msg"]
        assert "prune_force: true" in ipvs.fails("ipvs_table", check=check, services=[], prune=True, prune_scope={"protocols": ["udp"]})["msg"]
    assert ipvs.twice("ipvs_table", services=[], prune=True, prune_force=True)["commands"] == ["ipvsadm -C"]
    assert ipvs.is_empty()
    assert not ipvs.twice("ipvs_table", rules="", prune=True)["changed"]


def test_servers_are_purged_without_pruning_services(ipvs):
    ipvs.fill(TABLE)
    others = [line for line in ipvs.saved() if "203.0.113.80:80" not in line]
    desired = [dict(WEB, servers=[{"address": "198.51.100.12"}]), DNS]
    result = ipvs.twice("ipvs_table", services=desired, purge_servers=True)
    assert result["commands"] == ["ipvsadm -d -t 203.0.113.80:80 -r 198.51.100.11:80"]
    assert [line for line in ipvs.saved() if "203.0.113.80:80" not in line] == others
    # and with rules, which always say which servers a service has
    ipvs.twice("ipvs_table", rules="-A -f 7 -s rr\n", purge_servers=True)
    assert [line for line in ipvs.saved() if " -f 7 -s" in line or " -f 7 -r" in line] == ["-A -f 7 -s rr"]


def test_what_has_no_effect_on_removal_is_no_error(ipvs):
    """Such options may come from module_defaults."""
    ipvs.fill(TABLE)
    ipvs.twice("ipvs_service", **WEB, scheduler="wrr", purge_servers=True)
    assert len([line for line in ipvs.saved() if "-a -t 203.0.113.80:80" in line]) == 2
    ipvs.twice("ipvs_service", **WEB, state="absent", purge_servers=True)
    ipvs.twice("ipvs_table", services=[DNS], state="absent", purge_servers=True, prune=True, prune_scope={"fwmarks": ["7"]})
    assert services_of(ipvs) == [ident for ident in EVERY if "203.0.113.80" not in ident]


EVERY = ["--sctp-service 203.0.113.81:99", "-f 150", "-f 7", "-f 7 -6", "-t 203.0.113.80:80", "-t [2001:db8::80]:80", "-u 203.0.113.80:53"]


@pytest.mark.parametrize(
    "scope, gone",
    [
        ({"addresses": ["203.0.113.80"]}, ["-t 203.0.113.80:80", "-u 203.0.113.80:53"]),
        ({"addresses": ["203.0.113.0/24"]}, ["--sctp-service 203.0.113.81:99", "-t 203.0.113.80:80", "-u 203.0.113.80:53"]),
        ({"addresses": ["2001:db8::/32", "203.0.113.81/32"]}, ["--sctp-service 203.0.113.81:99", "-t [2001:db8::80]:80"]),
        ({"addresses": ["198.51.100.0/24"]}, []),
        ({"protocols": ["tcp"]}, ["-t 203.0.113.80:80", "-t [2001:db8::80]:80"]),
        ({"protocols": ["udp", "sctp"]}, ["--sctp-service 203.0.113.81:99", "-u 203.0.113.80:53"]),
        ({"addresses": ["203.0.113.0/24"], "protocols": ["udp"]}, ["-u 203.0.113.80:53"]),
        ({"fwmarks": ["7"]}, ["-f 7", "-f 7 -6"]),
        ({"fwmarks": ["100-199"]}, ["-f 150"]),
        ({"fwmarks": ["1-4294967295"], "protocols": ["sctp"]}, ["--sctp-service 203.0.113.81:99", "-f 150", "-f 7", "-f 7 -6"]),
    ],
    ids=str,
)
def test_prune_scope(ipvs, scope, gone):
    ipvs.fill(TABLE)
    ipvs.twice("ipvs_table", services=[], prune=True, prune_scope=scope, prune_force=True)
    assert services_of(ipvs) == [ident for ident in EVERY if ident not in gone]


def test_pruning_services_says_nothing_of_servers(ipvs):
    ipvs.fill(TABLE)
    desired = [dict(WEB, servers=[{"address": "198.51.100.13", "forward_method": "nat"}])]
    ipvs.twice("ipvs_table", services=desired, prune=True)
    assert [line for line in ipvs.saved() if "-a -t 203" in line] == [
        "-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1",
        "-a -t 203.0.113.80:80 -r 198.51.100.12:80 -m -w 0",
        "-a -t 203.0.113.80:80 -r 198.51.100.13:80 -m -w 1",
    ]


def test_what_is_new_comes_first_and_removals_last(ipvs):
    ipvs.fill(TABLE)
    desired = [dict(WEB, scheduler="wrr", servers=[{"address": "198.51.100.13"}]), {"fwmark": 9}]
    result = ipvs.twice("ipvs_table", services=desired, purge_servers=True, prune=True)
    letters = "".join(command.split()[1][1] for command in result["commands"])
    assert letters == "A" + "Ea" + "dd" + "DDDDDD"


@pytest.fixture
def kube_proxy(ipvs):
    subprocess.run(["ip", "link", "add", "kube-ipvs0", "type", "dummy"], check=True)


@pytest.fixture
def keepalived(tmp_path):
    """A process that looks like keepalived with a virtual server; its configuration file."""
    program, configuration = tmp_path / "keepalived", tmp_path / "lvs.conf"
    shutil.copy("/usr/bin/tail", program)  # which takes -f, too
    configuration.write_text("virtual_server 203.0.113.80 80 {\n}\n")
    with subprocess.Popen([program, "-f", configuration], stdout=subprocess.PIPE) as process:
        process.stdout.readline()  # now it runs
        yield configuration
        process.kill()


@pytest.mark.parametrize("owner, words", [("kube_proxy", "kube-proxy (interface kube-ipvs0)"), ("keepalived", "keepalived (running, with virtual servers in ")])
def test_prune_refuses_where_others_keep_services(ipvs, request, owner, words):
    ipvs.fill(TABLE)
    request.getfixturevalue(owner)
    desired = dict(services=[WEB], prune=True)
    for check in (True, False):
        message = ipvs.fails("ipvs_table", check=check, **desired)["msg"]
        assert words in message and "prune_scope" in message and "prune_force" in message
        assert "6 services" in message
    # removing nothing but servers, or nothing at all, is no reason
    assert not ipvs.module("ipvs_table", services=ipvs.module("ipvs_info")["services"], prune=True)["changed"]
    ipvs.twice("ipvs_table", **desired, prune_scope={"fwmarks": ["150"]})
    assert len(services_of(ipvs)) == 6
    ipvs.twice("ipvs_table", **desired, prune_force=True)
    assert services_of(ipvs) == ["-t 203.0.113.80:80"]


def test_a_keepalived_without_virtual_servers_is_no_reason(ipvs, keepalived):
    keepalived.write_text("vrrp_instance one {\n}\n")
    ipvs.fill(TABLE)
    ipvs.twice("ipvs_table", services=[WEB], prune=True)
    assert services_of(ipvs) == ["-t 203.0.113.80:80"]


def test_a_keepalived_in_another_namespace_is_no_reason(ipvs, keepalived):
    ipvs.restore(TABLE)
    with new_netns() as other:
        ipvs.fill(TABLE)
        ipvs.twice("ipvs_table", services=[WEB], prune=True, netns=other)
        assert "keepalived" in ipvs.fails("ipvs_table", services=[WEB], prune=True, netns=ipvs.netns)["msg"]


def test_the_interface_of_kube_proxy_in_another_namespace_is_no_reason(ipvs, kube_proxy):
    with new_netns() as other:
        ipvs.fill(TABLE)
        result = ipvs.module("ipvs_table", services=[], prune=True, prune_force=True, netns=other)
        assert result["commands"] == ["ipvsadm -C"]
        assert ipvs.saved() == []


def test_absent(ipvs):
    ipvs.fill(TABLE)
    result = ipvs.twice("ipvs_table", services=[WEB, DNS, {"fwmark": 99}], state="absent")
    assert result["commands"] == ["ipvsadm -D -t 203.0.113.80:80", "ipvsadm -D -u 203.0.113.80:53"]
    assert result["services"] == []
    ipvs.twice("ipvs_table", rules=TABLE, state="absent")
    assert ipvs.is_empty()


def test_more_services_than_are_read_one_by_one(ipvs):
    servers = [{"address": "198.51.100.%d" % number, "forward_method": "nat"} for number in range(1, 5)]
    desired = [{"address": "203.0.113.%d" % (number // 50), "port": 1000 + number, "servers": servers} for number in range(300)]
    ipvs.restore("-A -f 1 -s rr\n")
    result = ipvs.twice("ipvs_table", services=desired)
    assert len(result["commands"]) == 1500
    info = ipvs.module("ipvs_info")["services"]
    assert len(info) == 301
    assert sorted(result["diff"]["after"].splitlines() + ["-A -f 1 -s rr"]) == ipvs.saved()

    desired[150]["servers"] = [dict(servers[0], weight=7)]
    one = ipvs.twice("ipvs_table", services=desired)
    assert one["commands"] == ["ipvsadm -e -t 203.0.113.3:1150 -r 198.51.100.1:1150 -m -w 7"]
