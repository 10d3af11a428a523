"""Receivers of webhooks: HTTP servers on real sockets that keep what they were sent."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from supervisor_guards.webhooks import Delivery, verify
from tests.service.serving import until


class Request(NamedTuple):
    """What was sent. The names of headers are in lower case."""

    path: str
    headers: Mapping[str, str]
    body: bytes

    def verified(self, secret: str) -> Delivery:
        """What it says, if it was signed with `secret`."""
        return verify(secret, self.headers, self.body)


Behave = Callable[[BaseHTTPRequestHandler], None]


def status(code: int, text: bytes = b"", **headers: str) -> Behave:
    """Answers with this."""

    def behave(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    return behave


class Receiver:
    """A receiver; `behave` answers, and can be changed. `released` is for behaviours that wait for the test."""

    def __init__(self, behave: Behave | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.behave = behave or status(204)
        self.requests: list[Request] = []
        self.connections = 0
        self.released = threading.Event()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = {name.lower(): value for name, value in self.headers.items()}
                body = self.rfile.read(int(sent["content-length"]))
                if len(body) < int(sent["content-length"]):
                    return  # who sent it was killed in the middle of it
                receiver.requests.append(Request(self.path, sent, body))
                receiver.behave(self)

            def log_message(self, *args: Any) -> None:
                """Keep quiet."""

        class Server(ThreadingHTTPServer):
            def verify_request(self, request: Any, client_address: Any) -> bool:
                receiver.connections += 1
                return True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever called hung up: what a test may be about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    def __enter__(self) -> Receiver:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hooks?of=tests"

    def wait(self, number: int = 1) -> list[Request]:
        """The requests, once there are so many."""
        until(lambda: len(self.requests) >= number)
        return list(self.requests)
