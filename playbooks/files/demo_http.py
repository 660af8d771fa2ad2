# SPDX-License-Identifier: GPL-3.0-or-later
"""Answers every HTTP request on port 80 with the name of this machine."""

import http.server
import socket
import socketserver


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = (socket.gethostname() + "\n").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Server(socketserver.ThreadingTCPServer):  # HTTPServer would look up the host's full name, and wait where there is no DNS
    allow_reuse_address = True
    daemon_threads = True


Server(("", 80), Handler).serve_forever()
