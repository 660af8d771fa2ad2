# SPDX-License-Identifier: GPL-3.0-or-later
"""What a list of services asks of a health checker."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.services_problems import services_problems
from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _checks
from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived._checks import NONE, Check
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _model


def service(check=None, *own, **more):
    """A service with a server for each check in ``own``."""
    servers = [{"address": f"198.51.100.{number}", "check": each} for number, each in enumerate(own or [None], 11)]
    named = {} if "fwmark" in more else {"address": "203.0.113.80", "port": 80}
    return {**named, "check": check, "servers": servers, **more}


def checks(*args, **more):
    ((_ident, pool),) = _checks.pools([service(*args, **more)]).items()
    return list(pool.checks.values())


@pytest.mark.parametrize(
    ("check", "more", "expected"),
    [
        (None, {}, Check("tcp", 80)),
        ({"type": None, "interval": None}, {}, Check("tcp", 80)),
        ({"interval": 0.5, "timeout": 5, "retries": 0, "delay": 0}, {}, Check("tcp", 80, interval=0.5, timeout=5, retries=0, delay=0)),
        (None, {"protocol": "udp"}, NONE),
        (None, {"protocol": "sctp"}, NONE),
        (None, {"fwmark": 7}, NONE),
        ({"type": "none"}, {}, NONE),
        ({"type": "tcp", "port": 22}, {"fwmark": 7}, Check("tcp", 22)),
        ({"type": "http"}, {}, Check("http", 80, "/")),
        (
            {"type": "https", "path": "/a", "host": "b", "status": ["200"], "digest": "0" * 32, "text": "c", "port": 443}, {},
            Check("https", 443, "/a", "b", ("200",), "0" * 32, "c"),
        ),
        ({"type": "smtp"}, {}, Check("smtp", 80)),
        ({"type": "dns", "name": "example.com"}, {"protocol": "udp"}, Check("dns", 80, name="example.com", record="A")),
        ({"type": "dns", "name": "example.com", "record": "MX"}, {}, Check("dns", 80, name="example.com", record="MX")),
        ({"type": "udp", "timeout": 4}, {"protocol": "udp"}, Check("udp", 80, timeout=4)),
        ({"type": "ping"}, {"fwmark": 7}, Check("ping")),
        ({"type": "script", "command": "/bin/true a"}, {"fwmark": 7}, Check("script", command=("/bin/true", "a"))),
    ],
)  # fmt: skip
def test_a_check(check, more, expected):
    assert checks(check, **more) == [expected]


def test_a_server_overrides_the_service_key_by_key():
    base = {"type": "http", "path": "/a", "host": "b", "interval": 5}
    own = [None, {"path": "/c"}, {"type": "tcp"}, {"type": "dns", "name": "example.com", "port": 53, "interval": 1}, {"type": "none"}]
    assert checks(base, *own) == [
        Check("http", 80, "/a", "b", interval=5),
        Check("http", 80, "/c", "b", interval=5),
        Check("tcp", 80, interval=5),
        Check("dns", 53, name="example.com", record="A", interval=1),
        NONE,
    ]
    assert checks({"type": "script"}, {"command": "/bin/a"}) == [Check("script", command=("/bin/a",))]


def test_limits():
    sorry = {"address": "198.51.100.99", "port": 8080, "forward_method": "nat"}
    services = [service(), service(port=81, quorum=3, sorry_server=sorry), service(port=82, max_unhealthy=1), service(port=83, servers=None)]
    plain, strict, lenient, empty = _checks.pools(services).values()
    assert (plain.sorry_server, plain.quorum, plain.max_unhealthy) == (None, 1, None)
    server = _model.Server(_model.ServerId("198.51.100.99", 8080), "nat", 1, 0, 0, "ipip", 0, "none")
    assert (strict.sorry_server, strict.quorum, strict.max_unhealthy) == (server, 3, None)
    assert (lenient.quorum, lenient.max_unhealthy) == (1, 1) and empty.checks == {}


SORRY = {"address": "198.51.100.99"}


@pytest.mark.parametrize(
    ("wrong", "option", "part"),
    [
        (service({"path": "/a"}), "check.path", "a check of type tcp has only port, interval"),
        (service({"type": "http"}, {"command": "/bin/a"}), "servers[0].check.command", "a check of type http has only port, path"),
        (service({"type": "http"}, {"type": "tcp", "path": "/a"}), "servers[0].check.path", "a check of type tcp has only"),
        (service({"port": 80}, fwmark=7), "check.port", "with type none nothing is checked"),
        (service(None, None, {"type": "none", "delay": 1}), "servers[1].check.delay", "nothing is checked"),
        (service({"type": "dns"}), "check.name", "a check of type dns needs it"),
        (service({"type": "dns"}, {"port": 1}), "servers[0].check.name", "needs it"),
        (service({"type": "script"}), "check.command", "needs it"),
        (service({"type": "script", "command": "/bin/a", "timeout": 2.5}), "check.timeout", "whole number"),
        (service({"type": "tcp"}, fwmark=7), "check.port", "198.51.100.11 has no port"),
        (service({"port": 0}), "check.port", "1 to 65535"),
        (service({"port": 65536}), "check.port", "1 to 65535"),
        (service({"interval": 0}), "check.interval", "0.1 to 86400"),
        (service({"timeout": 3601}), "check.timeout", "0.1 to 3600"),
        (service({"retries": -1}), "check.retries", "0 to 1000"),
        (service({"delay": -1}), "check.delay", "0 to 3600"),
        (service({"type": "http", "path": "a b"}), "check.path", "begins with /"),
        (service({"type": "http", "host": "a:80"}), "check.host", "without a port"),
        (service({"type": "http", "status": [20]}), "check.status", "100 to 599"),
        (service({"type": "http", "digest": "0"}), "check.digest", "MD5"),
        (service({"type": "http", "text": "("}), "check.text", "regular expression"),
        (service({"type": "dns", "name": "."}), "check.name", "such as"),
        (service({"type": "script", "command": "a"}), "check.command", "absolute path"),
        (service(quorum=0), "quorum", "1 to"),
        (service(max_unhealthy=0), "max_unhealthy", "1 to 100"),
        (service(max_unhealthy=101), "max_unhealthy", "1 to 100"),
        (service(max_unhealthy=50, quorum=1), "max_unhealthy", "quorum also defines"),
        (service(max_unhealthy=50, sorry_server=SORRY), "max_unhealthy", "sorry_server also defines"),
        (service(sorry_server={"address": "web"}), "sorry_server.address", "literal"),
        (service(sorry_server={"address": "198.51.100.99", "port": 81}), "sorry_server.port", "needs nat"),
        (service(sorry_server={"address": "2001:db8::1"}), "sorry_server.address", "family"),
    ],
)
def test_a_mistake_is_found_before_anything_is_touched(wrong, option, part):
    (problem,) = services_problems([service(port=9), wrong])
    assert problem.startswith(f"director_services[1].{option}: ") and part in problem


@pytest.mark.parametrize(
    ("wrong", "parts"),
    [
        (service({"typ": "tcp"}), ["typ", "check"]),
        (service({"type": "ftp"}), ["ftp", "check"]),
        (service({"type": "dns", "name": "aa", "record": "PTR"}), ["PTR", "record"]),
        (service(None, {"port": "http"}), ["port", "int"]),
        (service(sorry_server={}), ["address", "sorry_server"]),
        (service({"interval": "often"}), ["interval", "float"]),
    ],
)
def test_an_option_that_no_check_has_is_named(wrong, parts):
    problems = services_problems([wrong])
    assert len(problems) == 1 and all(part in problems[0] for part in parts)


def test_settings_of_ipvs_that_no_kernel_has():
    """Those of the network may be a module's or an interface's."""
    sysctls = {"net/ipv4/vs/conn_reuse_mod": 1, "net.ipv4.vs.conn_reuse*": 1, "net.ipv4.ip_forwar": 1}
    text = "director_sysctls: net/ipv4/vs/conn_reuse_mod: no kernel has this setting; did you mean net.ipv4.vs.conn_reuse_mode?"
    assert services_problems([service()], sysctls=sysctls) == [text]


def test_what_only_keepalived_cannot_hold():
    local = service(servers=[{"address": "198.51.100.11", "forward_method": "local"}])
    assert services_problems([local]) == []
    (problem,) = services_problems([local], health="keepalived")
    assert problem.startswith("director_services[0].servers[0].forward_method: 'local': keepalived supports only")
    assert services_problems([service()], health="keepalived") == []
    assert services_problems([], allow_empty=True, health="keepalived") == []
    (problem,) = services_problems([service()], health="ldirectord")
    assert "health" in problem and "ldirectord" in problem
