# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of keepalived as text; tests/keepalived holds it to keepalived's own reader."""

from __future__ import annotations

import random
import re

import pytest
from ansible.errors import AnsibleFilterError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.filter.to_keepalived import to_keepalived
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files
from tests.keepalived_lists import COMMAND, EVERYTHING, FAILOVER, REGEX, lists

from .strategies import few

WEB = {
    "address": "203.0.113.80", "port": 80, "check": {"type": "http"},
    "servers": [{"address": "198.51.100.12"}, {"address": "198.51.100.11", "forward_method": "nat", "port": 8080, "weight": 2}],
}  # fmt: skip
TEXT = """\
# Written by the Ansible collection lvs.ipvs. Changes made here are lost: change the list of services.
global_defs {
    reload_check_config
    script_user root
}
# The content of each of these files is added to the weight of the server: 0, or -100000 to drain it.
track_file 198.51.100.11 {
    file /var/lib/ipvs-director/drain/198.51.100.11
    init_file 0
}
track_file 198.51.100.12 {
    file /var/lib/ipvs-director/drain/198.51.100.12
    init_file 0
}
virtual_server 203.0.113.80 80 {
    protocol TCP
    lvs_sched wlc
    alpha
    inhibit_on_failure
    warmup 1
    real_server 198.51.100.11 8080 {
        weight 2
        lvs_method NAT
        FILE_CHECK {
            track_file 198.51.100.11
            weight 1
        }
        HTTP_GET {
            connect_port 8080
            connect_timeout 2
            retry 1
            delay_before_retry 1
            delay_loop 2
            url {
                path /
            }
        }
    }
    real_server 198.51.100.12 80 {
        weight 1
        lvs_method DR
        FILE_CHECK {
            track_file 198.51.100.12
            weight 1
        }
        HTTP_GET {
            connect_port 80
            connect_timeout 2
            retry 1
            delay_before_retry 1
            delay_loop 2
            url {
                path /
            }
        }
    }
}
"""


def lines(services, **options):
    return [line.strip() for line in to_keepalived(services, **options).splitlines()]


def service(*servers, **more):
    return {"address": "203.0.113.80", "port": 80, "servers": list(servers) or [{"address": "198.51.100.11"}], **more}


def test_a_whole_text():
    assert to_keepalived([WEB]) == TEXT


def test_the_order_of_a_list_does_not_matter():
    shuffled = [dict(each, servers=random.sample(each["servers"], len(each["servers"]))) for each in EVERYTHING]
    assert to_keepalived(random.sample(shuffled, len(shuffled))) == to_keepalived(EVERYTHING)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"scheduler": "sh", "scheduler_flags": ["fallback", "port"]}, ["lvs_sched sh", "sh-fallback", "sh-port"]),
        ({"scheduler": "mh", "scheduler_flags": ["port", "flag_3"]}, ["lvs_sched mh", "mh-port", "flag-3"]),
        ({"scheduler": "rr", "scheduler_flags": ["port", "fallback"]}, ["lvs_sched rr", "flag-1", "flag-2"]),
        ({"persistence_timeout": 60}, ["lvs_sched wlc", "persistence_timeout 60", "alpha"]),
        ({"persistence_timeout": 60, "persistence_netmask": 24}, ["persistence_timeout 60", "persistence_granularity 255.255.255.0"]),
        ({"persistence_timeout": 60, "persistence_netmask": "255.0.255.0"}, ["persistence_granularity 255.0.255.0"]),
        ({"persistence_timeout": 60, "persistence_engine": "sip"}, ["persistence_timeout 60", "persistence_engine sip", "alpha"]),
        ({"protocol": "udp", "one_packet": True}, ["protocol UDP", "lvs_sched wlc", "ops", "alpha"]),
        ({"protocol": "sctp"}, ["protocol SCTP"]),
        ({"quorum": 1}, ["inhibit_on_failure", "warmup 1", "real_server 198.51.100.11 80 {"]),
        ({"max_unhealthy": 100}, ["inhibit_on_failure", "warmup 1", "real_server 198.51.100.11 80 {"]),
        (
            {"sorry_server": {"address": "198.51.100.99", "port": 81, "forward_method": "nat"}},
            ["inhibit_on_failure", "warmup 1", "sorry_server 198.51.100.99 81", "sorry_server_lvs_method NAT", "real_server 198.51.100.11 80 {"],
        ),
        ({"port": 0, "persistence_timeout": 1, "check": {"type": "none"}}, ["virtual_server 203.0.113.80 {", "protocol TCP"]),
    ],
)
def test_a_service(more, expected):
    text = lines([service(**more)])
    start = text.index(expected[0])
    assert text[start : start + len(expected)] == expected


@pytest.mark.parametrize(
    ("ident", "expected"),
    [
        ({"address": "2001:DB8:0::80", "port": 443}, ["virtual_server 2001:db8::80 443 {", "protocol TCP"]),
        ({"fwmark": 7}, ["virtual_server fwmark 7 {", "ip_family inet", "lvs_sched wlc"]),
        (
            {"fwmark": 7, "family": "ipv6", "persistence_timeout": 60, "persistence_netmask": "64"},
            ["virtual_server fwmark 7 {", "ip_family inet6", "lvs_sched wlc", "persistence_timeout 60", "persistence_granularity 64"],
        ),
    ],
)
def test_what_names_a_service(ident, expected):
    text = lines([{**ident, "servers": [{"address": "198.51.100.11", "forward_method": "tun"}]}])
    start = text.index(expected[0])
    assert text[start : start + len(expected)] == expected


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ({"weight": 0}, ["weight 0", "lvs_method DR", "FILE_CHECK {"]),
        ({"upper_threshold": 10, "lower_threshold": 5}, ["lvs_method DR", "uthreshold 10", "lthreshold 5", "FILE_CHECK {"]),
        ({"forward_method": "tun"}, ["lvs_method TUN type ipip"]),
        ({"forward_method": "tun", "tunnel_type": "gre"}, ["lvs_method TUN type gre nocsum"]),
        ({"forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080, "tunnel_checksum": "remcsum"}, ["lvs_method TUN type gue port 6080 remcsum"]),
        ({"check": {"type": "none"}}, ["track_file 198.51.100.12", "weight 1", "}", "}"]),
        ({"check": {"interval": 0.25, "timeout": 10, "retries": 0, "delay": 0}},
         ["TCP_CHECK {", "connect_port 80", "connect_timeout 10", "retry 0", "delay_before_retry 0", "delay_loop 0.25", "}"]),
        ({"check": {"type": "https", "host": "a.example.com"}}, ["SSL_GET {"]),
        ({"check": {"type": "https", "host": "a.example.com"}}, ["enable_sni", "url {", "path /", "virtualhost a.example.com", "}"]),
        ({"check": {"type": "https"}}, ["delay_loop 2", "url {"]),
        ({"check": {"type": "http", "host": "a.example.com"}}, ["delay_loop 2", "url {", "path /", "virtualhost a.example.com"]),
        (
            {"check": {"type": "http", "path": "/a", "status": [200, "300-399"], "digest": "A" * 32, "text": REGEX}},
            ["path /a", "status_code 200 300-399", "digest " + "a" * 32, r"""regex "a\042b{2}\\d+\044 #!x\\\\ [^'%] (?i:ok|fine)?" """.strip(), "}"],
        ),
        ({"check": {"type": "smtp", "port": 25}}, ["SMTP_CHECK {", "connect_port 25"]),
        ({"check": {"type": "dns", "name": "aa.example.com"}}, ["DNS_CHECK {", "type A", "name aa.example.com", "connect_port 80"]),
        ({"check": {"type": "udp"}}, ["UDP_CHECK {", "connect_port 80"]),
        ({"check": {"type": "ping"}}, ["PING_CHECK {", "connect_timeout 2"]),
        (
            {"check": {"type": "script", "command": "/bin/a 'b c' '' -d", "timeout": 5}},
            ["MISC_CHECK {", "misc_path \"/bin/a 'b c' '' -d\"", "user keepalived_script", "misc_timeout 5", "retry 1",
             "delay_before_retry 1", "delay_loop 2", "}"],
        ),
    ],
)  # fmt: skip
def test_a_server(server, expected):
    text = lines([service({"address": "198.51.100.11", "check": {"type": "none"}}, {"address": "198.51.100.12", **server})])
    start = max(index for index in range(len(text)) if text[index : index + 1] == expected[:1])
    assert text[start : start + len(expected)] == expected


@pytest.mark.parametrize(
    ("checks", "interval", "expected"), [(0, 60, "1"), (1, 0.25, "0.25"), (1999, 60, "1"), (2000, 60, "2"), (10_000, 60, "10"), (10_000, 2, "2")]
)
def test_first_checks_are_spread_where_there_are_many(checks, interval, expected):
    """Ten thousand in one second are more than the servers that are checked can accept, unless they get as many all the time."""
    servers = [{"address": f"2001:db8::{each:x}"} for each in range(1, checks + 1)] + [{"address": "2001:db8:1::1", "check": {"type": "none"}}]
    text = lines([service(*servers, address="2001:db8:1::80", check={"interval": interval})])
    assert [line for line in text if line.startswith("warmup")] == [f"warmup {expected}"]


def test_the_largest_share_that_may_be_unhealthy():
    text = lines([service({"address": "198.51.100.11"}, {"address": "198.51.100.12"}, max_unhealthy=50)])
    assert "# max_unhealthy 50" in text and not any(line.startswith("quorum") for line in text)
    start = text.index("enable_script_security")
    assert text[start + 1 : start + 3] == [
        "lvs_notify_fifo /run/ipvs-director-pool-guard.fifo root",
        'lvs_notify_fifo_script "/usr/local/libexec/ipvs-director-pool-guard" root',
    ]


def test_a_command_and_the_reader_that_it_ends():
    """keepalived 2.2.7 would never reload a configuration that it tests itself."""
    for version, strict in (("2.2.7", False), ("2.2.8", True), ("2.3.3", True)):
        text = lines(COMMAND, version=version)
        assert ("reload_check_config" in text) == strict and "enable_script_security" in text


@pytest.mark.parametrize(
    ("wrong", "option", "part"),
    [
        (service(scheduler="none"), "scheduler: 'none'", "supports only rr, wrr"),
        (service(persistence_engine="sip"), "persistence_engine: 'sip'", "set persistence_timeout"),
        (service(servers=None), "servers: []", "at least one"),
        (service(servers=[]), "servers: []", "at least one"),
        (service({"address": "198.51.100.11", "weight": 0}), "servers: 0", "all have weight 0"),
        (service({"address": "198.51.100.11", "weight": 100001}), "servers[0].weight: 100001", "up to weight 100000"),
        (service({"address": "198.51.100.12", "forward_method": "local"}), "servers[0].forward_method: 'local'", "nat, dr and tun"),
        (service(quorum=2), "quorum: 2", "have weight 1"),
        (service(sorry_server={"address": "198.51.100.9", "forward_method": "local"}), "sorry_server.forward_method: 'local'", "nat, dr and tun"),
        (service(sorry_server={"address": "198.51.100.11"}), "sorry_server.address: '198.51.100.11:80'", "one of the servers"),
        ({"fwmark": 7, "servers": [{"address": "198.51.100.11", "port": 80}]}, "servers[0].port: 80", "give the port as check.port"),
        ({"fwmark": 7, "servers": [{"address": "198.51.100.11"}], "sorry_server": {"address": "198.51.100.9", "port": 80}}, "sorry_server.port: 80", "leave"),
    ],
)
def test_what_keepalived_cannot_hold(wrong, option, part):
    with pytest.raises(AnsibleFilterError) as error:
        to_keepalived([service(port=9), wrong])
    assert str(error.value).startswith(f"to_keepalived: services[1].{option}: ") and part in str(error.value)


@pytest.mark.parametrize(
    ("services", "options", "part"),
    [
        ("text", {}, "expected a list of services, got str"),
        ({}, {}, "expected a list of services, got dict"),
        (None, {}, "expected a list of services, got NoneType"),
        ([], {}, "nothing to do"),
        ([WEB], {"checks": False}, "checks: False: set checks to true or give failover"),
        ([{"address": "203.0.113.80", "prot": 80}], {}, "prot"),
        ([WEB], {"failover": {"interface": "eth0"}}, "priority"),
        ([WEB], {"version": "2.3"}, "version: '2.3': give a version of keepalived"),
        ([WEB], {"version": "2.2.4"}, "keepalived is 2.2.4; version 2.2.7 or newer is required"),
        ([WEB, WEB], {}, "services[1].address: 'tcp 203.0.113.80:80': this service is listed twice"),
    ],
)
def test_bad_input(services, options, part):
    with pytest.raises(AnsibleFilterError) as error:
        to_keepalived(services, **options)
    assert str(error.value).startswith("to_keepalived: ") and part in str(error.value)


@few
@given(lists, st.sampled_from([None, FAILOVER]))
def test_every_line_is_one_statement(services, failover):
    """Blocks are closed, no statement stands in front of or behind a brace, and what a value holds is not read as either."""
    text = to_keepalived(services, failover=failover)
    depth = 0
    for line in text.splitlines():
        bare = re.sub(r'"[^"]*"', "quoted", line.strip())
        depth -= bare == "}"
        assert line == "    " * depth + line.strip()
        assert re.fullmatch(r"# [^\n]+|}|[^{}#!$\"\\]+( {)?", bare) and len(line) < 1000
        depth += bare.endswith(" {")
    assert depth == 0 and text.endswith("}\n")
    assert text.count("virtual_server ") == len(services)
    assert text.count("    real_server ") == sum(len(each["servers"]) for each in services)


def test_ten_thousand_servers():
    servers = [{"address": f"2001:db8::{number:x}", "forward_method": "nat"} for number in range(1, 10001)]
    text = to_keepalived([{"address": "2001:db8:1::1", "port": 80, "servers": servers}])
    assert text.count("real_server ") == text.count("TCP_CHECK") == text.count("FILE_CHECK") == 10000


def test_words_for_a_program():
    assert _drain_files.path("2001:db8::1") == "/var/lib/ipvs-director/drain/2001:db8::1"


@pytest.mark.parametrize(("quorum", "written"), [(1, []), (2, ["quorum 2"]), (3, ["quorum 3"])])
def test_how_many_servers_a_service_needs(quorum, written):
    assert [line for line in lines([{**WEB, "quorum": quorum}]) if line.startswith("quorum ")] == written
