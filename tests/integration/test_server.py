# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_server on a real kernel, without traffic; draining is in test_drain.py."""

from __future__ import annotations

import pytest

SERVICE = {"service_address": "203.0.113.80", "service_port": 80}
SERVER = dict(SERVICE, address="198.51.100.11")
V6 = {"service_address": "2001:db8::80", "service_port": 80, "address": "2001:db8::11"}
MARK = {"service_fwmark": 7, "address": "198.51.100.11"}
SERVICES = """\
-A -t 203.0.113.80:80 -s rr
-A -u 203.0.113.80:80 -s rr
-A --sctp-service 203.0.113.80:80 -s rr
-A -t [2001:db8::80]:80 -s rr
-A -f 7 -s rr
-A -f 7 -6 -s rr
"""


@pytest.fixture
def table(ipvs):
    """The services that the tests put servers into."""
    ipvs.fill(SERVICES)
    return ipvs


def server_rules(ipvs):
    return [line for line in ipvs.saved() if line.startswith("-a")]


@pytest.mark.parametrize(
    "options, rule",
    [
        (SERVER, "-t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 1"),
        (dict(SERVER, service_protocol="udp"), "-u 203.0.113.80:80 -r 198.51.100.11:80 -g -w 1"),
        (dict(SERVER, service_protocol="sctp"), "--sctp-service 203.0.113.80:80 -r 198.51.100.11:80 -g -w 1"),
        (dict(SERVER, forward_method="nat", port=8080), "-t 203.0.113.80:80 -r 198.51.100.11:8080 -m -w 1"),
        (dict(SERVER, forward_method="local"), "-t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 1"),
        (dict(SERVER, weight=0), "-t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 0"),
        (dict(SERVER, weight=2147483647), "-t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 2147483647"),
        (V6, "-t [2001:db8::80]:80 -r [2001:db8::11]:80 -g -w 1"),
        (dict(V6, forward_method="nat", port=8080), "-t [2001:db8::80]:80 -r [2001:db8::11]:8080 -m -w 1"),
        (MARK, "-f 7 -r 198.51.100.11:0 -g -w 1"),
        (dict(MARK, port=80), "-f 7 -r 198.51.100.11:80 -g -w 1"),
        (dict(MARK, service_family="ipv6", address="2001:db8::11"), "-f 7 -6 -r [2001:db8::11]:0 -g -w 1"),
        (dict(SERVER, forward_method="tun"), "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type ipip"),
        (
            dict(SERVER, forward_method="tun", tunnel_type="gue", tunnel_port=6080),
            "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-nocsum",
        ),
        (
            dict(SERVER, forward_method="tun", tunnel_type="gue", tunnel_port=6080, tunnel_checksum="csum"),
            "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-csum",
        ),
        (
            dict(SERVER, forward_method="tun", tunnel_type="gue", tunnel_port=6080, tunnel_checksum="remcsum"),
            "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum",
        ),
        (
            dict(SERVER, forward_method="tun", tunnel_type="gre"),
            "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type gre --tun-nocsum",
        ),
        (
            dict(SERVER, forward_method="tun", tunnel_type="gre", tunnel_checksum="csum"),
            "-t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 1 --tun-type gre --tun-csum",
        ),
        (
            dict(SERVER, forward_method="tun", address="2001:db8::11"),
            "-t 203.0.113.80:80 -r [2001:db8::11]:80 -i -w 1 --tun-type ipip",
        ),
        (
            dict(V6, forward_method="tun", address="198.51.100.11"),
            "-t [2001:db8::80]:80 -r 198.51.100.11:80 -i -w 1 --tun-type ipip",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.long
def test_every_option_of_a_server(table, options, rule):
    result = table.twice("ipvs_server", **options)
    assert server_rules(table) == ["-a " + rule]
    assert result["commands"] == ["ipvsadm -a " + rule]
    assert [service["servers"] for service in table.module("ipvs_info")["services"] if service["servers"]] == [[result["server"]]]

    names = ("service_address", "service_port", "service_protocol", "service_fwmark", "service_family", "address", "port")
    gone = table.twice("ipvs_server", **{key: options[key] for key in options if key in names}, state="absent")
    assert gone["changed"] and gone["server"] is None
    assert not any(service["servers"] for service in table.module("ipvs_info")["services"])


def test_thresholds(table):
    result = table.twice("ipvs_server", **SERVER, upper_threshold=500, lower_threshold=100)
    assert result["commands"] == ["ipvsadm -a -t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 1 -x 500 -y 100"]
    assert oracle_thresholds(table) == ["500", "100"]
    table.twice("ipvs_server", **SERVER, lower_threshold=0)
    assert oracle_thresholds(table) == ["500", "0"]
    table.twice("ipvs_server", **SERVER, upper_threshold=65535)
    assert oracle_thresholds(table) == ["65535", "0"]
    assert not table.twice("ipvs_server", **SERVER)["changed"]


def oracle_thresholds(ipvs):
    """Upper and lower threshold of the one server, as ipvsadm lists them."""
    for line in ipvs.ipvsadm("-Ln", "--thresholds").splitlines():
        if line.startswith("  -> 198.51.100.11:80"):
            return line.split()[2:4]
    raise AssertionError("no such server")


FULL = dict(SERVER, forward_method="tun", tunnel_type="gue", tunnel_port=6080, tunnel_checksum="csum", weight=5, upper_threshold=9, lower_threshold=3)


@pytest.mark.parametrize(
    "change, along",
    [
        ({"weight": 0}, {}),
        ({"weight": 1}, {}),
        ({"weight": 10}, {}),
        ({"upper_threshold": 20}, {}),
        ({"lower_threshold": 0}, {}),
        ({"tunnel_port": 7000}, {}),
        ({"tunnel_checksum": "none"}, {}),
        ({"tunnel_type": "gre"}, {"tunnel_port": 0}),
        ({"tunnel_type": "ipip"}, {"tunnel_port": 0, "tunnel_checksum": "none"}),
    ],
    ids=str,
)
def test_one_option_changes_and_what_is_left_out_is_left_alone(table, change, along):
    before = table.module("ipvs_server", **FULL)["server"]
    result = table.twice("ipvs_server", **SERVER, **change)
    assert [command.split()[1] for command in result["commands"]] == ["-e"]
    assert result["server"] == dict(before, **change, **along)
    assert not table.twice("ipvs_server", **SERVER)["changed"]


def test_a_tunnel_becomes_nat_and_a_tunnel_again(table):
    table.module("ipvs_server", **FULL)
    result = table.twice("ipvs_server", **SERVER, forward_method="nat")
    assert "tunnel_type" not in result["server"]
    assert server_rules(table) == ["-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 5"]
    table.twice("ipvs_server", **SERVER, forward_method="tun")
    assert server_rules(table) == ["-a -t 203.0.113.80:80 -r 198.51.100.11:80 -i -w 5 --tun-type ipip"]


def test_weight_0_stays_where_the_weight_is_left_out(table):
    table.module("ipvs_server", **SERVER, weight=0)
    assert not table.twice("ipvs_server", **SERVER, forward_method="dr")["changed"]
    assert server_rules(table) == ["-a -t 203.0.113.80:80 -r 198.51.100.11:80 -g -w 0"]


def test_the_service_of_the_same_mark_in_the_other_family_is_not_touched(table):
    table.module("ipvs_server", service_fwmark=7, service_family="ipv6", address="2001:db8::11")
    assert not table.twice("ipvs_server", service_fwmark=7, address="198.51.100.11", state="absent")["changed"]
    assert server_rules(table) == ["-a -f 7 -6 -r [2001:db8::11]:0 -g -w 1"]


def test_without_its_service(ipvs):
    desired = dict(SERVER, forward_method="nat", weight=3)
    failed = ipvs.fails("ipvs_server", **desired)
    assert failed["msg"] == "service tcp 203.0.113.80:80: there is no such virtual service; create it first, with ipvs_service"

    foretold = ipvs.module("ipvs_server", check=True, diff=True, **desired)
    assert foretold["changed"] and "an earlier task may create it" in foretold["warnings"][0]
    ipvs.fill("-A -t 203.0.113.80:80 -s rr\n")
    done = ipvs.module("ipvs_server", **desired)
    assert (foretold["server"], foretold["commands"]) == (done["server"], done["commands"])


def test_there_is_nothing_to_take_away(ipvs):
    for rules, there in (("", "there is no such virtual service"), ("-A -t 203.0.113.80:80 -s rr\n", "198.51.100.11:80 is not a server of")):
        ipvs.fill(rules)
        result = ipvs.twice("ipvs_server", **SERVER, state="absent")
        assert not result["changed"] and result["server"] is None
        for check in (True, False):
            assert there in ipvs.fails("ipvs_server", check=check, **SERVER, state="drained")["msg"]
    ipvs.fill("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:8080 -m\n")
    message = ipvs.fails("ipvs_server", **SERVER, state="drained")["msg"]
    assert message.endswith("Nearest: 198.51.100.11:8080 of tcp 203.0.113.80:80.")


def test_back_without_the_port_that_differs(ipvs):
    """It would be added a second time, on the service's port and with the default forwarding method."""
    ipvs.fill("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:8080 -m -w 0\n")
    for check in (True, False):
        message = ipvs.fails("ipvs_server", check=check, **SERVER, weight=2)["msg"]
        assert "198.51.100.11 is a server of tcp 203.0.113.80:80 on port 8080; give that port" in message
    ipvs.twice("ipvs_server", **SERVER, port=8080, weight=2)
    assert ipvs.saved() == ["-A -t 203.0.113.80:80 -s rr", "-a -t 203.0.113.80:80 -r 198.51.100.11:8080 -m -w 2"]


def test_no_upper_threshold_takes_the_lower_one_with_it(ipvs):
    ipvs.fill("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -x 100 -y 90\n")
    server = ipvs.twice("ipvs_server", **SERVER, upper_threshold=0)["server"]
    assert (server["upper_threshold"], server["lower_threshold"]) == (0, 0)


def test_what_ipvs_info_returns_with_statistics_goes_in_unchanged(ipvs):
    ipvs.fill("-A -t 203.0.113.80:80 -s rr\n-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m\n")
    (service,) = ipvs.module("ipvs_info", statistics=True)["services"]
    assert "statistics" in service and "statistics" in service["servers"][0]
    assert not ipvs.twice("ipvs_service", **service)["changed"]
    assert not ipvs.twice("ipvs_server", service_address=service["address"], service_port=service["port"], **service["servers"][0])["changed"]
