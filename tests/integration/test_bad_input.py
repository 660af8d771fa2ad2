# SPDX-License-Identifier: GPL-3.0-or-later
"""Bad input: the error names the option, its value and what would be right, and the table is as it was."""

from __future__ import annotations

import subprocess

import pytest

from .modules import ModuleFailed

pytestmark = pytest.mark.once

BEFORE = """\
-A -t 203.0.113.80:80 -s rr
-a -t 203.0.113.80:80 -r 198.51.100.11:80 -m -w 1 -x 100 -y 50
-a -t 203.0.113.80:80 -r 198.51.100.12:80 -i -w 1 --tun-type gue --tun-port 6080
"""
WEB = {"address": "203.0.113.80", "port": 80}
SERVER = {"service_address": "203.0.113.80", "service_port": 80, "address": "198.51.100.11"}
NEW = dict(SERVER, address="198.51.100.13")


NOBODY = {
    "0.0.0.0": "an unspecified",
    "224.0.0.1": "a multicast",
    "239.255.255.255": "a multicast",
    "255.255.255.255": "the broadcast",
    "::": "the unspecified",
    "ff02::1": "a multicast",
    "::ffff:198.51.100.11": "an IPv4-mapped",
}
"""Addresses that are no host's, each with what it is."""


def service(**options):
    return "ipvs_service", dict(WEB, **options)


def server(**options):
    return "ipvs_server", dict(NEW, **options)


def table(*services, **options):
    return "ipvs_table", dict(services=list(services), **options)


def drain(*addresses, **options):
    return "ipvs_drain", dict(addresses=list(addresses), **options)


CASES = {
    # addresses and ports
    "host name": (service(address="www.example.com"), ["address: 'www.example.com'", "host names are not resolved"]),
    "network": (service(address="203.0.113.0/24"), ["address: '203.0.113.0/24'", "literal"]),
    "old spelling": (service(address="203.0.113"), ["address: '203.0.113'", "literal"]),
    "zone": (service(address="fe80::1%lo"), ["address: 'fe80::1%lo'", "literal"]),
    "empty address": (service(address=""), ["address: ''", "literal"]),
    "port 70000": (service(port=70000), ["port: 70000", "0 to 65535"]),
    "port -1": (service(port=-1), ["port: -1", "0 to 65535"]),
    "server's host name": (server(address="rs1"), ["address: 'rs1'", "host names are not resolved"]),
    "server's port": (server(port=70000), ["port: 70000", "0 to 65535"]),
    "service of server": (server(service_address="web"), ["service_address: 'web'", "literal"]),
    "service's port of server": (server(service_port=65536), ["service_port: 65536", "0 to 65535"]),
    # what names a service
    "neither address nor mark": (("ipvs_service", {"scheduler": "rr"}), ["one of the following is required: address, fwmark"]),
    "address and mark": (("ipvs_service", {"address": "203.0.113.80", "port": 80, "fwmark": 7}), ["mutually exclusive: address|fwmark"]),
    "protocol and mark": (("ipvs_service", {"fwmark": 7, "protocol": "udp"}), ["mutually exclusive: protocol|fwmark"]),
    "address without port": (("ipvs_service", {"address": "203.0.113.80"}), ["required together: address, port"]),
    "mark 0": (("ipvs_service", {"fwmark": 0}), ["fwmark: 0", "1 to 4294967295"]),
    "mark too large": (("ipvs_service", {"fwmark": 4294967296}), ["fwmark: 4294967296", "1 to 4294967295"]),
    "family of address": (service(family="ipv6"), ["family: 'ipv6'", "203.0.113.80 is of the other family"]),
    "both in a table": (table(WEB, dict(WEB, fwmark=7)), ["services[1].address: '203.0.113.80'", "not by both"]),
    "neither in a table": (table({"scheduler": "rr"}), ["services[0].address: None", "named by address and port, or by fwmark"]),
    "no port in a table": (table({"address": "203.0.113.80"}), ["services[0].port: None", "give the virtual service's port"]),
    "server of both": (server(service_fwmark=7), ["mutually exclusive: service_address|service_fwmark"]),
    # schedulers and engines
    "scheduler": (service(scheduler="fastest"), ["scheduler: 'fastest'", "there is no such scheduler", "tcp 203.0.113.80:80", "Linux has rr, wrr"]),
    "mistyped scheduler": (service(scheduler="wllc"), ["scheduler: 'wllc'", "there is no such scheduler", "did you mean wlc?"]),
    "scheduler that this kernel lacks": (service(scheduler="twos"), ["scheduler: 'twos'", "this kernel does not have", "install linux-image-"]),
    "scheduler's name": (service(scheduler="rr; reboot"), ["scheduler: 'rr; reboot'", "letters and digits", "wlc"]),
    "long scheduler": (service(scheduler="abcdefghijklmnop"), ["scheduler: 'abcdefghijklmnop'", "1 to 15"]),
    "scheduler's flag": (service(scheduler_flags=["sticky"]), ["scheduler_flags", "fallback, port, flag_3", "sticky"]),
    "engine": (service(persistence_timeout=60, persistence_engine="http"), ["persistence_engine: 'http'", "there is no such persistence engine"]),
    "engine in a table": (table(dict(WEB, persistence_engine="sib")), ["persistence_engine: 'sib'", "did you mean sip?"]),
    # a service's rules
    "port 0": (service(port=0), ["port: 0", "needs persistence: set persistence_timeout"]),
    "netmask without persistence": (service(persistence_netmask="24"), ["persistence_netmask: '24'", "set persistence_timeout"]),
    "netmask": (service(persistence_timeout=60, persistence_netmask="33"), ["persistence_netmask: '33'", "0 to 32", "255.255.255.0"]),
    "netmask 0 for IPv6": (
        ("ipvs_service", dict(address="2001:db8::80", port=80, persistence_timeout=60, persistence_netmask="0")),
        ["persistence_netmask: '0'", "1 to 128"],
    ),
    "dotted for IPv6": (
        ("ipvs_service", dict(address="2001:db8::80", port=80, persistence_timeout=60, persistence_netmask="255.255.255.0")),
        ["persistence_netmask: '255.255.255.0'", "1 to 128"],
    ),
    "persistence": (service(persistence_timeout=-5), ["persistence_timeout: -5", "0 to 2678400"]),
    "one packet on tcp": (service(one_packet=True), ["one_packet: True", "UDP services and for fwmark services", "tcp 203.0.113.80:80"]),
    "one packet on sctp": (service(protocol="sctp", one_packet=True), ["one_packet: True", "UDP"]),
    # addresses of no host
    **{
        f"virtual address {address}": (("ipvs_service", dict(address=address, port=80)), [f"address: '{address}': a virtual service needs", kind])
        for address, kind in NOBODY.items()
    },
    **{
        f"server {address}": (
            table(dict(address=virtual, port=80, servers=[{"address": address}])),
            [f"services[0].servers[0].address: '{address}': a real server needs", kind],
        )
        for address, kind in NOBODY.items()
        for virtual in ["2001:db8::90" if ":" in address else "203.0.113.90"]
    },
    "server of rules": (("ipvs_table", {"rules": "-A -f 1\n-a -f 1 -r 224.0.0.1 -m\n"}), ["rules, line 2, column 12: '224.0.0.1'", "multicast"]),
    # a server's rules
    "weight": (server(weight=-1), ["weight: -1", "0 to 2147483647"]),
    "upper threshold": (server(upper_threshold=-1), ["upper_threshold: -1", "0 to 2147483647"]),
    "lower threshold": (server(lower_threshold=-1), ["lower_threshold: -1", "0 to 2147483647"]),
    "lower above upper": (server(upper_threshold=5, lower_threshold=6), ["lower_threshold: 6", "upper_threshold, which is 5"]),
    "lower above upper that is there": (("ipvs_server", dict(SERVER, lower_threshold=101)), ["lower_threshold: 101", "which is 100"]),
    "upper below lower that is there": (("ipvs_server", dict(SERVER, upper_threshold=49)), ["upper_threshold: 49", "below the server's lower_threshold, 50"]),
    "dr with another port": (server(port=8080), ["port: 8080", "forward_method dr", "the service's own port, 80", "nat"]),
    "local with another port": (server(port=8080, forward_method="local"), ["port: 8080", "forward_method local", "80"]),
    "tun with another port": (server(port=8080, forward_method="tun"), ["port: 8080", "forward_method tun", "80"]),
    "mixed families": (server(address="2001:db8::11"), ["address: '2001:db8::11'", "other address family", "forward_method tun"]),
    "mixed families with nat": (server(address="2001:db8::11", forward_method="nat"), ["address: '2001:db8::11'", "forward_method tun"]),
    "tunnel type": (server(tunnel_type="gre"), ["tunnel_type: 'gre'", "need forward_method tun", "is dr"]),
    "tunnel type that is the default": (server(tunnel_type="ipip"), ["tunnel_type: 'ipip'", "need forward_method tun"]),
    "tunnel port": (("ipvs_server", dict(SERVER, tunnel_port=6080)), ["tunnel_port: 6080", "need forward_method tun", "is nat"]),
    "tunnel checksum": (server(tunnel_checksum="csum"), ["tunnel_checksum: 'csum'", "need forward_method tun"]),
    "gue without port": (server(forward_method="tun", tunnel_type="gue"), ["tunnel_port: 0", "gue tunnel needs its UDP port"]),
    "gre with port": (server(forward_method="tun", tunnel_type="gre", tunnel_port=9), ["tunnel_port: 9", "only a gue tunnel", "gre"]),
    "gre with remcsum": (
        server(forward_method="tun", tunnel_type="gre", tunnel_checksum="remcsum"),
        ["tunnel_checksum: 'remcsum'", "gre tunnels none or csum"],
    ),
    "ipip with csum": (server(forward_method="tun", tunnel_checksum="csum"), ["tunnel_checksum: 'csum'", "ipip tunnels have no checksum"]),
    "tunnel's port too large": (server(forward_method="tun", tunnel_type="gue", tunnel_port=65536), ["tunnel_port: 65536", "0 to 65535"]),
    # draining
    "drained with a weight": (("ipvs_server", dict(SERVER, state="drained", weight=3)), ["weight: 3", "omit weight"]),
    "drain timeout": (("ipvs_server", dict(SERVER, state="drained", drain_timeout=-1)), ["drain_timeout: -1", "from 0 to 2678400"]),
    "drain connections": (("ipvs_server", dict(SERVER, state="drained", drain_connections=-1)), ["drain_connections: -1", "from 0 to 2147483647"]),
    "drain interval": (("ipvs_server", dict(SERVER, state="drained", drain_interval=0)), ["drain_interval: 0.0", "from 0.05 to 2678400"]),
    "drain timeout without end": (server(state="drained", drain_timeout="inf"), ["'drain_timeout'", "inf is not a number"]),
    "long drain timeout": (server(state="drained", drain_timeout=2678401), ["drain_timeout: 2678401", "from 0 to 2678400"]),
    "drain interval that is no number": (server(state="drained", drain_interval="nan"), ["'drain_interval'", "nan is not a number"]),
    "drain interval without end": (server(state="drained", drain_interval=float("inf")), ["'drain_interval'", "inf is not a number"]),
    "draining nobody": (("ipvs_drain", {}), ["state is drained", "addresses"]),
    "draining an empty list": (drain(), ["addresses: []", "at least one"]),
    "restoring an empty list": (drain(state="restored"), ["addresses: []", "at least one"]),
    "draining a name": (drain("198.51.100.11", "rs2"), ["addresses[1]: 'rs2'", "host names are not resolved"]),
    "draining nobody's address": (drain("198.51.100.111"), ["addresses: 198.51.100.111", "Nearest: 198.51.100.11, 198.51.100.12"]),
    "draining a virtual address": (drain("203.0.113.80"), ["203.0.113.80 is a virtual address"]),
    "draining both": (drain("198.51.100.11", "198.51.100.12"), ["No server would accept new connections of tcp 203.0.113.80:80", "allow_empty"]),
    "long drain timeout of all": (drain("198.51.100.11", drain_timeout=2678401), ["drain_timeout: 2678401", "from 0 to 2678400"]),
    "negative drain interval": (server(state="drained", drain_interval=-1), ["drain_interval: -1.0", "from 0.05 to 2678400"]),
    # lists
    "duplicate server": (
        service(servers=[{"address": "2001:db8::1"}, {"address": "2001:db8:0::1", "port": 80}]),
        ["servers[1].address: '[2001:db8::1]:80'", "is listed twice"],
    ),
    "duplicate service": (
        table(WEB, {"fwmark": 7}, dict(WEB, protocol="tcp")),
        ["services[2].address: 'tcp 203.0.113.80:80'", "is listed twice"],
    ),
    "duplicate mark": (table({"fwmark": 7}, {"fwmark": 7, "family": "ipv4"}), ["services[1].fwmark: 'fwmark 7'", "twice"]),
    "depth of the path": (
        table({"fwmark": 7}, dict(WEB, servers=[{"address": "198.51.100.11"}, {"address": "198.51.100.14", "port": 81}])),
        ["services[1].servers[1].port: 81", "forward_method dr"],
    ),
    "depth of the value": (table(dict(WEB, servers=[{"address": "rs1"}])), ["services[0].servers[0].address: 'rs1'"]),
    # the table
    "scope without prune": (table(prune_scope={"fwmarks": ["1"]}), ["prune_scope", "only with prune: true"]),
    "empty scope": (table(prune=True, prune_scope={}), ["prune_scope", "give addresses, fwmarks or protocols"]),
    "scope with host bits": (table(prune=True, prune_scope={"addresses": ["203.0.113.1/24"]}), ["prune_scope.addresses[0]: '203.0.113.1/24'"]),
    "scope of marks": (table(prune=True, prune_scope={"fwmarks": ["9-1"]}), ["prune_scope.fwmarks[0]: '9-1'", "100-199"]),
    "scope of mark 0": (table(prune=True, prune_scope={"fwmarks": ["5", "0"]}), ["prune_scope.fwmarks[1]: '0'"]),
    "neither services nor rules": (("ipvs_table", {}), ["one of the following is required: services, rules"]),
    "services and rules": (table(rules=""), ["mutually exclusive: services|rules"]),
    "rules that clear": (("ipvs_table", {"rules": "-C\n-A -f 1\n"}), ["-C", "prune"]),
    "rules that set timeouts": (("ipvs_table", {"rules": "-A -f 1\n--set 1 2 3\n"}), ["--set", "ipvs_timeouts"]),
    "rules with a typing error": (("ipvs_table", {"rules": "-A -f 1\n-a -f 1 -r 198.51.100.11 -W 5\n"}), ["line 2", "-W"]),
    "rules with a host name": (("ipvs_table", {"rules": "-A -t www:80\n"}), ["line 1", "www"]),
    "rules against the rules": (("ipvs_table", {"rules": "-A -t 203.0.113.80:0\n"}), ["203.0.113.80:0", "persist"]),
    "rules with an unknown scheduler": (("ipvs_table", {"rules": "-A -f 1 -s fastest\n"}), ["scheduler: 'fastest'", "there is no such"]),
    # the rest
    "timeout without end": (("ipvs_timeouts", {"tcp": "inf"}), ["'tcp'", "inf is not a number"]),
    "timeout": (("ipvs_timeouts", {"tcp": -1}), ["tcp: -1", "0 to 2678400"]),
    "no timeout": (("ipvs_timeouts", {}), ["one of the following is required: tcp, tcp_fin, udp"]),
    "daemon without interface": (("ipvs_sync_daemon", {"role": "master"}), ["interface: None", "no master sync daemon runs"]),
    "interface that isn't there": (
        ("ipvs_sync_daemon", {"role": "master", "interface": "nosuch0"}),
        ["interface: 'nosuch0'", "no such interface in this network namespace; there are lo"],
    ),
    "group that the interface cannot reach": (
        ("ipvs_sync_daemon", {"role": "master", "interface": "lo", "multicast_group": "ff02::81"}),
        ["multicast_group: 'ff02::81'", "interface 'lo' has no IPv6 for multicast"],
    ),
    "interface's name": (("ipvs_sync_daemon", {"role": "master", "interface": "a/b"}), ["interface: 'a/b'", "at most 15 characters"]),
    "sync ID": (("ipvs_sync_daemon", {"role": "master", "interface": "lo", "sync_id": 256}), ["sync_id: 256", "0 to 255"]),
    "length": (("ipvs_sync_daemon", {"role": "master", "interface": "lo", "max_length": 0}), ["max_length: 0", "1 to 65507"]),
    "group": (
        ("ipvs_sync_daemon", {"role": "master", "interface": "lo", "multicast_group": "198.51.100.1"}),
        ["multicast_group: '198.51.100.1'", "224.0.0.81"],
    ),
    "group's port": (("ipvs_sync_daemon", {"role": "master", "interface": "lo", "multicast_port": 0}), ["multicast_port: 0", "1 to 65535"]),
    "time to live": (("ipvs_sync_daemon", {"role": "master", "interface": "lo", "multicast_ttl": 256}), ["multicast_ttl: 256", "1 to 255"]),
    "info about a host name": (("ipvs_info", {"address": "www"}), ["address: 'www'", "literal"]),
    "info about port 70000": (("ipvs_info", {"port": 70000}), ["port: 70000", "0 to 65535"]),
    # namespaces
    "no such namespace": (service(netns="nosuch"), ["netns: 'nosuch'", "/run/netns/nosuch", "ip netns list"]),
    "no such path": (("ipvs_info", {"netns": "/proc/0/ns/net"}), ["netns: '/proc/0/ns/net'", "No such file"]),
    "not a namespace": (("ipvs_info", {"netns": "/etc/passwd"}), ["netns: '/etc/passwd'", "not a network namespace"]),
}


def test_the_kernel_refuses_what_is_refused_here(ipvs):
    ipvs.restore("-A -t 203.0.113.80:80 -s rr\n-A -t [2001:db8::80]:80 -s rr\n")
    for address in NOBODY:
        service, server = ("[2001:db8::80]:80", f"[{address}]:80") if ":" in address else ("203.0.113.80:80", f"{address}:80")
        with pytest.raises(subprocess.CalledProcessError):
            ipvs.ipvsadm("-a", "-t", service, "-r", server, "-m")
    edges = [f"-a -t 203.0.113.80:80 -r {address}:80 -m" for address in ("1.0.0.0", "223.255.255.255", "240.0.0.1", "127.0.0.1")]
    edges += [f"-a -t [2001:db8::80]:80 -r [{address}]:80 -m" for address in ("::1", "2001:db8::ffff:198.51.100.11", "fec0::1", "ff::1")]
    result = ipvs.module("ipvs_table", rules="\n".join(["-A -t 203.0.113.80:80 -s rr", "-A -t [2001:db8::80]:80 -s rr", *edges]))
    assert len(result["commands"]) == len(edges)


def test_every_case(ipvs):
    """All in one namespace: a case that changed the table would show in the one after it."""
    ipvs.restore(BEFORE)
    before = ipvs.saved(), ipvs.module("ipvs_info")
    wrong = []
    for name, ((module, options), words) in CASES.items():
        for check in (True, False):
            result = failure(ipvs, module, options, check)
            missing = [word for word in words if word not in result["msg"]]
            if missing:
                wrong.append(f"{name} ({check=}): {missing} not in: {result['msg']}")
        if ipvs.module("ipvs_info") != before[1]:
            wrong.append(f"{name}: the table was changed")
    assert not wrong, "\n".join(wrong)
    assert ipvs.saved() == before[0]


def failure(ipvs, module, options, check):
    try:
        return {"msg": "it did not fail: %s" % ipvs.module(module, check=check, **options)}
    except ModuleFailed as failed:
        return failed.result


def test_a_namespace_that_is_gone_leaves_us_where_we_are(ipvs):
    with pytest.raises(ModuleFailed, match="netns: 'nosuch': /run/netns/nosuch: No such file"):
        ipvs.module("ipvs_info", netns="nosuch")
    ipvs.twice("ipvs_service", fwmark=1)
    assert ipvs.saved() == ["-A -f 1 -s wlc"]
