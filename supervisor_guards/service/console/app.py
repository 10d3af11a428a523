"""The console as an ASGI application that can be mounted anywhere."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from starlette.exceptions import HTTPException
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route, Router
from starlette.types import Receive, Scope, Send

from supervisor_guards._desk import NoDesk
from supervisor_guards._guard import Guard
from supervisor_guards.errors import SupervisorUnavailable
from supervisor_guards.service.console import assets, decisions, live, overview, pages, reviews
from supervisor_guards.service.console.doors import Door, HostDoor
from supervisor_guards.service.console.sources import GuardSource, Source
from supervisor_guards.service.console.visitors import Authenticate
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.problems import Problem

if TYPE_CHECKING:
    from supervisor_guards.service.core import Service

__all__ = ["Console", "console"]

_SAFE = ("GET", "HEAD")
_TITLES = {
    400: "That can't be read", 401: "Sign in first", 403: "You may not do this", 404: "There is nothing here",
    405: "That isn't done here", 409: "That can't be done now", 413: "That is too large", 422: "That can't be read",
    503: "The record can't be reached",
}  # fmt: skip

Handler = Callable[[Visit], Awaitable[Response]]
Page = tuple[str, str, Handler]
"""Path, method, and what answers."""


def console(guard_or_service: Guard | Service, *, authenticate: Authenticate) -> Console:
    """The console over a guard's record, or an open service's: an ASGI application.

    `authenticate` gets each request (Starlette's), and answers a `Visitor` with a role, or None for somebody who may
    not see the console; it may be async. There is no default: who may read decisions and approve reviews is the
    application's to say.
    """
    if isinstance(guard_or_service, Guard):
        source: Source = GuardSource(guard_or_service)
    else:
        from supervisor_guards.service.console.service_source import ServiceSource

        source = ServiceSource(guard_or_service)
    return Console(lambda _request: source, HostDoor(authenticate))


class Console:
    """The pages. `source_of` says what a request is shown; `door`, who sent it.

    `more` are pages beside those that every console has, `ways_in` routes that take no visitor.
    """

    def __init__(
        self,
        source_of: Callable[[Request], Source],
        door: Door,
        more: Sequence[Page] = (),
        ways_in: Sequence[Route] = (),
    ) -> None:
        self._source_of = source_of
        self._door = door
        self.pages: tuple[Page, ...] = (
            *overview.routes, *reviews.routes, *decisions.routes, *live.routes, *more
        )  # fmt: skip
        seen: list[BaseRoute] = [
            Route(path, self._seen(handler), methods=[method]) for path, method, handler in self.pages
        ]
        router = Router([*assets.routes, *ways_in, *seen], default=_nothing)
        self._app = ExceptionMiddleware(
            router,
            handlers={
                Problem: self._refused,
                HTTPException: self._refused,
                NoDesk: self._refused,
                SupervisorUnavailable: self._refused,
            },
        )
        # Not `routes`: frameworks would take these for the application's own that mounts the console.
        self.answers: tuple[Route, ...] = tuple(route for route in router.routes if isinstance(route, Route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self._app(scope, receive, send)

    def _seen(self, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        """`handler` for those who may see the console; a form of theirs is one of ours."""

        async def handle(request: Request) -> Response:
            visitor = await self._door.visitor(request)
            if visitor is None:
                return self._sign_in(request)
            if request.method not in _SAFE:
                await self._door.check_form(request, visitor)
            if "\0" in request.scope["path"] or b"%00" in request.scope["query_string"]:
                raise Problem(400, "the address holds a NUL character (%00): no id has one, leave it out")
            return await handler(Visit(request, self._source_of(request), self._door, visitor))

        return handle

    def _sign_in(self, request: Request) -> Response:
        """The way in, where there is one: back to the page asked for, afterwards. A stream and a form just end."""
        if self._door.sign_in is None or request.method not in _SAFE or request.url.path.endswith("/stream"):
            sent = "" if request.method in _SAFE else ": nothing was changed by what you sent"
            raise Problem(401, f"nobody is signed in, or the session is over{sent}")
        base = pages.base_of(request)
        place = request.scope["path"].removeprefix(base) or "/"
        query = request.scope["query_string"].decode("latin-1")
        onward = urlencode({"next": place + (f"?{query}" if query else "")})
        return RedirectResponse(f"{base}{self._door.sign_in}?{onward}", 303, pages.HEADERS)

    async def _refused(self, request: Request, error: Exception) -> Response:
        """A page that says what is wrong, and what to do."""
        status, said, headers = _told(error)
        title = _TITLES.get(status, "That didn't work")
        way_in = self._door.sign_in if status == 401 else None
        values = {"title": title, "said": said, "way_in": way_in}
        return await pages.page(request, "refused.html", values, status, headers)


def _told(error: Exception) -> tuple[int, str, dict[str, str]]:
    if isinstance(error, Problem):
        return error.status, str(error.detail), error.headers
    if isinstance(error, HTTPException):
        return error.status_code, "Check the address, or begin at the overview.", dict(error.headers or {})
    if isinstance(error, NoDesk):
        return 503, str(error), {}
    # The text may name hosts of the database: it isn't told.
    return 503, "The decision store can't be reached just now; nothing was changed. Try again.", {"Retry-After": "1"}


async def _nothing(scope: Scope, receive: Receive, send: Send) -> None:
    raise HTTPException(404)
