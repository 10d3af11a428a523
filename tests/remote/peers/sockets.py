"""A small HTTP/1.1 server on a real socket, in threads of the test's process, that a test can hold, kill and restart.

It knows nothing of supervisors: `answer` gets each request and gives a reply, or a script that writes to the
connection itself. Nothing here is imported from the product: it stands in for another program.
"""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import h11

PATIENCE = 30.0
"""Seconds after which what a test waits for counts as never coming."""


@dataclass(frozen=True)
class Request:
    """One request, whole. `raw` is every byte of it as it came."""

    method: str
    target: str
    headers: dict[str, str]
    """Names in lower case; the last of several with one name."""
    body: bytes
    raw: bytes
    connection: int
    """The number of its connection, counted from 0: requests with one number shared a socket."""

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return dict(parse_qsl(urlsplit(self.target).query, keep_blank_values=True))

    @property
    def name(self) -> str:
        """`POST /v1/actions/evaluate`: what the counts go by."""
        return f"{self.method} {self.path}"

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """An answer with its length."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200, **headers: str) -> Reply:
        """`value` as JSON. An underscore in a header's name stands for a hyphen."""
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        return cls(status, json.dumps(value).encode(), {"content-type": "application/json", **names})


class Line:
    """A connection, for scripts that write to it themselves. It is closed when the script ends."""

    def __init__(self, connection: socket.socket, stopped: threading.Event) -> None:
        self._socket = connection
        self._stopped = stopped
        self.sent = 0
        """Bytes written so far."""

    def send(self, data: bytes) -> None:
        """Write `data`. Raises `OSError` once the client has hung up."""
        self._socket.sendall(data)
        self.sent += len(data)

    def pause(self, seconds: float | None = None) -> bool:
        """Let `seconds` pass, by default all there are; True when the server was stopped meanwhile."""
        return self._stopped.wait(seconds)

    def reset(self) -> None:
        """Close with a reset instead of an end: the client's next read raises."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()


Script: TypeAlias = Callable[[Line], None]
Answer: TypeAlias = Callable[[Request], "Reply | Script"]


class Server:
    """Serves `answer` on loopback, one thread a connection, until `close`.

    The port is kept while the server is down, so that nobody else takes it; connecting is refused meanwhile.
    `latency` (seconds) delays every answer.
    """

    def __init__(self, answer: Answer, *, tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.latency = 0.0
        self.requests: list[Request] = []
        self.connections = 0
        """How many were accepted."""
        self.sent: list[int] = []
        """How many bytes each script wrote before it ended or the client hung up."""
        self._tls = tls
        self._wire: list[bytes] = []
        self._changed = threading.Condition()
        self._held = False
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener: socket.socket | None = None
        self._place, self.port = reserved_port()
        self.start()

    @property
    def base_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def wire(self) -> bytes:
        """Every byte that any client has sent (after TLS), requests that never ended included."""
        with self._changed:
            return b"".join(self._wire)

    def count(self, name: str) -> int:
        """How many requests named so (`POST /v1/actions/evaluate`) have come."""
        with self._changed:
            return sum(request.name == name for request in self.requests)

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Wait until `condition` holds, looked at whenever a request has come or was answered."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), f"never came; requests: {self.requests[-5:]}"

    def hold(self) -> None:
        """Answer nothing until `release`: requests are read and recorded, connections are accepted."""
        self._held = True

    def release(self) -> None:
        """Answer what `hold` held back, and what comes."""
        with self._changed:
            self._held = False
            self._changed.notify_all()

    def kill(self) -> None:
        """Stop listening and cut every connection, also in the middle of an answer. What was recorded stays."""
        if self._listener is None:
            return
        self._stopped.set()
        self.stopping()
        with self._changed:
            listener, self._listener = self._listener, None
            for connection in (listener, *self._open):
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)  # a forked child's copy doesn't keep it open
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(PATIENCE)
        listener.close()
        self._threads.clear()

    def cut(self) -> None:
        """Close every connection, as a service does with idle ones; new ones are accepted."""
        with self._changed:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    @property
    def stopped(self) -> bool:
        """Whether it was killed; answers in progress end then."""
        return self._stopped.is_set()

    def stopping(self) -> None:
        """Wake what waits inside an answer: it looks at `stopped`."""

    def start(self) -> None:
        """Listen, after `kill` again, on the same port."""
        assert self._listener is None, "it runs already"
        self._stopped = threading.Event()
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(("127.0.0.1", self.port))
        self._listener.listen(512)
        self._run(self._accept, self._listener, self._stopped)

    def close(self) -> None:
        self.kill()
        self._place.close()

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, name="peer", daemon=True)
        self._threads = [*(each for each in self._threads if each.is_alive()), thread]
        thread.start()

    def _accept(self, listener: socket.socket, stopped: threading.Event) -> None:
        while not stopped.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._changed:
                number, self.connections = self.connections, self.connections + 1
                self._open.add(connection)
                self._changed.notify_all()
            self._run(self._serve, connection, number, stopped)

    def _serve(self, connection: socket.socket, number: int, stopped: threading.Event) -> None:
        plain = connection
        try:
            # A client that hangs up, or sends what is no HTTP, ends its connection and nothing else.
            with contextlib.suppress(OSError, h11.RemoteProtocolError):
                plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if self._tls is not None:
                    connection = self._tls.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
                    with self._changed:
                        self._open = (self._open - {plain}) | {connection}
                    connection.do_handshake()
                for request, parser in self._requests(connection, number):
                    if not self._answered(request, parser, connection, stopped):
                        break
        finally:
            with self._changed:
                self._open -= {plain, connection}
            connection.close()

    def _requests(self, connection: socket.socket, number: int) -> Iterator[tuple[Request, h11.Connection]]:
        """The requests of one connection, each once it is whole."""
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        raw, head, body = b"", None, b""
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                data = connection.recv(1 << 16)
                raw += data
                with self._changed:
                    self._wire.append(data)
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                head, body = event, b""
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert head is not None
                rest = len(parser.trailing_data[0])
                headers = {name.decode(): value.decode("latin-1") for name, value in head.headers}
                request = Request(
                    head.method.decode(), head.target.decode(), headers, body, raw[: len(raw) - rest], number
                )
                raw = raw[len(raw) - rest :]
                yield request, parser
            else:
                return

    def _answered(
        self, request: Request, parser: h11.Connection, connection: socket.socket, stopped: threading.Event
    ) -> bool:
        """Record `request` and answer it; whether the connection serves another."""
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._held or stopped.is_set())
        if stopped.wait(self.latency):
            return False
        reply = self.answer(request)
        if stopped.is_set():
            return False
        if not isinstance(reply, Reply):
            line = Line(connection, stopped)
            try:
                reply(line)
            finally:
                with self._changed:
                    self.sent.append(line.sent)
                    self._changed.notify_all()
            return False
        headers = [(name, value) for name, value in reply.headers.items() if name.lower() != "content-length"]
        length = ("content-length", str(len(reply.body)))
        data = parser.send(h11.Response(status_code=reply.status, headers=[*headers, length])) or b""
        data += parser.send(h11.Data(data=reply.body)) or b""
        data += parser.send(h11.EndOfMessage()) or b""
        connection.sendall(data)
        if parser.our_state is h11.MUST_CLOSE:
            return False
        parser.start_next_cycle()
        return True


def reserved_port() -> tuple[socket.socket, int]:
    """A loopback port that nobody listens on and nobody else gets while the socket is open."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind(("127.0.0.1", 0))
    return place, place.getsockname()[1]
