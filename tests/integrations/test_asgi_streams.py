"""Plain guards in an answer that is sent in parts know their request, and wait for nobody."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from supervisor_guards import supervised, supervised_async
from supervisor_guards.errors import SupervisorReviewPending
from supervisor_guards_asgi import SupervisorMiddleware, User
from tests.engine import default_guard, rows, settings
from tests.integrations.asgi_client import Exchange, chunks, http_scope

POLICY = """
name: all
version: 1
action: [refund, export]
rules:
  - {id: look, when: "payload.get('amount', 0) > 100", action: review, reason: a-look}
"""


@supervised("refund")
def refund(amount: int) -> str:
    return "refunded"


@supervised_async("refund")
async def arefund(amount: int) -> str:
    return "refunded"


def parts() -> Iterator[str]:
    yield "begun "
    try:
        yield refund(500)
    except SupervisorReviewPending as error:
        yield error.action_id


async def aparts() -> AsyncIterator[str]:
    yield "begun "
    try:
        yield await arefund(500)
    except SupervisorReviewPending as error:
        yield error.action_id


async def generator(request: Request) -> StreamingResponse:
    return StreamingResponse(parts())


async def on_the_loop(request: Request) -> StreamingResponse:
    return StreamingResponse(aparts())


def in_a_thread(request: Request) -> StreamingResponse:
    return StreamingResponse(aparts())


VIEWS = {one.__name__: one for one in (generator, on_the_loop, in_a_thread)}


class Between(BaseHTTPMiddleware):
    """Runs what is inside of it in a task of its own."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        return await call_next(request)


def who(connection: HTTPConnection) -> User:
    return User(connection.headers["x-user"])


# Older Starlettes leave the stream of a request that went through a BaseHTTPMiddleware, and trio reports it.
@pytest.mark.filterwarnings("ignore:Async generator 'starlette.requests.Request.stream':ResourceWarning")
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("between", [False, True])
@pytest.mark.parametrize("ruled", [False, True])
@pytest.mark.parametrize("spec_version", ["2.3", "2.4"], ids=["with a task that listens", "without"])
@pytest.mark.parametrize("name", VIEWS)
def test_a_guard_in_a_stream_knows_its_request_and_waits_for_nobody(
    name: str, spec_version: str, ruled: bool, between: bool, backend: str, tmp_path: Path
) -> None:
    with default_guard(settings(tmp_path, "enforce", POLICY)) as guard:
        app = Starlette(routes=[Route(f"/{name}", VIEWS[name], methods=["POST"])])
        if between:
            app.add_middleware(Between)
        rules = [{"route": f"POST /{name}", "action": "export", "body": "none"}] if ruled else []
        app.add_middleware(SupervisorMiddleware, rules=rules, user=who)
        scope = http_scope("POST", f"/{name}", headers=[("x-user", "u-1")], asgi={"spec_version": spec_version})
        exchange = Exchange(chunks(b""), hang_up=False)
        anyio.run(app, scope, exchange.receive, exchange.send, backend=backend)
        (row,) = [row for row in rows(guard) if row.action_type == "refund"]
        assert exchange.body == f"begun {row.action_id}".encode()
        assert (row.outcome, row.route, row.subject) == ("review", f"POST /{name}", "u-1")
