"""The ASGI application of the service."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from supervisor_guards.embedded.errors import RowsRefused, StoreUnavailable
from supervisor_guards.service.api import (
    actions,
    decisions,
    description,
    desk,
    integrations,
    metrics,
    operations,
    people,
    policies,
    reviews,
    session,
    webhooks,
)
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.console.mounted import service_console
from supervisor_guards.service.core import Service
from supervisor_guards.service.headers import HEADERS, SafeHeaders
from supervisor_guards.service.problems import Problem, answer, problem_response
from supervisor_guards.service.proxies import BelieveProxies
from supervisor_guards.service.stopping import stop_signals
from supervisor_guards.service.watching import Watch

__all__ = ["create_app"]

logger = logging.getLogger("supervisor_guards")

CONSOLE = "/console"
_RETRY = {"Retry-After": "1"}


def create_app(config: ServiceConfig | None = None, *, service: Service | None = None) -> Starlette:
    """The application. `config` is read from the environment when it is None.

    The database is opened when the server starts it (the lifespan), not here. `service` is one that is open
    already; it is closed with the application.
    """

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        opened = service or Service(config or ServiceConfig.load())
        app.state.service = opened
        await opened.start()
        try:
            with stop_signals(opened.wakeups.end):
                yield
        finally:
            await opened.stop()

    console = service_console()
    routes = [
        *actions.routes,
        *operations.routes,  # before those with an id in their place
        *metrics.routes,
        *reviews.routes,
        *decisions.routes,
        *desk.routes,
        *integrations.routes,
        *people.routes,
        *session.routes,
        *policies.routes,
        *webhooks.routes,
        *description.routes,
        Mount(CONSOLE, console),
    ]
    return Starlette(
        routes=routes,
        # The identity header is gone before anything can take it for the truth; the log outside reads none but the id.
        middleware=[
            Middleware(Watch, routes=routes, mounted={CONSOLE: console.answers}),
            Middleware(BelieveProxies),
            Middleware(SafeHeaders),
        ],
        lifespan=lifespan,
        exception_handlers={
            Problem: problem_response,
            HTTPException: _http_error,
            StoreUnavailable: _unavailable,
            RowsRefused: _refused,
            Exception: _failed,
        },
    )


async def _http_error(_request: Request, error: Exception) -> Response:
    """What the router refuses: unknown paths and methods."""
    assert isinstance(error, HTTPException)
    return answer({"detail": error.detail}, error.status_code, error.headers)


async def _unavailable(_request: Request, error: Exception) -> Response:
    """The database failed: nothing was decided, and nothing is known of it. The text may name hosts: it is logged."""
    logger.error("a request was answered 503: %s", error)
    return answer({"detail": "the database can't be reached: try again"}, 503, _RETRY)


async def _refused(_request: Request, error: Exception) -> Response:
    """The database is well, and takes no such values. The text may hold them: it is logged."""
    logger.error("a request was answered 422: %s", error)
    return answer({"detail": "the database takes no such values: shorten the texts"}, 422)


async def _failed(_request: Request, _error: Exception) -> Response:
    """A fault of ours, answered outside the middleware. It is logged; its text may hold anything, and isn't told."""
    return answer({"detail": "the service failed: its log says why"}, 500, HEADERS)
