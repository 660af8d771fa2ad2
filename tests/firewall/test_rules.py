# SPDX-License-Identifier: GPL-3.0-or-later
"""nft(8) takes whatever the rules are rendered as."""

from __future__ import annotations

import ipaddress
import subprocess

from ansible_collections.lvs.ipvs.plugins.module_utils._node._nftables import Rules, Selector, render


def selector(network, *ports, protocol="tcp"):
    return Selector(ipaddress.ip_network(network), protocol, tuple(port if isinstance(port, tuple) else (port, port) for port in ports))


def networks(*texts):
    return [ipaddress.ip_network(text) for text in texts]


def test_nft_takes_every_kind_of_rule():
    marks = [
        (mark + 1, selector(network, *ports, protocol=protocol))
        for mark, (network, protocol, ports) in enumerate(
            (network, protocol, ports)
            for network in ("203.0.113.80", "203.0.113.0/24", "2001:db8::80", "2001:db8::/64", "0.0.0.0/0")
            for protocol in ("tcp", "udp", "sctp")
            for ports in ((), (80,), (80, 443), ((8000, 8010), 9000, (1, 65535)))
        )
    ]
    clients, servers = networks("198.51.100.0/24", "2001:db8::/64"), networks("198.51.100.11", "198.51.100.12", "2001:db8::11")
    text = render(Rules(marks, [each for _mark, each in marks], clients, servers))
    done = subprocess.run(["nft", "--check", "--file", "-"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
