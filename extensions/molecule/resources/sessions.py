# SPDX-License-Identifier: GPL-3.0-or-later
"""sessions.py FILE COUNT ADDRESS...: what clients notice of a failover, until FILE is there.

Ten new requests a second to port 80 of each address, and COUNT connections to its port 7000 that are nearly idle: each says a line every three
seconds and waits for it to come back. Prints how many requests failed, the longest time without an answer, and how many connections
live, and exits with 1 where one of them does not, or no request was answered.
"""
import os
import socket
import sys
import threading
import time

from probe import ask

PAUSE, SPEECH, PATIENCE, SLOW = 0.1, 3, 20, 0.5


class Requests(threading.Thread):
    """New requests to an address. ``answered``: when; ``slow``: how many took longer than SLOW; ``failures``: texts."""

    def __init__(self, address, over):
        super().__init__()
        self.address, self.over = address, over
        self.answered, self.slow, self.failures = [time.monotonic()], 0, []

    def run(self):
        while not self.over.is_set():
            start = time.monotonic()
            name = ask(self.address, 80, "tcp")
            took = time.monotonic() - start
            if name.startswith("("):
                self.failures.append(f"{time.strftime('%T')} {self.address} {name} after {took:.1f} s")
            else:
                self.answered.append(time.monotonic())
                self.slow += took > SLOW
            time.sleep(max(PAUSE - took, 0.01))

    def longest_gap(self):
        return max((later - earlier for earlier, later in zip(self.answered, self.answered[1:], strict=False)), default=0)


class Session(threading.Thread):
    """A connection that stays. ``broken``: why it does not live."""

    def __init__(self, address, over):
        super().__init__()
        self.address, self.over, self.broken = address, over, None
        self.connection = socket.create_connection((address, 7000), PATIENCE)

    def run(self):
        last = False
        while not last:
            last = self.over.wait(SPEECH)
            try:
                self.connection.sendall(b"a line\n")
                self.broken = None if self.connection.recv(4096) else "closed"
            except OSError as error:
                self.broken = f"{time.strftime('%T')} {error}"
            if self.broken:
                return


def main():
    path, count, addresses = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    over = threading.Event()
    sessions = [Session(address, over) for address in addresses for _number in range(count)]
    requests = [Requests(address, over) for address in addresses]
    for thread in sessions + requests:
        thread.start()
    while not os.path.exists(path):
        time.sleep(0.1)
    over.set()
    for thread in sessions + requests:
        thread.join()
    done = sum(len(each.answered) - 1 for each in requests)
    failed = [failure for each in requests for failure in each.failures]
    slow, longest = sum(each.slow for each in requests), max(each.longest_gap() for each in requests)
    live = sum(not each.broken for each in sessions)
    print(f"{len(failed)} of {done + len(failed)} requests failed, {slow} took longer than {SLOW} s, at most {longest:.1f} s without an answer")
    print(f"{live} of {len(sessions)} long connections live")
    for line in failed[:10] + [f"BROKEN: {each.address}: {each.broken}" for each in sessions if each.broken]:
        print(line)
    return int(live < len(sessions) or not done)


if __name__ == "__main__":
    sys.exit(main())
