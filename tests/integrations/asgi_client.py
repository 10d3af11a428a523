"""Applications spoken to in plain ASGI messages, where a client would tidy the request up."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio

from supervisor_guards import Guard
from tests.engine import settings

ANY = """
name: any
version: 1
action: [refund, refund.large, delete, other]
rules:
  - id: never
    when: payload.get('amount') == -1
    action: deny
    reason: never
"""
"""Allows everything: for tests that count evaluations."""

NO = """
name: none
version: 1
action: [refund, refund.large, delete, other]
default: deny
rules:
  - id: never
    when: payload.get('amount') == -1
    action: deny
    reason: never
"""
"""Denies everything: for tests of what must not run."""


@contextlib.contextmanager
def guarding(folder: Path, policy: str = ANY, mode: str = "enforce", **changes: Any) -> Iterator[Guard]:
    """A guard on real parts, closed afterwards."""
    guard = Guard(settings(folder, mode, policy, **changes))
    try:
        yield guard
    finally:
        guard.close()


def http_scope(
    method: str, target: str, *, root_path: str = "", headers: Iterable[tuple[str, str]] = (), **more: Any
) -> dict[str, Any]:
    """The scope a server would make for the request line `method target`."""
    path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote_to_bytes(path).decode("utf-8", "replace"),
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": root_path,
        "headers": [(name.encode(), value.encode()) for name, value in headers],
        "client": ("127.0.0.1", 1),
        "server": ("testserver", 80),
        **more,
    }


class Exchange:
    """One call of an application: gives it `messages`, then waits, or says that the client is gone."""

    def __init__(self, messages: Sequence[dict[str, Any]], *, hang_up: bool = True) -> None:
        self.pending = list(messages)
        self.hang_up = hang_up
        self.received = 0
        self.sent: list[dict[str, Any]] = []

    async def receive(self) -> dict[str, Any]:
        self.received += 1
        if self.pending:
            return self.pending.pop(0)
        if not self.hang_up:
            await anyio.sleep_forever()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(next(one["status"] for one in self.sent if one["type"].endswith("response.start")))

    @property
    def body(self) -> bytes:
        return b"".join(one.get("body", b"") for one in self.sent if one["type"].endswith("response.body"))

    @property
    def headers(self) -> dict[str, str]:
        found = next(one["headers"] for one in self.sent if one["type"].endswith("response.start"))
        return {name.decode(): value.decode() for name, value in found}


def chunks(*parts: bytes) -> list[dict[str, Any]]:
    """A body in parts."""
    return [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1} for index, part in enumerate(parts)
    ]


def call(app: Any, scope: dict[str, Any], *parts: bytes, backend: str = "asyncio") -> Exchange:
    """Call `app` with a whole body. What it raises is raised."""
    exchange = Exchange(chunks(*(parts or (b"",))))
    anyio.run(app, scope, exchange.receive, exchange.send, backend=backend)
    return exchange


def run(function: Callable[..., Awaitable[Any]], *args: Any, backend: str = "asyncio") -> Any:
    """The result of a coroutine function."""
    return anyio.run(function, *args, backend=backend)
