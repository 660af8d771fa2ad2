# SPDX-License-Identifier: GPL-3.0-or-later
"""Hypothesis' strategies for what tasks are given: services, servers, and tables of them, few enough that tasks meet."""

from __future__ import annotations

from hypothesis import strategies as st

from . import reference

SERVICES = [
    {"address": "203.0.113.80", "port": 80, "protocol": "tcp"},
    {"address": "203.0.113.80", "port": 80, "protocol": "udp"},
    {"address": "2001:db8::80", "port": 443, "protocol": "sctp"},
    {"fwmark": 7, "family": "ipv4"},
    {"fwmark": 7, "family": "ipv6"},
]
ADDRESSES = {4: ["198.51.100.11", "198.51.100.12", "198.51.100.13"], 6: ["2001:db8::11", "2001:db8::12"]}
TUNNELS = [("ipip", 0, "none"), ("gue", 6080, "none"), ("gue", 6081, "remcsum"), ("gre", 0, "csum")]


def family(service):
    return 6 if ":" in service.get("address", "") or service.get("family") == "ipv6" else 4


def optional(**options):
    """A few of these options, as a dict; the others are left out. Of many, few would go together."""
    return st.sets(st.sampled_from(sorted(options)), max_size=3).flatmap(lambda names: st.fixed_dictionaries({name: options[name] for name in sorted(names)}))


def servers_of(service):
    tunnels = st.sampled_from(TUNNELS).map(lambda words: dict(zip(("tunnel_type", "tunnel_port", "tunnel_checksum"), words, strict=True)))
    named = st.fixed_dictionaries({"address": st.sampled_from(ADDRESSES[family(service)])})
    some = optional(
        port=st.sampled_from([None, None, None, 8080]),
        forward_method=st.sampled_from(["nat", "nat", "dr", "tun"]),
        weight=st.integers(0, 3) | st.just(2147483647),
        upper_threshold=st.sampled_from([0, 10, 20]),
        lower_threshold=st.sampled_from([0, 5, 15]),
    )
    return st.tuples(named, some, st.one_of(st.just({}), st.just({}), tunnels)).map(lambda parts: {**parts[0], **parts[1], **parts[2]})


def lists_of_servers(service):
    def key(server):
        return reference.server_words(reference.words_of(service), server)

    return st.lists(servers_of(service), max_size=3, unique_by=key)


def services_of(service):
    some = optional(
        scheduler=st.sampled_from(["rr", "wrr", "wlc", "sh", "mh"]),
        scheduler_flags=st.lists(st.sampled_from(list(reference.FLAGS)), unique=True),
        persistence_timeout=st.sampled_from([0, 60, 360]),
        persistence_netmask=st.just("48" if family(service) == 6 else "255.255.255.0"),
        persistence_engine=st.sampled_from(["", "sip"]),
        one_packet=st.booleans(),
        servers=lists_of_servers(service),
    )
    return some.map(lambda options: {**service, **options})


any_service = st.sampled_from(SERVICES)
any_entry = any_service.flatmap(services_of)
any_server = any_service.flatmap(lambda service: st.tuples(st.just(service), servers_of(service)))
any_table = st.lists(any_entry, max_size=4, unique_by=reference.words_of)
some_addresses = st.sets(st.sampled_from(ADDRESSES[4] + ADDRESSES[6]), min_size=1, max_size=2)
