# SPDX-License-Identifier: GPL-3.0-or-later
"""The services of a cluster whose nodes are machines, the pods that answer for them, and who asks them."""

from __future__ import annotations

import shlex
from pathlib import Path

POD = (Path(__file__).parent / "pod.py").read_text()
ADDRESSES = {"4": "10.96.0.90", "6": "[2001:db8:96::90]"}
"""Of the service np, as they stand in a URL."""
ASK_UDP = """
import socket, sys
for _number in range(int(sys.argv[3])):
    asked = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
    asked.settimeout(20)
    asked.sendto(b"?", (sys.argv[1], int(sys.argv[2])))
    print(asked.recv(99).decode())
"""


def service(name, kind):
    ports = [
        {"name": "tcp", "port": 81, "protocol": "TCP", "nodePort": 30080},
        {"name": "udp", "port": 82, "protocol": "UDP", "nodePort": 30082},
    ]
    spec = {"type": kind, "ipFamilyPolicy": "RequireDualStack", "clusterIPs": [each.strip("[]") for each in ADDRESSES.values()], "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {**spec, "clusterIP": spec["clusterIPs"][0]}}


SIX = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "six"},
    "spec": {"ipFamilies": ["IPv6"], "clusterIP": "2001:db8:96::66", "ports": [{"port": 81, "protocol": "TCP"}]},
}
"""The one service that a kube-proxy of IPv6 alone finds here."""


def pods(number):
    """The addresses of the pod on the node with this number."""
    return [f"10.244.{number}.2", f"2001:db8:244:{number}::2"]


def endpoints(name):
    """Of a service without a selector: the pods that connect() makes. kube-proxy masquerades a pod that asks itself where it knows its node."""
    ports = [{"name": "tcp", "port": 8081, "protocol": "TCP"}, {"name": "udp", "port": 8082, "protocol": "UDP"}]
    subsets = [{"addresses": [{"ip": address, "nodeName": f"node{number}"} for number in (1, 2) for address in pods(number)], "ports": ports}]
    return {"apiVersion": "v1", "kind": "Endpoints", "metadata": {"name": name}, "subsets": subsets}


def connect(machines):
    """A pod in a network namespace of each node, and the routes between them that a network plugin would set."""
    for number, other in ((1, 2), (2, 1)):
        node, peer = f"node{number}", machines.lab.machine(f"node{other}")
        machines.ssh(node, f"""
            set -e
            test ! -e /run/netns/pod || exit 0
            ip netns add pod && ip link add veth0 type veth peer name eth0 netns pod && ip link set veth0 up
            ip address add 10.244.{number}.1/24 dev veth0 && ip address add 2001:db8:244:{number}::1/64 dev veth0 nodad
            ip -n pod link set lo up && ip -n pod link set eth0 up
            ip -n pod address add 10.244.{number}.2/24 dev eth0 && ip -n pod address add 2001:db8:244:{number}::2/64 dev eth0 nodad
            ip -n pod route add default via 10.244.{number}.1 && ip -n pod route add default via 2001:db8:244:{number}::1
            ip route add 10.244.{other}.0/24 via {peer.addresses[0]} && ip route add 2001:db8:244:{other}::/64 via {peer.addresses[1]}
            sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
            systemd-run --quiet --unit=pod ip netns exec pod python3 -c {shlex.quote(POD)} pod{number}
            timeout 120 sh -c 'until curl --silent --output /dev/null http://10.244.{number}.2:8081/; do :; done'""")


def asked(machines, name, address, number=4):
    """The pods that answer by TCP and by UDP to a node that asks a service at its address, that many times each."""
    tcp = f"for each in $(seq {number}); do curl --silent --max-time 20 --globoff http://{address}:81/; echo; done"
    udp = f"python3 -c {shlex.quote(ASK_UDP)} {address.strip('[]')} 82 {number}"
    return sorted(machines.ssh(name, tcp).split()), sorted(machines.ssh(name, udp).split())
