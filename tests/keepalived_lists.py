# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists of services, and settings of failover, that keepalived can hold: one with every option, and random ones.

tests/unit holds our text of them to what it should be, tests/keepalived holds it to keepalived's own reader.
"""

from __future__ import annotations

import string

from hypothesis import strategies as st

from ansible_collections.lvs.ipvs.plugins.module_utils._keepalived import _configuration
from ansible_collections.lvs.ipvs.plugins.module_utils._table import _drain_files, _literals, _model
from tests import rule_tables

REGEX = r"""a"b{2}\d+$ #!x\\ [^'%] (?i:ok|fine)?"""
EVERYTHING = [
    {
        "address": "203.0.113.80", "port": 80, "scheduler": "mh", "scheduler_flags": ["port", "fallback"],
        "persistence_timeout": 300, "persistence_netmask": "24", "quorum": 2,
        "sorry_server": {"address": "198.51.100.99", "port": 8080, "forward_method": "nat"},
        "check": {
            "type": "http", "path": "/health?a=b&c=%20;x", "host": "www.example.com", "status": [200, "301-302"],
            "text": REGEX, "digest": "0123456789abcdef0123456789ABCDEF",
        },
        "servers": [
            {"address": "198.51.100.11", "port": 8080, "forward_method": "nat", "weight": 3, "upper_threshold": 10, "lower_threshold": 5},
            {
                "address": "198.51.100.12", "forward_method": "tun", "tunnel_type": "gue", "tunnel_port": 6080,
                "check": {"type": "tcp", "port": 22, "retries": 0, "interval": 0.5},
            },
            {"address": "2001:db8::12", "forward_method": "tun", "check": {"type": "none"}},
        ],
    },
    {
        "address": "203.0.113.80", "port": 443, "max_unhealthy": 50, "check": {"type": "https", "host": "www.example.com", "delay": 0},
        "servers": [{"address": "198.51.100.11"}, {"address": "198.51.100.12"}, {"address": "198.51.100.13", "check": {"host": "b.example.com"}}],
    },
    {
        "address": "203.0.113.80", "port": 53, "protocol": "udp", "one_packet": True, "check": {"type": "dns", "name": "www.example.com"},
        "servers": [
            {"address": "198.51.100.11", "check": {"record": "AAAA"}},
            {"address": "198.51.100.12", "check": {"type": "udp", "timeout": 4}},
            {"address": "198.51.100.13", "check": {"type": "ping"}},
        ],
    },
    {"address": "2001:DB8::80", "port": 25, "persistence_timeout": 60, "persistence_netmask": "64", "check": {"type": "smtp"},
     "servers": [{"address": "2001:db8::11", "forward_method": "tun", "tunnel_type": "gre", "tunnel_checksum": "csum"}]},
    {"address": "203.0.113.81", "port": 0, "persistence_timeout": 60, "servers": [{"address": "198.51.100.11", "check": {"port": 80}}]},
    {"address": "203.0.113.81", "port": 5060, "protocol": "udp", "persistence_timeout": 60, "persistence_engine": "sip",
     "servers": [{"address": "198.51.100.11"}]},
    {"address": "203.0.113.81", "port": 9, "protocol": "sctp", "scheduler": "lblcr", "scheduler_flags": ["flag_3"],
     "servers": [{"address": "198.51.100.11"}]},
    {"fwmark": 7, "servers": [{"address": "198.51.100.11", "port": 80, "forward_method": "nat", "check": {"type": "tcp"}}]},
    {"fwmark": 7, "family": "ipv6", "servers": [{"address": "2001:db8::11", "check": {"type": "tcp", "port": 80}}]},
    {"fwmark": 4294967295, "family": "ipv6", "persistence_timeout": 10, "persistence_netmask": "64",
     "servers": [{"address": "198.51.100.11", "forward_method": "tun"}]},
]  # fmt: skip

COMMAND = [
    {
        "address": "203.0.113.82", "port": 80, "check": {"type": "script", "command": "/bin/true 'a b' '#' ! {x} '' --as=b", "timeout": 3},
        "servers": [{"address": "198.51.100.11"}],
    },
]  # fmt: skip

FAILOVER = {
    "interface": "eth0", "priority": 100, "peers": ["203.0.113.3"], "source_address": "203.0.113.2", "advert_interval": 0.2,
    "addresses": ["203.0.113.80", {"address": "203.0.113.81", "prefix_length": 24}, {"address": "2001:db8::80", "interface": "eth1"}],
    "back_interface": "eth1", "back_peers": ["198.51.100.3"], "gateways": [{"address": "198.51.100.1", "prefix_length": 24}],
    "handover_file": "/var/lib/ipvs-director/handover",
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# random lists

def given(**options):
    """Dicts of some of these options, with values of these strategies."""
    return st.fixed_dictionaries({}, optional=options)


seconds = st.integers(1, 100) | st.floats(0.1, 100)
times = {"interval": seconds, "timeout": seconds, "retries": st.integers(0, 5), "delay": seconds}
port = {"port": rule_tables.ports}
paths = st.text(string.ascii_letters + string.digits + "/._~%?&=+:,;@()*-", max_size=40).map("/".__add__)
names = st.from_regex(r"[a-z][a-z0-9-]{0,9}[a-z0-9](\.[a-z]{1,5}){0,3}", fullmatch=True)
statuses = st.lists(st.integers(100, 599) | st.integers(100, 598).map("{0}-599".format), min_size=1, max_size=5)
texts = st.lists(st.sampled_from([*"abc 123#!%&'\"/=<>@~`", r"\d", r"\$", r"\{", r"\\", "$", "(a|b)", "[^x]", "c{2,3}", ".*?"]), min_size=1, max_size=20)
pages = {**port, "path": paths, "host": names, "status": statuses, "digest": st.from_regex(r"[0-9a-fA-F]{32}", fullmatch=True), "text": texts.map("".join)}
words = st.text(string.ascii_letters + string.digits + " #!{}()<>|&;*?~@=-", max_size=10).map("'{0}'".format)
checks = st.one_of(
    given(**port, **times).map(lambda each: {"type": "tcp", **each}),
    st.tuples(st.sampled_from(["http", "https"]), given(**pages, **times)).map(lambda pair: {"type": pair[0], **pair[1]}),
    given(**port, **times).map(lambda each: {"type": "smtp", **each}),
    st.tuples(names, given(record=st.sampled_from(["A", "AAAA", "CNAME", "MX", "NS", "SOA", "TXT"]), **port, **times)).map(
        lambda pair: {"type": "dns", "name": pair[0], **pair[1]}
    ),
    given(**port, **times).map(lambda each: {"type": "udp", **each}),
    given(**times).map(lambda each: {"type": "ping", **each}),
    st.just({"type": "none"}),
)
commands = st.lists(words, max_size=5).map(lambda each: {"type": "script", "command": " ".join(["/bin/true", *each]), "timeout": 3})


@st.composite
def services(draw, kinds=checks):
    """The options of a service that keepalived can hold, its servers checked in these ways."""
    ident = draw(rule_tables.service_ids())
    service = draw(rule_tables.services(ident))._replace(scheduler=draw(st.sampled_from(_configuration.SCHEDULERS)))
    if not service.persistence_timeout:
        service = service._replace(persistence_engine="")
    options = _model.service_options(service)
    found = draw(st.lists(rule_tables.servers(ident), min_size=1, max_size=4, unique_by=lambda server: server.id.address))
    options["servers"] = [draw(server_options(ident, server, kinds)) for server in found]
    options["servers"][0]["weight"] = 1  # all of them may not be 0
    limit = draw(st.sampled_from(["quorum", "max_unhealthy", "sorry_server", None]))
    if limit == "sorry_server":
        sorry = {"address": "2001:db8:ffff::1" if ident.family == _literals.IPV6 else "203.0.113.99", "forward_method": draw(st.sampled_from(["nat", "dr"]))}
        options["sorry_server"] = sorry
    elif limit:
        options[limit] = draw(st.integers(1, 100)) if limit == "max_unhealthy" else 1
    return options


@st.composite
def server_options(draw, ident, server, kinds):
    server = server._replace(weight=min(server.weight, -_drain_files.DRAINED))
    if ident.fwmark and server.forward_method != "nat":
        server = server._replace(id=_model.ServerId(server.id.address, 0))
    options = _model.server_options(server)
    options["check"] = draw(kinds)
    if not server.id.port and options["check"]["type"] not in ("ping", "script", "none"):
        options["check"].setdefault("port", 80)
    return options


def named(options):
    """What names a service in a list of options."""
    return _model.service_id(options)


lists = st.lists(services(), min_size=1, max_size=3, unique_by=named)
lists_of_commands = st.lists(services(commands), min_size=1, max_size=1)
