# SPDX-License-Identifier: GPL-3.0-or-later
"""load.py [--hold] ADDRESS... -- COMMAND...: one request after the other to port 80 of each address, while COMMAND runs.

With --hold also a connection to each, opened before COMMAND, that asks for something when it is over: "BROKEN" where nothing comes back.
Then prints how many each real server has answered and what failed, and exits with 1 where a request failed, or with COMMAND's status.
"""
import collections
import socket
import subprocess
import sys
import threading
import time

from probe import ask


def press(address, over, counts, failures):
    start = time.monotonic()
    while not over.is_set():
        name = ask(address, 80, "tcp")
        if name.startswith("("):
            failures.append(f"{address} {name} after {time.monotonic() - start:.1f} s")
        else:
            counts[f"{address} {name}"] += 1
        time.sleep(0.02)


def asked_late(address, held):
    """What comes of a connection that has been open all the time, as a line to print."""
    try:
        held.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = held.recv(4096)
    except OSError as error:
        return f"BROKEN: {address}: {error}"
    return f"{address}: a held connection answered after all" if answer else f"BROKEN: {address}: closed"


def main():
    split = sys.argv.index("--")
    addresses, command = sys.argv[1:split], sys.argv[split + 1 :]
    hold = addresses[0] == "--hold"
    addresses = addresses[hold:]
    connections = [(address, socket.create_connection((address, 80), 15)) for address in addresses if hold]
    over, counts, failures = threading.Event(), collections.Counter(), []
    threads = [threading.Thread(target=press, args=(address, over, counts, failures)) for address in addresses]
    for thread in threads:
        thread.start()
    status = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
    over.set()
    for thread in threads:
        thread.join()
    for name, count in sorted(counts.items()):
        print(f"answered: {name}: {count}")
    for failure in failures:
        print(f"FAILED: {failure}")
    late = [asked_late(*each) for each in connections]
    print("\n".join(late))
    failures += [line for line in late if line.startswith("BROKEN")]
    return status or int(bool(failures) or not counts)


if __name__ == "__main__":
    sys.exit(main())
