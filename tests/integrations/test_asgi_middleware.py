"""The middleware around an application: decisions in the scope, start and stop, settings, the tripwire."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards.errors import ConfigurationError
from supervisor_guards_asgi import SupervisorMiddleware, audit, get_decision, guard_lifespan, supervised_route
from tests.integrations.asgi_apps import request
from tests.integrations.asgi_client import call, guarding, http_scope, run


class _Application:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await Response("ok")(scope, receive, send)


async def _coroutine(request: Request) -> Response:
    return Response("ok")


def test_decisions_are_seen_inside_and_outside(tmp_path: Path) -> None:
    seen: list[Any] = []

    async def dispatch(request: Request, call_next: Any) -> Response:
        answer = await call_next(request)
        seen.append(get_decision(request, "refund"))
        return answer  # type: ignore[no-any-return]

    async def endpoint(request: Request) -> Response:
        seen.append(get_decision(request))
        return Response("ok")

    with guarding(tmp_path) as guard:
        ours = Middleware(SupervisorMiddleware, guard=guard, rules=[{"route": "/x", "action": "refund"}])
        between = Middleware(BaseHTTPMiddleware, dispatch=dispatch)
        app = Starlette(routes=[Route("/x", endpoint)], middleware=[ours, between])
        assert request(app, "GET", "/x").text == "ok"
        assert [one.action_type for one in seen] == ["refund", "refund"]


def test_a_decorator_that_never_runs_stops_a_strict_start(tmp_path: Path, caplog: Any) -> None:
    with guarding(tmp_path) as guard:
        app = FastAPI()

        @supervised_route("refund", guard=guard)
        @app.post("/refunds")
        def refund(amount: int) -> None: ...

        app.add_middleware(SupervisorMiddleware, guard=guard, strict=True, rules=[{"route": "/nope", "action": "x"}])
        with caplog.at_level(logging.WARNING, "supervisor_guards"):
            sent = run(_start, app)
        assert [one["type"] for one in sent] == ["lifespan.startup.failed"]
        assert "'/nope'" in sent[0]["message"]
        assert f"{__file__}:" in sent[0]["message"]
        coverage = audit(app)
        assert coverage.exit_code() == 1
        assert [str(one) for one in coverage.unguarded] == ["POST /refunds"]
        del refund


async def _start(app: Any) -> list[Any]:
    sent: list[Any] = []
    messages = [{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}]

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "lifespan", "asgi": {}, "state": {}}, receive, send)
    return sent


def test_start_and_stop_pass_and_unknown_scopes_too(tmp_path: Path) -> None:
    seen: list[str] = []

    async def other(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    with guarding(tmp_path) as guard:
        app = Starlette(routes=[Route("/x", _coroutine)])
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=[{"route": "/x", "action": "refund"}])
        assert [one["type"] for one in run(_start, app)] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
        run(SupervisorMiddleware(other, guard=guard), {"type": "foo"}, None, None)
        helped = Starlette(lifespan=guard_lifespan(guard=guard))
        assert run(_start, helped)[0]["type"] == "lifespan.startup.complete"
    assert seen == ["foo"]


def test_wrong_settings_are_told_when_they_are_written() -> None:
    with pytest.raises(ConfigurationError, match="unresolved='x'"):
        SupervisorMiddleware(_Application(), unresolved="x")  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="query"):
        supervised_route("refund", payload=["querry.x"])
    with pytest.raises(TypeError, match="RouteGuard"):
        supervised_route("refund")(dict)


def test_an_endpoint_that_ran_undecided_trips_the_wire(tmp_path: Path, monkeypatch: Any) -> None:
    from supervisor_guards_asgi import middleware as module
    from supervisor_guards_asgi.routing import Resolution

    with guarding(tmp_path) as guard:
        ours: list[Any] = []

        class Remember(SupervisorMiddleware):
            def __init__(self, *args: Any, **options: Any) -> None:
                super().__init__(*args, **options)
                ours.append(self)

        app = Starlette(routes=[Route("/x", _coroutine)])
        app.add_middleware(Remember, guard=guard, rules=[{"route": "/x", "action": "refund"}])
        call(app, http_scope("GET", "/x"))
        assert ours[0].tripwire.guard_bypass_total == 0
        monkeypatch.setattr(module, "resolve", lambda *args: Resolution("nothing"))
        call(app, http_scope("GET", "/x"))
        assert ours[0].tripwire.guard_bypass_total == 1


def test_a_request_rewritten_inside_of_the_guard_trips_the_wire(tmp_path: Path, caplog: Any) -> None:
    class Rewrite:
        def __init__(self, app: Any) -> None:
            self.app = app

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            scope["path"] = "/refunds"
            await self.app(scope, receive, send)

    with guarding(tmp_path) as guard:
        ours = Middleware(SupervisorMiddleware, guard=guard, rules=[{"route": "/refunds", "action": "refund"}])
        routes = [Route("/refunds", _coroutine), Route("/old", _coroutine)]
        app = Starlette(routes=routes, middleware=[ours, Middleware(Rewrite)])
        call(app, http_scope("GET", "/old"))
        assert "ran without a decision" in caplog.text
        right = Starlette(routes=routes, middleware=[Middleware(Rewrite), ours])
        caplog.clear()
        call(right, http_scope("GET", "/old"))
        assert "ran without a decision" not in caplog.text
