# SPDX-License-Identifier: GPL-3.0-or-later
"""A client, a director and two real servers as network namespaces, with real TCP between them.

The director is the namespace that the test runs in. Sockets are made inside the other namespaces and used from this process,
so nothing has to be started.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import subprocess
import threading
import time
from pathlib import Path

from ansible_collections.lvs.ipvs.plugins.module_utils._node import _netns

VIP, PORT = "203.0.113.80", 80
SERVICE = {"address": VIP, "port": PORT}
SERVERS = {"rs1": "198.51.100.11", "rs2": "198.51.100.12"}
PATIENCE = 10  # seconds for one answer; a machine may be busy

_numbers = itertools.count()


def nat(name, **options):
    """The options of one of the real servers behind NAT."""
    return {"address": SERVERS[name], "forward_method": "nat", **options}


def _ip(lines, *options):
    subprocess.run(["ip", *options, "-batch", "-"], input="\n".join(lines) + "\n", text=True, check=True)


class Site:
    """What lies around the director. Use it as a context manager."""

    def __enter__(self):
        suffix = str(next(_numbers))
        self.client = "client" + suffix
        self.names = {name: name + "-" + suffix for name in SERVERS}
        everyone = [self.client, *self.names.values()]
        director = [f"netns add {name}" for name in everyone]
        director += [f"link add c0 type veth peer name e0 netns {self.client}", "addr add 203.0.113.1/24 dev c0", f"addr add {VIP}/32 dev c0"]
        for name, address in SERVERS.items():
            director += [f"link add {name} type veth peer name e0 netns {self.names[name]}"]
            director += [f"addr add 198.51.100.1 peer {address} dev {name}", f"link set {name} up"]
        _ip(director + ["link set c0 up"])
        _ip(["addr add 203.0.113.10/24 dev e0", "link set e0 up"], "-n", self.client)
        for name, address in SERVERS.items():
            _ip(
                [f"addr add {address} peer 198.51.100.1 dev e0", "link set e0 up", "route add default via 198.51.100.1"],
                "-n",
                self.names[name],
            )
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        self.sockets, self.threads = [], []
        for name in SERVERS:
            self._listen(name)
        return self

    def __exit__(self, *exc_info):
        # a thread that lived on would keep the director's namespace, and with it the kernel's modules
        for each in self.sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        _ip([f"netns del {name}" for name in (self.client, *self.names.values())])

    def _listen(self, name):
        with _netns.inside(self.names[name]):
            listener = socket.create_server(("", PORT), backlog=128)
        self._start(self._serve, listener, name)

    def _start(self, function, connection, name):
        self.sockets.append(connection)
        self.threads.append(threading.Thread(target=function, args=(connection, name), daemon=True))
        self.threads[-1].start()

    def _serve(self, listener, name):
        with listener, contextlib.suppress(OSError):  # it is shut down at the end
            while True:
                self._start(_answer, listener.accept()[0], name)

    def connect(self):
        """A new connection from the client through the virtual service."""
        with _netns.inside(self.client):
            connection = socket.create_connection((VIP, PORT), PATIENCE)
        return Connection(connection)

    def ask(self):
        """One short connection; the name of the real server that answered."""
        with self.connect() as connection:
            return connection.server


class Connection:
    """A connection through the director. ``server``: the name of the real server at its end."""

    def __init__(self, connection):
        self.socket = connection
        self.server = connection.recv(100).decode()

    def echo(self):
        """Send something there and back again."""
        self.socket.sendall(b"still there?")
        return self.socket.recv(100) == b"still there?"

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()


def _answer(connection, name):
    """Tell the client the server's name, and send back what it sends."""
    with connection, contextlib.suppress(OSError):
        connection.sendall(name.encode())
        while data := connection.recv(100):
            connection.sendall(data)


class Load:
    """A steady load of short and of longer connections, until the block ends. Counts what went wrong."""

    def __init__(self, site):
        self.site = site
        self.ending = threading.Event()
        self.requests = self.failed_requests = self.long_connections = self.broken_connections = 0
        self.answers = {}
        self.errors = []

    def __enter__(self):
        self.threads = [threading.Thread(target=run) for run in (self._short, self._long, self._long)]
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *exc_info):
        self.ending.set()
        for thread in self.threads:
            thread.join()

    def _short(self):
        while not self.ending.is_set():
            self.requests += 1
            try:
                name = self.site.ask()
                self.answers[name] = self.answers.get(name, 0) + 1
            except OSError as error:
                self.failed_requests += 1
                self.errors.append(repr(error))
            time.sleep(0.01)

    def _long(self):
        while not self.ending.is_set():
            self.long_connections += 1
            try:
                with self.site.connect() as connection:
                    whole = True
                    for _time in range(10):
                        whole = whole and connection.echo()
                        time.sleep(0.05)
                if not whole:
                    raise ConnectionError("broken")
            except OSError as error:
                self.broken_connections += 1
                self.errors.append(repr(error))
