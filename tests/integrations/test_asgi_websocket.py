"""Websockets: a handshake is asked about before it is accepted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.middleware import Middleware
from starlette.routing import Mount, Route, WebSocketRoute

from supervisor_guards import Guard
from supervisor_guards_asgi import RouteGuard, SupervisorMiddleware, audit, supervised_route
from tests.engine import rows
from tests.integrations.asgi_client import ANY, NO, Exchange, guarding, http_scope, run

ran: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


async def _endpoint(websocket: WebSocket) -> None:
    ran.append("ran")
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


class _Class(WebSocketEndpoint):
    encoding = "text"

    async def on_connect(self, websocket: Any) -> None:
        ran.append("ran")
        await websocket.accept()

    async def on_receive(self, websocket: Any, data: Any) -> None:
        await websocket.send_text(data)


def shake(app: Any, path: str, *, denial: bool = True, backend: str = "asyncio") -> list[dict[str, Any]]:
    """What a server is sent for a handshake, one text and a hang-up."""
    scope = http_scope("GET", path, type="websocket", subprotocols=[], scheme="ws")
    del scope["method"]
    if denial:
        scope["extensions"] = {"websocket.http.response": {}}
    messages = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "hello"},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    exchange = Exchange(messages, hang_up=False)
    run(app, scope, exchange.receive, exchange.send, backend=backend)
    return exchange.sent


def _apps(guard: Guard) -> dict[str, Any]:
    rule = {"route": "/ws/{room}", "action": "refund", "payload": ["path.room"]}
    ruled = Starlette(routes=[Mount("/ws", routes=[WebSocketRoute("/{room}", _endpoint)])])
    tree = FastAPI()
    tree.add_api_websocket_route("/ws/{room}", _endpoint)
    for app in (ruled, tree):
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=[rule])
    decorated = supervised_route("refund", guard=guard, payload=["path.room"])
    layer = Middleware(RouteGuard, "refund", guard=guard, payload=["path.room"])
    in_fastapi = FastAPI()
    in_fastapi.websocket("/ws/{room}")(decorated(_endpoint))
    return {
        "rule": ruled,
        "rule, fastapi": tree,
        "function": Starlette(routes=[WebSocketRoute("/ws/{room}", decorated(_endpoint))]),
        "class": Starlette(routes=[WebSocketRoute("/ws/{room}", decorated(_Class))]),
        "fastapi": in_fastapi,
        "layer": Starlette(routes=[WebSocketRoute("/ws/{room}", _endpoint, middleware=[layer])]),
    }


APPS = ("rule", "rule, fastapi", "function", "class", "fastapi", "layer")


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("name", APPS)
def test_a_denied_handshake_is_never_accepted(name: str, backend: str, tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = _apps(guard)[name]
        start, body = shake(app, "/ws/7", backend=backend)
        assert (start["type"], start["status"]) == ("websocket.http.response.start", 403)
        assert json.loads(body["body"])["type"].endswith("/denied")
        assert shake(app, "/ws/7", denial=False, backend=backend) == [
            {"type": "websocket.close", "code": 1008, "reason": ""}
        ]
        assert ran == []
        assert {row.route for row in rows(guard)} == {"WEBSOCKET /ws/{room}"}


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("name", APPS)
def test_an_allowed_handshake_goes_on_unchanged(name: str, mode: str, tmp_path: Path) -> None:
    with guarding(tmp_path, ANY, mode) as guard:
        sent = shake(_apps(guard)[name], "/ws/7")
        assert [one["type"] for one in sent[:2]] == ["websocket.accept", "websocket.send"]
        assert sent[1]["text"] == "hello"
        assert ran == ["ran"]
        (row,) = rows(guard)
        assert json.loads(row.payload)["room"] == "7"
        assert row.result == "returned"


def test_a_rule_for_get_holds_for_the_handshake(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = Starlette(routes=[WebSocketRoute("/ws", _endpoint)])
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=[{"route": "GET /ws", "action": "refund"}])
        assert shake(app, "/ws")[0]["status"] == 403
        assert ran == []


def test_a_path_without_a_websocket_is_closed_by_the_application(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = Starlette(routes=[Route("/http", _endpoint)])
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=[{"route": "/http", "action": "refund"}])
        assert [one["type"] for one in shake(app, "/http")] == ["websocket.close"]
        assert rows(guard) == []


def test_an_unguarded_websocket_is_listed(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:
        app = Starlette(routes=[WebSocketRoute("/open", _endpoint), *_apps(guard)["class"].routes])
        coverage = audit(app, [])
        assert [route.template for route in coverage.unguarded] == ["/open"]
        assert [(one.route.template, one.actions) for one in coverage.covered] == [("/ws/{room}", ("refund",))]
