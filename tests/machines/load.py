# SPDX-License-Identifier: GPL-3.0-or-later
"""load.py END ADDRESS:PORT...: load on each service until the file END is there, then what came of it, as JSON.

Each service answers a line with a line. Ten new connections a second, with a limit of 5 seconds, and 20 that stay open and say a line every 3
seconds. A port of each address that has no service is asked every 0.02 seconds, too: whoever has the address refuses the connection.
``gap``: the longest time in which nobody did.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import sys
import threading
import time
from pathlib import Path

LONG = 20
NO_SERVICE = 9


def say(connection):
    connection.sendall(b"hello\n")
    if not connection.recv(64):
        raise OSError("closed")


class Load:
    def __init__(self, end, place):
        address, _colon, port = place.rpartition(":")
        self.end, self.place = Path(end), (address, int(port))
        self.done, self.failed, self.slowest, self.lived, self.gap = 0, [], 0.0, 0, 0.0

    def is_over(self):
        return self.end.exists()

    def request(self):
        start = time.monotonic()
        try:
            with socket.create_connection(self.place, 5) as connection:
                say(connection)
            self.done += 1
        except OSError as error:
            self.failed.append(f"{time.strftime('%T')} {error}")
        self.slowest = max(self.slowest, time.monotonic() - start)

    def requests(self):
        threads = []
        while not self.is_over():
            threads.append(threading.Thread(target=self.request))
            threads[-1].start()
            time.sleep(0.1)
        for thread in threads:
            thread.join()

    def stay(self, ready):
        try:
            connection = socket.create_connection(self.place, 10)
            connection.settimeout(20)
            say(connection)
        except OSError:
            ready.abort()  # there is nothing to load
            raise
        ready.wait()
        with connection:
            try:
                while not self.is_over():
                    say(connection)
                    time.sleep(3)
                say(connection)
                self.lived += 1
            except OSError as error:
                print(f"long connection: {error}", file=sys.stderr)

    def watch(self):
        """Find the longest time in which the address does not answer."""
        last = time.monotonic()
        while not self.is_over():
            with socket.socket() as probe:
                probe.settimeout(0.04)
                answered = probe.connect_ex((self.place[0], NO_SERVICE)) == errno.ECONNREFUSED
            if answered:
                self.gap, last = max(self.gap, time.monotonic() - last), time.monotonic()
            time.sleep(0.02)

    def run(self, ready):
        threads = [threading.Thread(target=self.stay, args=(ready,)) for _number in range(LONG)]
        threads.append(threading.Thread(target=self.requests))
        threads.append(threading.Thread(target=self.watch))
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def told(self):
        return {"done": self.done, "failed": self.failed, "slowest": round(self.slowest, 2), "lived": self.lived, "gap": round(self.gap, 2)}


def main():
    end, places = sys.argv[1], sys.argv[2:]
    loads, ready = [Load(end, place) for place in places], threading.Barrier(LONG * len(places) + 1)
    threads = [threading.Thread(target=load.run, args=(ready,)) for load in loads]
    for thread in threads:
        thread.start()
    try:
        ready.wait()
    except threading.BrokenBarrierError:
        print("no service answers", flush=True)
        os._exit(1)
    print("ready", flush=True)
    for thread in threads:
        thread.join()
    print(json.dumps({place: load.told() for place, load in zip(places, loads, strict=True)}))


if __name__ == "__main__":
    main()
