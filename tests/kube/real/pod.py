# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a pod of these tests: answers with the pod's name, by HTTP on port 8081 and by UDP on port 8082, over IPv4 and IPv6."""

import http.server
import socket
import socketserver
import sys
import threading

NAME = sys.argv[1].encode()


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(NAME)

    def log_message(self, *_arguments):
        pass


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(NAME, self.client_address)


class HttpServer(http.server.ThreadingHTTPServer):
    address_family = socket.AF_INET6


class UdpServer(socketserver.ThreadingUDPServer):
    address_family = socket.AF_INET6


# A socket of IPv6 takes IPv4, too.
threading.Thread(target=UdpServer(("", 8082), Udp).serve_forever).start()
HttpServer(("", 8081), Http).serve_forever()
