# SPDX-License-Identifier: GPL-3.0-or-later
"""A stand-in for the port where kube-proxy answers with its mode."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer


@contextlib.contextmanager
def kube_proxy(answer, status=200):
    """The port of a kube-proxy that answers so when it is asked for its mode."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status if self.path == "/proxyMode" else 404)
            self.end_headers()
            self.wfile.write(answer.encode())

        def log_message(self, *_arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()
