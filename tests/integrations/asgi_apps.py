"""The contract's application in Starlette and in FastAPI, and a client that speaks ASGI to it."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
from fastapi import APIRouter, FastAPI, Request
from python_multipart.exceptions import FormParserError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from supervisor_guards import Guard
from supervisor_guards_asgi import SupervisorMiddleware
from tests.engine import settings
from tests.integrations import contract
from tests.integrations.in_process import Site, asgi, sender

Note = Callable[[contract.Seen], None]


@contextlib.contextmanager
def harness(make: Callable[[Note], Any], folder: Path, mode: str) -> Iterator[Site]:
    """The application that `make` builds, behind the middleware; its guard is closed afterwards."""
    guard = Guard(settings(folder, mode, contract.POLICY))
    saw: list[contract.Seen] = []
    app = make(saw.append)
    app.add_middleware(
        SupervisorMiddleware, guard=guard, rules=contract.RULES, user=lambda connection: sender(connection.headers)
    )
    try:
        yield Site(guard, saw, functools.partial(asgi, app))
    finally:
        guard.close()


def request(app: Any, method: str, path: str, backend: str = "asyncio", **options: Any) -> httpx.Response:
    """The answer of `app`, spoken to in process."""
    return requests(app, [(method, path, options)], backend)[0]


def requests(app: Any, calls: list[tuple[str, str, dict[str, Any]]], backend: str = "asyncio") -> list[httpx.Response]:
    """The answers to `calls`, one after the other."""

    async def send() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
            return [await client.request(method, path, **options) for method, path, options in calls]

    return anyio.run(send, backend=backend)


async def seen(route: contract.RouteOf, request: StarletteRequest) -> contract.Seen:
    """What a handler finds in its request, asking as an application does."""
    body = form = contract.UNREAD
    raw = await request.body()
    with contextlib.suppress(ValueError, RecursionError):
        body = await request.json() if route.reads == "json" else body
    if route.reads == "form" or (body is contract.UNREAD and raw):
        with contextlib.suppress(HTTPException, FormParserError):  # older versions let the parser's error through
            async with request.form() as fields:
                form = {name: text if isinstance(text, str) else contract.UNREAD for name, text in fields.items()}
    if route.reads == "json" and body is contract.UNREAD and form:
        body = form
    return contract.Seen(route.name, dict(request.path_params), dict(request.query_params), body, form)


def starlette_app(note: Note) -> Starlette:
    """The contract's routes, two of them behind a mount."""

    def endpoint(route: contract.RouteOf) -> Any:
        async def handle(request: StarletteRequest) -> Response:
            note(await seen(route, request))
            return JSONResponse({"ran": route.name})

        return handle

    def route(one: contract.RouteOf, prefix: str = "") -> Route:
        return Route(one.template.removeprefix(prefix), endpoint(one), methods=[one.method], name=one.name)

    inside = [route(one, "/refunds") for one in contract.ROUTES[:2]]
    return Starlette(routes=[Mount("/refunds", routes=inside), *map(route, contract.ROUTES[2:])])


def fastapi_app(note: Note) -> FastAPI:
    """The contract's routes, half of them in a router that is included."""

    def endpoint(route: contract.RouteOf) -> Any:
        async def handle(request: Request) -> dict[str, str]:
            note(await seen(route, request))
            return {"ran": route.name}

        return handle

    app, router = FastAPI(openapi_url=None), APIRouter()
    for index, one in enumerate(contract.ROUTES):
        target: Any = router if index < 4 else app
        methods = [one.method, "HEAD"] if one.method == "GET" else [one.method]
        target.add_api_route(one.template, endpoint(one), methods=methods, name=one.name)
    app.include_router(router)
    return app


MAKERS = {"starlette": starlette_app, "fastapi": fastapi_app}
