# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node lacks of kube-proxy's services; the playbook that asks: extensions/molecule/kube_node_image."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.lvs.ipvs.plugins.filter.kube_proxy_missing import kube_proxy_missing


def service(protocol, address, port, *weights):
    return {"protocol": protocol, "address": address, "port": port, "servers": [{"weight": weight} for weight in weights]}


def table(*services):
    return {"loaded": True, "services": [{"fwmark": 7, "family": "ipv4", "servers": []}, *services]}


def whole(api="10.100.0.1", dns="10.100.0.10"):
    return table(service("tcp", api, 443, 0, 1), service("udp", dns, 53, 1), service("tcp", dns, 53, 1))


@pytest.mark.parametrize(
    ("cidr", "api", "dns"),
    [
        ("10.100.0.0/16", "10.100.0.1", "10.100.0.10"),
        ("10.100.0.250/16", "10.100.0.1", "10.100.0.10"),
        ("198.51.100.128/25", "198.51.100.129", "198.51.100.138"),
        ("2001:db8:1::/108", "2001:db8:1::1", "2001:db8:1::a"),
        (" 10.100.0.0/16 , 2001:db8:1::/108", "10.100.0.1", "10.100.0.10"),
    ],
)
def test_nothing_is_missing(cidr, api, dns):
    assert kube_proxy_missing(whole(api, dns), service_cidr=cidr) == []


def test_addresses_and_ports_of_their_own():
    there = table(service("tcp", "2001:db8::7", 6443, 1), *(service(each, "198.51.100.7", 5353, 1) for each in ("tcp", "udp")))
    given = {"api_address": "2001:DB8:0::7", "api_port": "6443", "dns_addresses": ["198.51.100.7"], "dns_port": 5353}
    assert kube_proxy_missing(there, **given) == []
    assert kube_proxy_missing(there, **{**given, "dns_addresses": ["198.51.100.7", "198.51.100.8"]}) == [
        "DNS: the table has no service udp 198.51.100.8 port 5353.",
        "DNS: the table has no service tcp 198.51.100.8 port 5353.",
    ]


def test_all_that_is_missing_is_named():
    there = table(service("tcp", "10.100.0.1", 443, 0, 0), service("udp", "10.100.0.10", 53))
    assert kube_proxy_missing(there, interface=False, service_cidr="10.100.0.0/16") == [
        "There is no interface kube-ipvs0: kube-proxy has not started in IPVS mode here. Look at its log.",
        "API: the service tcp 10.100.0.1 port 443 has no server with a weight above 0 behind it.",
        "DNS: the service udp 10.100.0.10 port 53 has no server with a weight above 0 behind it.",
        "DNS: the table has no service tcp 10.100.0.10 port 53.",
    ]


def test_a_kernel_without_ipvs():
    (text,) = kube_proxy_missing({"loaded": False}, service_cidr="10.100.0.0/16")
    assert text.startswith("This kernel has no IPVS loaded")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "the addresses of the API server and of DNS are not known"),
        ({"api_address": "10.100.0.1"}, "the addresses of the API server and of DNS are not known"),
        ({"service_cidr": "10.100.0.0/33"}, "service_cidr: '10.100.0.0/33' is not a range with 2 addresses"),
        ({"service_cidr": "10.100.0.0/29"}, "service_cidr: '10.100.0.0/29' is not a range with 11 addresses"),
        ({"service_cidr": "10.100.0.0/16", "api_address": "kubernetes"}, "api_address: 'kubernetes' is not an IP address"),
        ({"service_cidr": "10.100.0.0/16", "dns_addresses": ["dns"]}, "dns_addresses: 'dns' is not an IP address"),
        ({"service_cidr": "10.100.0.0/16", "api_port": "https"}, "api_port: 'https' is not a port from 1 to 65535"),
        ({"service_cidr": "10.100.0.0/16", "api_port": 0}, "api_port: 0 is not a port"),
        ({"service_cidr": "10.100.0.0/16", "dns_port": 65536}, "dns_port: 65536 is not a port"),
    ],
)
def test_what_is_not_right_is_named(options, text):
    """Whether or not IPVS is loaded."""
    for loaded in (whole(), {"loaded": False}):
        with pytest.raises(AnsibleFilterError) as error:
            kube_proxy_missing(loaded, **options)
        assert str(error.value).startswith("kube_proxy_missing: " + text)
