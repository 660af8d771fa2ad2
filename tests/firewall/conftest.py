# SPDX-License-Identifier: GPL-3.0-or-later
"""ipvs_firewall on a kernel with nftables. Every test has a network namespace of its own; see tests/integration/conftest.py."""

from __future__ import annotations

import itertools
import socket
import subprocess
import threading
import time

import pytest

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns
from tests.integration.conftest import Ipvs, new_netns

DIRECTOR, CLIENT, SERVER, VIP = "198.51.100.1", "198.51.100.20", "198.51.100.11", "198.51.100.80"
PORTS = (80, 443)
PATIENCE = 3  # seconds for what must not answer, too
_numbers = itertools.count()


class OneArmed:
    """A director (the namespace that the test runs in), a client and two real servers in one network, on a bridge."""

    def __init__(self, vip_on_servers=False):
        suffix = next(_numbers)
        self.client, self.servers = f"c{suffix}", [f"s{suffix}-{number}" for number in (11, 12)]
        self.sockets, self.threads, self.peers = [], [], []
        lines = ["link add br0 type bridge", f"addr add {DIRECTOR}/24 dev br0", f"addr add {VIP}/32 dev br0", "link set br0 up"]
        for name in (self.client, *self.servers):
            lines += [f"netns add {name}", f"link add {name} type veth peer name e0 netns {name}", f"link set {name} master br0 up"]
        ip(lines)
        for name, number in zip((self.client, *self.servers), (20, 11, 12), strict=True):
            ip([f"addr add 198.51.100.{number}/24 dev e0", "link set lo up", "link set e0 up"], "-n", name)
        for name in self.servers:
            if vip_on_servers:
                with _netns.inside(name):
                    subprocess.run(["sysctl", "-qw", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"], check=True)
                ip([f"addr add {VIP}/32 dev lo"], "-n", name)
            for port in PORTS:
                self.listen(name, port)
        with open("/proc/sys/net/ipv4/ip_forward", "w") as file:
            file.write("1")

    def listen(self, name, port):
        with _netns.inside(name):
            listener = socket.create_server(("", port))
        self.sockets.append(listener)
        self.threads.append(threading.Thread(target=self.serve, args=(listener, name), daemon=True))
        self.threads[-1].start()

    def serve(self, listener, name):
        while True:
            try:
                connection, peer = listener.accept()
            except OSError:
                return
            self.peers.append(peer[0])
            with connection:
                connection.settimeout(PATIENCE)
                try:
                    connection.sendall(name.encode())
                    ended = connection.recv(1) == b""  # the client's end of the connection has come
                    self.peers.append("closed" if ended else "?")
                except OSError:
                    self.peers.append("not closed")

    def ask(self, port=80, address=VIP):
        """The name of the server that answers; raises OSError."""
        with _netns.inside(self.client):
            connection = socket.create_connection((address, port), PATIENCE)
        with connection:
            return connection.recv(100).decode()

    def wait_for_end(self, connections=1):
        """Until the servers have seen the end of so many connections, or waited for it in vain."""
        end = time.monotonic() + 3 * PATIENCE
        while sum("closed" in each for each in self.peers) < connections and time.monotonic() < end:
            time.sleep(0.05)

    def close(self):
        for each in self.sockets:
            each.shutdown(socket.SHUT_RDWR)
            each.close()
        for thread in self.threads:
            thread.join()
        ip([f"netns del {name}" for name in (self.client, *self.servers)])


def ip(lines, *options):
    subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


def nft(text, *options):
    """Run nft with this input; returns what it prints."""
    return subprocess.run(["nft", *options, "-f", "-"], input=text, text=True, check=True, capture_output=True).stdout


@pytest.fixture
def ipvs():
    with new_netns() as name:
        yield Ipvs(name)


@pytest.fixture
def site(ipvs):
    site = OneArmed()
    yield site
    site.close()


@pytest.fixture
def dr_site(ipvs):
    site = OneArmed(vip_on_servers=True)
    yield site
    site.close()
