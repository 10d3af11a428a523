"""Applications in this process, spoken to as servers do: raw ASGI messages, a raw WSGI environment."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import anyio
import pytest

from supervisor_guards.web import UNKNOWN, User
from tests.integrations.asgi_client import Exchange, chunks, http_scope
from tests.integrations.contract import Answer, Case, Seen

MASTER_KEY = "0f" * 32
"""With one key, equal payloads have equal digests in every application."""


class Site:
    """One application with a guard of its own. Its handlers note in `saw` what they got."""

    def __init__(
        self,
        guard: Any,
        saw: list[Seen],
        speak: Callable[[Case], Answer],
        *,
        label: Callable[[str], str] = lambda route: route,
        own: Mapping[str, str] | None = None,
    ) -> None:
        self.guard = guard
        self.saw = saw
        self.label = label
        self.own = own or {}
        self.judged: list[Any] = []
        self._speak = speak
        self._known = 0

    def send(self, case: Case) -> Answer:
        self.saw.clear()
        return self._speak(case)

    @property
    def ran(self) -> list[str]:
        return [one.name for one in self.saw]

    def rows(self) -> list[Any]:
        assert self.guard.flush()
        found = [row for row in self.guard.supervisor.store.decisions(limit=50) if row.id > self._known]
        self._known = max((row.id for row in found), default=self._known)
        self.judged = found[::-1]
        return self.judged


def sender(headers: Mapping[str, str]) -> User | None:
    """Who sent a request, as its header says; None for nobody."""
    name = headers.get("x-user")
    return UNKNOWN if name == "?" else None if name is None else User(name)


def asgi(app: Any, case: Case) -> Answer:
    """The answer of `app` to a server that gives it the request as it is written."""
    scope = http_scope(case.method, case.path, headers=_with_length(case))
    exchange = Exchange(chunks(case.body), hang_up=False)
    try:
        anyio.run(app, scope, exchange.receive, exchange.send)
    except Exception:
        if not exchange.sent:
            raise
    headers = {name.lower(): value for name, value in exchange.headers.items()}
    return Answer(exchange.status, headers, exchange.body)


def wsgi(app: Any, case: Case) -> Answer:
    """The same in WSGI, where headers of one name are joined (RFC 3875, section 4.1.18)."""
    path, _, query = case.path.partition("?")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": case.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(case.body),
        "wsgi.errors": io.StringIO(),
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in _with_length(case):
        key = name.upper().replace("-", "_")
        key = key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"
        environ[key] = f"{environ[key]},{value}" if key in environ else value
    began: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], None]:
        began.append((status, headers))
        return lambda data: None

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    status, headers = began[-1]
    return Answer(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)


def _with_length(case: Case) -> list[tuple[str, str]]:
    length = [("content-length", str(len(case.body)))] if case.body else []
    given = {name for name, _ in case.headers}
    return [("host", "testserver"), *(one for one in length if one[0] not in given), *case.headers]


@contextlib.contextmanager
def keyed() -> Iterator[None]:
    """Guards made in the block have `MASTER_KEY`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SUPERVISOR_MASTER_KEY", MASTER_KEY)
        yield
