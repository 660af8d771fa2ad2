# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles make of director_services before they touch a node: whether it is right."""

from __future__ import annotations

import pytest

from ansible_collections.lvs.ipvs.plugins.filter.services_problems import services_problems


def service(*servers, address="203.0.113.80", port=80, **more):
    return dict(more, address=address, port=port, servers=list(servers))


def server(address="198.51.100.11", **more):
    return dict(more, address=address)


@pytest.mark.parametrize(
    "services",
    [
        [service(server(), server("198.51.100.12", weight=0))],
        [service(server(), protocol="udp"), service(server(), port="8080"), {"fwmark": 7, "scheduler": "mh"}],
        [{"address": "2001:DB8::80", "port": 80, "scheduler": "x"}],  # a module of the user's own
        # what ipvs_info returns with statistics
        [service(server(statistics={"connections": 1}), statistics={"connections": 1})],
    ],
)
def test_nothing_is_wrong(services):
    assert services_problems(services) == []


@pytest.mark.parametrize(
    ("services", "start", "part"),
    [
        (None, "director_services: ", "give the list"),
        ("{{ services }}", "director_services: ", "give the list"),
        ({"address": "203.0.113.80", "port": 80}, "director_services: ", "give the list"),
        ([], "director_services: []: ", "director_allow_empty: true"),
        ([service()], "director_services[0].servers: []: ", "leave servers out to keep them"),
        ([service(server()), service(server(), address="203.0.113.080")], "director_services[1].address: ", "as a literal"),
        ([service(server()), service(server())], "director_services[1].address: ", "is listed twice"),
        ([service(server()), service(server(), protocol="tcp")], "director_services[1].address: ", "is listed twice"),
        ([service(server("2001:db8::1"), server("2001:DB8:0::1"), address="2001:db8::80")], "director_services[0].servers[1].address: ", "twice"),
        ([service(server("web1"))], "director_services[0].servers[0].address: 'web1'", "as a literal"),
        ([service(server(), port=0)], "director_services[0].port: ", "persistence_timeout"),
        ([service(server(), one_packet=True)], "director_services[0].one_packet: True: ", "UDP"),
        ([service(server(), server("198.51.100.12", port=81))], "director_services[0].servers[1].port: 81", "needs nat"),
        ([service(server("224.0.0.1"))], "director_services[0].servers[0].address: ", "224.0.0.1"),
        ([service(server(), address="0.0.0.0")], "director_services[0].address: ", "0.0.0.0"),
        ([service(server(weight=-1))], "director_services[0].servers[0].weight: ", "0 to"),
        ([service(server(lower_threshold=5))], "director_services[0].servers[0].lower_threshold: ", "upper_threshold"),
        ([service(server("2001:db8::1"))], "director_services[0].servers[0].address: ", "forward_method tun"),
        ([service(server()), 80], "director_services[1]: 80: ", "give a dict of options, which are address, port"),
        ([service(server(), check=False)], "director_services[0].check: False: ", "give a dict of options, which are type, port"),
        ([service(server(), check="http")], "director_services[0].check: 'http': ", "give a dict of options, which are type, port"),
        ([service(server(), sorry_server=[80])], "director_services[0].sorry_server: [80]: ", "give a dict of options, which are address, port"),
        ([service(server(), server("198.51.100.12", check=80))], "director_services[0].servers[1].check: 80: ", "give a dict of options, which are type"),
    ],
)
def test_what_is_wrong_is_named(services, start, part):
    (problem,) = services_problems(services)
    assert problem.startswith(start) and part in problem


@pytest.mark.parametrize(
    ("services", "parts"),
    [
        ([service(server(), prot="udp")], ["prot", "director_services"]),
        ([service(server(wieght=3))], ["wieght", "director_services"]),
        ([service(server(forward_method="masq"))], ["forward_method", "masq"]),
        ([service(server(), port="http")], ["port", "int"]),
        ([service({"port": 80})], ["address", "servers"]),
    ],
)
def test_an_option_that_no_module_has_or_takes_is_named(services, parts):
    problems = services_problems(services)
    assert len(problems) == 1 and all(part in problems[0] for part in parts)


def test_an_empty_list_is_taken_with_the_word_that_says_so():
    assert services_problems([], allow_empty=True) == []
    assert services_problems([service()], allow_empty=True) == []


def test_timeouts_and_sync_daemons_are_checked_with_the_list():
    daemons = [{"role": "master", "interface": "eth0"}, {"role": "master", "interface": "eth1"}]
    problems = services_problems([service(server())], timeouts={"tcp": -1}, sync_daemons=daemons)
    assert [problem.split(": ")[0] for problem in problems] == ["director_timeouts.tcp", "director_sync_daemons[1].role"]
    mixed = [service(server("2001:db8::1", forward_method="tun"))]
    assert services_problems(mixed) == []
    (problem,) = services_problems(mixed, sync_daemons=daemons[:1])
    assert "203.0.113.80:80 has the server [2001:db8::1]:80" in problem


def test_the_list_is_left_as_it_was():
    shared = [server(port="80")]
    services = [dict(service(), servers=shared), dict(service(port=81), servers=shared)]
    services_problems(services)
    assert services[0]["servers"] is shared and shared == [server(port="80")]


def test_a_mistyped_setting_of_ipvs_is_named_with_the_list():
    parsed = {"net.ipv4.vs.conn_reuse_mod": 1, "net/ipv4/vs/sloppy-tcp": 1, "net.ipv4.vs.sync_ports": 2, "net.ipv4.vs.*": 1, "net.ipv4.conf.all.rp_filtr": 1}
    assert services_problems([service(server())], sysctls=parsed) == [
        "director_sysctls: net.ipv4.vs.conn_reuse_mod: no kernel has this setting; did you mean net.ipv4.vs.conn_reuse_mode?",
        "director_sysctls: net/ipv4/vs/sloppy-tcp: no kernel has this setting; did you mean net.ipv4.vs.sloppy_tcp?",
    ]


def test_every_dict_that_is_none_is_named():
    problems = services_problems([service(server(), check=False), service(server(check=1.5))], timeouts=3, failover={"priority": 100, "sync": True})
    places = ["director_services[0].check: False", "director_services[1].servers[0].check: 1.5", "director_timeouts: 3", "failover.sync: True"]
    assert [problem.partition(": give")[0] for problem in problems] == places


def test_a_dict_may_be_text_and_lists_are_taken_apart_by_ansible():
    assert services_problems([service(server(), check="type=tcp port=8080")]) == []
    assert any("'servers'" in problem for problem in services_problems([dict(service(), servers=False)]))
