# SPDX-License-Identifier: GPL-3.0-or-later
"""probe.py EXPECTATIONS: connect to virtual services, see which real server answers, and hold that against what is expected.

EXPECTATIONS is a JSON list of {address, port, protocol, requests, is, weights}; protocol tcp unless given. "is" says how the answers
have to fall: "alternating" (two servers by turns), "sticky" (one and the same), or "weighted" (counts in the ratio of weights,
{name: weight}). Prints a line for each, and exits with 1 where one isn't met.
"""
import collections
import itertools
import json
import socket
import sys
import time

TIMEOUT = 5


def own_ports():
    """Source ports that no load before has used: a director sends a port that it knows where it sent it last.

    Below those that the kernel gives; ten a second, and round again after half an hour.
    """
    return itertools.count(10000 + int(time.monotonic() * 10) % 20000)


def ask(address, port, protocol, source=0):
    """The name of the server that answers a new connection from the port ``source`` (0: any); an error's text where none does."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family, kind) as client:
        client.settimeout(TIMEOUT)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            client.bind(("", source))
            client.connect((address, port))
            client.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b""
            while data := client.recv(4096):
                answer += data
                if protocol == "udp":
                    break
        except OSError as error:
            return f"({error})"
        return answer.decode().split()[-1] if answer.strip() else "(nothing)"


def met(names, expectation):
    """Whether the answers, in their order, fall as expected."""
    if any(name.startswith("(") for name in names):
        return False
    counts = collections.Counter(names)
    if expectation["is"] == "alternating":
        return len(counts) == 2 and all(one != other for one, other in zip(names, names[1:], strict=False))
    if expectation["is"] == "sticky":
        return len(counts) == 1
    if expectation["is"] == "weighted":
        weights = expectation["weights"]
        return counts == {name: weight * len(names) // sum(weights.values()) for name, weight in weights.items() if weight}
    raise ValueError(expectation["is"])


def main():
    failed = False
    sources = own_ports()
    for expectation in json.loads(sys.argv[1]):
        address, port, protocol = expectation["address"], expectation["port"], expectation.get("protocol", "tcp")
        names = [ask(address, port, protocol, next(sources)) for _number in range(expectation.get("requests", 12))]
        good = met(names, expectation)
        failed |= not good
        print(f"{'met' if good else 'NOT MET'}: {protocol} {address} port {port} {expectation['is']}: {' '.join(names)}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
