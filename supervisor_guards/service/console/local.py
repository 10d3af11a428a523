"""The console on this machine alone: opened by a link that works once, for the person at the keyboard."""

from __future__ import annotations

import hmac
import secrets

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from supervisor_guards._guard import Guard
from supervisor_guards.service.console.app import console
from supervisor_guards.service.console.visitors import Visitor

__all__ = ["LocalConsole"]

HOST = "127.0.0.1"


class LocalConsole:
    """The application for one start of the command, at `port` of this machine; `visitor` is who opens `link`.

    Other sites can reach it by no name but its own (`Host`, which DNS rebinding can't forge), and nobody comes in
    without the link.
    """

    def __init__(self, guard: Guard, visitor: Visitor, port: int) -> None:
        self._visitor = visitor
        self._key: str | None = secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        # Cookies belong to a host, whatever its port: two consoles keep apart by name.
        self._cookie = f"supervisor_local_{port}"
        self.link = f"http://{HOST}:{port}/open?key={self._key}"
        hosts = {f"{HOST}:{port}", f"localhost:{port}"}
        self.app = Starlette(
            routes=[Route("/open", self._open), Mount("/", console(guard, authenticate=self._who))],
            middleware=[Middleware(_NamedSo, hosts=hosts)],
        )

    def _who(self, request: Request) -> Visitor | None:
        sent = request.cookies.get(self._cookie, "")
        return self._visitor if hmac.compare_digest(sent.encode(), self._session.encode()) else None

    async def _open(self, request: Request) -> Response:
        """Take the key for a cookie, once."""
        sent, key = request.query_params.get("key", ""), self._key
        if key is None or not hmac.compare_digest(sent.encode("utf-8", "replace"), key.encode()):
            if self._who(request) is not None:
                return RedirectResponse("/", 303)
            said = "This link was used, or belongs to an earlier start: run the command again for a new one."
            return PlainTextResponse(said, 403)
        self._key = None
        # The address with the key must not be what a page names as where it was opened from.
        response = RedirectResponse("/", 303, {"Referrer-Policy": "no-referrer", "Cache-Control": "no-store"})
        response.set_cookie(self._cookie, self._session, path="/", httponly=True, samesite="lax")
        return response


class _NamedSo:
    """Middleware that refuses requests to another name than the machine's own, and from pages of another."""

    def __init__(self, app: ASGIApp, hosts: set[str]) -> None:
        self._app = app
        self._hosts = hosts
        self._origins = {f"http://{host}" for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at `Host` and `Origin` before anything else does."""
        if scope["type"] == "http":
            request = Request(scope)
            origin = request.headers.get("origin")
            named = request.headers.get("host", "") in self._hosts
            if not named or (origin is not None and origin not in self._origins):
                said = f"This console answers at {', '.join(sorted(self._hosts))} alone, to its own pages."
                await PlainTextResponse(said, 421 if not named else 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)
