# SPDX-License-Identifier: GPL-3.0-or-later
"""What runs in a pod of these tests: answers "tcp" by HTTP on port 8081 and "udp" by UDP on port 8082."""

import http.server
import socketserver
import threading


class Http(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"tcp")


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(b"udp", self.client_address)


threading.Thread(target=socketserver.ThreadingUDPServer(("", 8082), Udp).serve_forever).start()
http.server.HTTPServer(("", 8081), Http).serve_forever()
