"""Every request gets an id, a line in the log, and its place in the counters."""

from __future__ import annotations

import itertools
import logging
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor_guards.service.core import Service
from supervisor_guards.service.principals import CALLER, Principal

__all__ = ["Watch"]

logger = logging.getLogger("supervisor_guards.requests")

_HEADER = b"x-request-id"
_SANE = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
UNKNOWN = "(unknown)"
"""The route of a request that none answers, and the method that none has: its own words are the caller's."""


class Watch:
    """Middleware, outside all others. Neither payloads nor headers are logged: only what stands in `_line`.

    The id is the caller's own (`X-Request-ID`: 1 to 128 letters, digits, `.`, `_`, `-`), else it is made here; it is
    told in the answer. `mounted` are the routes of applications within, by where they are.
    """

    def __init__(self, app: ASGIApp, routes: Sequence[BaseRoute], mounted: Mapping[str, Sequence[Route]]) -> None:
        self._app = app
        self._process = os.urandom(6).hex().encode()
        self._numbers = itertools.count(1)
        self._routes: dict[Any, list[tuple[str, Route]]] = {}
        for prefix, those in {"": routes, **mounted}.items():
            for route in those:
                if isinstance(route, Route):
                    self._routes.setdefault(route.endpoint, []).append((prefix, route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Time the request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        name = _request_id(scope["headers"], self._numbers, self._process)
        status = 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (_HEADER, name)]
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            status = 500  # it is answered outside
            raise
        finally:
            self._tell(scope, name.decode(), status, time.perf_counter() - started)

    def _tell(self, scope: Scope, name: str, status: int, seconds: float) -> None:
        route = self._template(scope)
        method = scope["method"] if scope["method"] in _METHODS else UNKNOWN
        service: Service = scope["app"].state.service
        service.instruments.requested(method, route, status, seconds)
        if not service.config.log_requests or not logger.isEnabledFor(logging.INFO):
            return
        caller: Principal | None = scope.get(CALLER)
        who = None if caller is None else caller.label
        line = {
            "request_id": name,
            "method": method,
            "route": route,
            "status": status or None,  # the caller went before there was an answer
            "ms": round(seconds * 1_000, 2),
            "caller": who,
        }
        said = (method, route, status or "gone", line["ms"], who or "nobody", name)
        # `logger.info` would look up the calling line for each, which takes longer than the rest.
        logger.handle(
            logger.makeRecord(
                logger.name, logging.INFO, __file__, 0, "%s %s %s %.1f ms, %s, request %s", said, None,
                extra={"line": line},
            )
        )  # fmt: skip

    def _template(self, scope: Scope) -> str:
        """The address as the service declares it: no ids of callers, and few of them."""
        found = self._routes.get(scope.get("endpoint"), ())
        path = scope["path"]
        for prefix, route in found:
            if len(found) == 1 or route.path_regex.match(path.removeprefix(prefix)):
                return prefix + route.path_format
        return UNKNOWN


def _request_id(headers: Iterable[tuple[bytes, bytes]], numbers: Iterator[int], process: bytes) -> bytes:
    """The caller's id; else one of this process's: random bytes would cost as much as judging does."""
    for key, value in headers:
        if key == _HEADER and _SANE.fullmatch(value):
            return value
    return b"%b-%x" % (process, next(numbers))
