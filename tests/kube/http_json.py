# SPDX-License-Identifier: GPL-3.0-or-later
"""What the two stand-ins share: an HTTP server on 127.0.0.1 that speaks JSON and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from abc import ABC, abstractmethod
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit


class Error(Exception):
    """An answer other than 200. ``body``: what is sent along."""

    def __init__(self, status: int, body: dict, headers: dict | None = None):
        super().__init__(status)
        self.status, self.body, self.headers = status, body, headers or {}


class JsonServer(ABC):
    """Serves ``answer`` of a subclass on a free port of 127.0.0.1. Use as a context manager.

    ``requests``: (method, path, query, body) of each request, in order.
    """

    def __init__(self):
        self.requests: list[tuple[str, str, dict, dict]] = []
        self.lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @abstractmethod
    def answer(self, method: str, path: str, query: dict, body: dict, headers) -> dict:
        """The body of the answer to one request. Raises Error."""

    def writes(self) -> list[tuple[str, str]]:
        """What was changed or asked to be: (method, path) of all requests that are no reads and no dry runs."""
        return [(method, path) for method, path, query, _body in self.requests if method != "GET" and query.get("dryRun") != "All"]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def respond(self):
                url = urlsplit(self.path)
                query = dict(parse_qsl(url.query))
                text = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                body = json.loads(text) if text else {}
                with server.lock:
                    server.requests.append((self.command, url.path, query, body))
                    try:
                        status, answer, headers = 200, server.answer(self.command, url.path, query, body, self.headers), {}
                    except Error as error:
                        status, answer, headers = error.status, error.body, error.headers
                data = json.dumps(answer).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", "Content-Length": str(len(data)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = respond

            def log_message(self, *_arguments):
                """Nothing on standard error: ``requests`` has it all."""

        return Handler
