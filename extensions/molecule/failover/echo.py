# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends back what comes on port 7000, IPv4 and IPv6, until the other side closes."""
import socket
import socketserver


class Handler(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(4096):
            self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # and IPv4 with it
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256


Server(("::", 7000), Handler).serve_forever()
