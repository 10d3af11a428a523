"""Real ASGI and WSGI servers as processes of their own on loopback, and a client that writes the bytes itself.

The listening socket is made here and inherited, so no port is guessed: a connection waits in its backlog until the
server takes it, and is refused once the server has ended.
"""

from __future__ import annotations

import contextlib
import http.client
import io
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from supervisor_guards.embedded.rows import StoredDecision
from supervisor_guards.embedded.store import Store

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0
"""Seconds until a server that doesn't answer, or doesn't end, is a failure."""

_UVICORN = ("-m", "uvicorn", "--fd", "{fd}", "--no-access-log", "--log-level", "warning", "--ws", "wsproto")
_HYPERCORN = ("-m", "hypercorn", "--bind", "fd://{fd}", "--log-level", "warning")
COMMANDS = {
    "uvicorn-h11": (*_UVICORN, "--http", "h11"),
    "uvicorn-httptools": (*_UVICORN, "--http", "httptools"),
    "hypercorn": _HYPERCORN,
    "hypercorn-trio": (*_HYPERCORN, "--worker-class", "trio"),
    "gunicorn": ("-m", "gunicorn", "--bind", "fd://{fd}", "--worker-class", "asgi", "--log-level", "warning"),
}
_GUNICORN = ("-m", "gunicorn", "--bind", "fd://{fd}", "--log-level", "warning")
WSGI_COMMANDS = {
    "gunicorn-sync": _GUNICORN,
    "gunicorn-gthread": (*_GUNICORN, "--worker-class", "gthread", "--threads", "4"),
}
DJANGO = (*WSGI_COMMANDS, "uvicorn-h11", "hypercorn")
"""The servers that Django is tested on."""
NO_LIFESPAN = {"uvicorn-h11": ("--lifespan", "off")}


class Server:
    """A server that runs. Records and notes count from the last `mark`."""

    def __init__(self, kind: str, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.kind = kind
        self.folder = folder
        self.port = port
        self.process = process
        self._numbers = itertools.count()
        self._last: dict[str, int] = {}
        self._noted = 0

    def tag(self) -> str:
        """A tag that no other request of this server has."""
        return f"t{next(self._numbers)}"

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), PATIENCE)

    def control(self, path: str) -> dict[str, Any]:
        """The control channel's answer; it comes when what `path` names is so."""
        _, _, body = self.exchange("GET", path, "control")
        answer: dict[str, Any] = json.loads(body)
        return answer

    def raw(self, method: str, target: str, variant: str, body: bytes = b"", headers: Any = ()) -> bytes:
        """The answer to one request as the server wrote it; empty where it hangs up instead."""
        with self.connect() as connection:
            tee = Tee(connection)
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.sendall(message(method, target, variant, body, headers))
                parsed(tee, method)
            return bytes(tee.copy)

    def exchange(
        self, method: str, target: str, variant: str, body: bytes = b"", headers: Any = ()
    ) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of the answer."""
        with self.connect() as connection:
            connection.sendall(message(method, target, variant, body, headers))
            return parsed(connection, method)

    def mark(self, variant: str) -> None:
        """From here on `rows` and `ran` count."""
        self.control(f"/flush?variant={variant}")
        self._last[variant] = len(self.stored(variant))
        self._noted = len(self._notes())

    def rows(self, variant: str) -> list[StoredDecision]:
        """The decisions since the mark, once no request is in progress."""
        self.control(f"/flush?variant={variant}")
        return self.stored(variant)[self._last.get(variant, 0) :]

    def ran(self, variant: str) -> list[str]:
        """`NAME TAG` of each endpoint that ran since the mark, once no request is in progress."""
        self.control(f"/flush?variant={variant}")
        return [line.partition(" ")[2] for line in self._notes()[self._noted :] if line.startswith(f"{variant} ")]

    def _notes(self) -> list[str]:
        with contextlib.suppress(FileNotFoundError):
            return (self.folder / "ran").read_text().splitlines()
        return []

    def state(self, variant: str) -> Path:
        """The folder of the variant's keys and decisions."""
        return self.folder / variant / ".supervisor"

    def stored(self, variant: str) -> list[StoredDecision]:
        """All decisions in the store, oldest first."""
        path = self.state(variant) / "decisions.db"
        if not path.exists():  # the variant's first request is still to come
            return []
        with contextlib.closing(Store(f"sqlite:///{path}")) as store:
            return store.decisions(limit=100_000)[::-1]

    def stop(self) -> str:
        """End the server; what it wrote to standard error."""
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"{self.kind} was killed after {PATIENCE} s:\n{self.log()}") from None
        return self.log()

    def log(self) -> str:
        return (self.folder / "log").read_text()


@contextlib.contextmanager
def serving(kind: str, folder: Path, module: str = "server_app", options: tuple[str, ...] = ()) -> Iterator[Server]:
    """The `app` of `module` on a server of `kind`, ready; ended afterwards, if the block hasn't done it."""
    (folder / "file.txt").write_bytes(bytes(range(256)) * 40)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
    environment["SERVER_APP_FOLDER"] = str(folder)
    environment["SERVER_APP_ASYNC"] = "" if kind in WSGI_COMMANDS else "yes"
    environment["PYTHONPATH"] = os.pathsep.join((str(ROOT), str(ROOT / "integrations")))
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listener, (folder / "log").open("wb") as log:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # uvicorn leaves it out where it inherits
        descriptor = listener.fileno()
        command = [part.format(fd=descriptor) for part in (*(WSGI_COMMANDS | COMMANDS)[kind], *options)]
        process = subprocess.Popen(
            [sys.executable, *command, f"tests.integrations.{module}:app"],
            cwd=folder, env=environment, pass_fds=[descriptor], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
        )  # fmt: skip
        port = listener.getsockname()[1]
    server = Server(kind, folder, port, process)
    try:
        try:
            server.exchange("GET", "/ready", "control")
        except (OSError, http.client.HTTPException) as error:
            raise AssertionError(f"{kind} does not answer ({error!r}):\n{server.log()}") from error
        yield server
    finally:
        if process.poll() is None:
            server.stop()


def message(method: str, target: str, variant: str, body: bytes = b"", headers: Any = ()) -> bytes:
    """A request as bytes; `target` may be anything."""
    lines = [f"{method} {target} HTTP/1.1", "host: testserver", "connection: close", f"x-variant: {variant}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("POST", "PUT"):
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body


class Tee(io.RawIOBase):
    """What is read from a socket, with a copy. Not every server closes the connection at the answer's end."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.copy = bytearray()

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(self)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = self.connection.recv_into(buffer)
        self.copy += bytes(buffer[:count])
        return count


def parsed(connection: Any, method: str) -> tuple[int, dict[str, str], bytes]:
    """The answer on `connection`: status, headers in lower case, body."""
    response = http.client.HTTPResponse(connection, method=method)
    with response:
        response.begin()
        return response.status, {name.lower(): value for name, value in response.getheaders()}, response.read()
