"""The contract's application in Starlette and in FastAPI, and a client that speaks ASGI to it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
from fastapi import APIRouter, FastAPI, Request
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from supervisor_guards import Guard
from supervisor_guards_asgi import SupervisorMiddleware
from tests.engine import settings
from tests.integrations import contract


class AsgiHarness:
    """One application with a guard of its own in `folder`."""

    def __init__(self, make: Callable[[list[str]], Any], folder: Path, mode: str) -> None:
        self.guard = Guard(settings(folder, mode, contract.POLICY))
        self.ran: list[str] = []
        self.app = make(self.ran)
        self.app.add_middleware(SupervisorMiddleware, guard=self.guard, rules=contract.RULES)

    def send(self, case: contract.Case) -> contract.Answer:
        answer = request(self.app, case.method, case.path, content=case.body, headers=dict(case.headers))
        return contract.Answer(answer.status_code, dict(answer.headers), answer.content)

    def label(self, route: str) -> str:
        return route


@contextlib.contextmanager
def harness(make: Callable[[list[str]], Any], folder: Path, mode: str) -> Iterator[AsgiHarness]:
    """The harness; its guard is closed afterwards."""
    one = AsgiHarness(make, folder, mode)
    try:
        yield one
    finally:
        one.guard.close()


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


def starlette_app(ran: list[str]) -> Starlette:
    """The contract's routes, two of them behind a mount."""

    def endpoint(name: str) -> Any:
        async def handle(request: StarletteRequest) -> Response:
            ran.append(name)
            await request.body()
            return JSONResponse({"ran": name})

        return handle

    def route(one: contract.RouteOf, prefix: str = "") -> Route:
        template = one.template.removeprefix(prefix)
        return Route(template, endpoint(one.name), methods=[one.method], name=one.name)

    inside = [route(one, "/refunds") for one in contract.ROUTES[:2]]
    return Starlette(routes=[Mount("/refunds", routes=inside), *map(route, contract.ROUTES[2:])])


def fastapi_app(ran: list[str]) -> FastAPI:
    """The contract's routes, half of them in a router that is included."""

    def endpoint(name: str) -> Any:
        async def handle(request: Request) -> dict[str, str]:
            ran.append(name)
            await request.body()
            return {"ran": name}

        return handle

    app, router = FastAPI(openapi_url=None), APIRouter()
    for index, one in enumerate(contract.ROUTES):
        target: Any = router if index < 4 else app
        methods = [one.method, "HEAD"] if one.method == "GET" else [one.method]
        target.add_api_route(one.template, endpoint(one.name), methods=methods, name=one.name)
    app.include_router(router)
    return app


MAKERS = {"starlette": starlette_app, "fastapi": fastapi_app}
