# SPDX-License-Identifier: GPL-3.0-or-later
"""answer.py PORT...: answers every TCP connection and UDP packet with this host's name, IPv4 and IPv6."""
import socket
import socketserver
import struct
import sys
import threading

NAME = socket.gethostname().encode()
IP_PKTINFO, IPV6_RECVPKTINFO, IPV6_PKTINFO = 8, 49, 50


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(4096)
        self.request.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n%s\n" % (len(NAME) + 1, NAME))


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # and IPv4 with it
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


def answer_packets(family, port):
    """From the address that a packet was sent to, which is not the one that the kernel would choose."""
    server = socket.socket(family, socket.SOCK_DGRAM)
    if family == socket.AF_INET:
        server.setsockopt(socket.IPPROTO_IP, IP_PKTINFO, 1)
    else:
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVPKTINFO, 1)
    server.bind(("", port))
    while True:
        _data, control, _flags, client = server.recvmsg(4096, 128)
        for level, kind, value in control:
            if kind == IP_PKTINFO:
                value = struct.pack("=I4s4s", 0, value[8:12], value[8:12])
            elif kind == IPV6_PKTINFO:
                value = value[:16] + struct.pack("=I", 0)
            server.sendmsg([NAME + b"\n"], [(level, kind, value)], 0, client)


threads = [threading.Thread(target=Server(("::", int(port)), Handler).serve_forever) for port in sys.argv[1:]]
threads += [threading.Thread(target=answer_packets, args=(family, int(port))) for port in sys.argv[1:] for family in (socket.AF_INET, socket.AF_INET6)]
for thread in threads:
    thread.start()
