"""Guards at the endpoint: every kind of it, validated arguments, one question for each action."""

from __future__ import annotations

import functools
import json
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import APIRouter, Depends, FastAPI, HTTPException
from pydantic import BaseModel, ConfigDict, Field
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from supervisor_guards import Guard, SupervisorBlocked
from supervisor_guards_asgi import (
    Refused,
    RouteGuard,
    SupervisorMiddleware,
    guard_responses,
    refusal_handler,
    requires,
    supervised_route,
)
from tests.engine import default_guard, rows, settings
from tests.integrations.asgi_apps import request
from tests.integrations.asgi_client import ANY, NO, guarding

SEVEN = ANY.replace("payload.get('amount') == -1", "payload.amount == 7")
"""Denies the amount 7."""


class Item(BaseModel):
    model_config = ConfigDict(populate_by_name=True, extra="allow")
    amount: float = Field(alias="refundAmount")


def problem(answer: Any) -> str:
    """The end of the problem's type."""
    assert answer.headers["content-type"] == "application/problem+json"
    return str(json.loads(answer.content)["type"].rpartition("/")[2])


ran: list[Any] = []


@pytest.fixture(autouse=True)
def _fresh() -> None:
    ran.clear()


async def _coroutine(request: Request) -> Response:
    ran.append(threading.current_thread())
    return Response(await request.body())


def _function(request: Request) -> Response:
    ran.append(threading.current_thread())
    return Response("ok")


class _Endpoint(HTTPEndpoint):
    async def post(self, request: Request) -> Response:
        ran.append(threading.current_thread())
        return Response(await request.body())


class _Application:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        ran.append(threading.current_thread())
        await Response(await Request(scope, receive).body())(scope, receive, send)


class _Method:
    async def refund(self, request: Request) -> Response:
        ran.append(threading.current_thread())
        return Response(await request.body())


KINDS = {
    "coroutine": _coroutine,
    "function": _function,
    "class": _Endpoint,
    "application": _Application(),
    "method": _Method().refund,
    "partial": functools.partial(_coroutine),
}


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_starlette_endpoint_is_guarded_as_what_it_is(
    kind: str, mode: str, backend: str, tmp_path: Path
) -> None:
    with guarding(tmp_path, SEVEN, mode) as guard:
        endpoint = supervised_route("refund", guard=guard, payload=["body.amount"])(KINDS[kind])
        methods = None if kind in ("class", "application") else ["POST"]
        app = Starlette(routes=[Mount("/m", routes=[Route("/refunds/{id}", endpoint, methods=methods)])])
        denied = request(app, "POST", "/m/refunds/1", backend, json={"amount": 7})
        assert denied.status_code == (403 if mode == "enforce" else 200)
        assert len(ran) == (mode == "shadow")
        allowed = request(app, "POST", "/m/refunds/1", backend, content=b'{"amount": 1}')
        assert allowed.status_code == 200
        assert allowed.content in (b"ok", b'{"amount": 1}')
        assert (ran[-1] is threading.main_thread()) == (kind != "function")
        assert {row.route for row in rows(guard)} == {"POST /m/refunds/{id}"}
        verdicts = sorted(row.would_have or row.outcome for row in rows(guard))
        assert verdicts == (["allow", "deny"] if mode == "enforce" or kind != "function" else ["deny", "deny"])


def test_a_method_of_a_class_endpoint_can_be_guarded_alone(tmp_path: Path) -> None:
    with guarding(tmp_path, NO) as guard:

        class Refunds(HTTPEndpoint):
            async def get(self, request: Request) -> Response:
                return Response("list")

            @supervised_route("refund", guard=guard)
            async def post(self, request: Request) -> Response:
                ran.append("post")
                return Response("refunded")

        rules = [{"route": "/refunds", "action": "refund", "methods": ["POST"]}]
        app = Starlette(routes=[Route("/refunds", Refunds)])
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=rules)
        assert request(app, "GET", "/refunds").text == "list"
        assert problem(request(app, "POST", "/refunds")) == "denied"
        assert request(app, "PUT", "/refunds").status_code == 405
        assert ran == []
        assert len(rows(guard)) == 1


def _path_operation(guard: Guard, **options: Any) -> FastAPI:
    app, router = FastAPI(), APIRouter(prefix="/v1")

    async def user() -> str:
        return "u-1"

    async def signed_in(request: Request) -> None:
        if "authorization" not in request.headers:
            raise HTTPException(401)

    @router.post("/refunds/{order_id}", dependencies=[Depends(signed_in)])
    @supervised_route("refund", guard=guard, payload=_amount, **options)
    async def refund(order_id: int, item: Item, user: str = Depends(user)) -> dict[str, Any]:
        ran.append(item.amount)
        return {"amount": item.amount}

    app.include_router(router)
    return app


def _amount(order_id: int, item: Item, user: str) -> dict[str, Any]:
    return {"amount": item.amount, "order_id": order_id, "user": user}


@pytest.mark.parametrize(
    ("body", "amount"),
    [('{"refundAmount": 7}', 7), ('{"amount": 7}', 7), ('{"amount": 1, "refundAmount": 7}', 7),
     ('{"refundAmount": "7"}', 7), ('{"refundAmount": 0.7e1}', 7), ('{"refundAmount": 1e3, "amount": 7}', 1000),
     ('{"refundAmount": true}', 1)],
)  # fmt: skip
def test_the_guard_judges_what_the_path_operation_gets(body: str, amount: float, tmp_path: Path) -> None:
    with guarding(tmp_path, SEVEN) as guard:
        headers = {"authorization": "x", "content-type": "application/json"}
        answer = request(_path_operation(guard), "POST", "/v1/refunds/3", content=body, headers=headers)
        (row,) = rows(guard)
        assert json.loads(row.payload) == {"amount": amount, "order_id": 3, "user": "u-1"}
        assert (answer.status_code, ran) == ((403, []) if amount == 7 else (200, [amount]))


def test_what_validation_or_authentication_refuses_is_not_asked_about(tmp_path: Path) -> None:
    with guarding(tmp_path, SEVEN) as guard:
        app = _path_operation(guard)
        signed = {"authorization": "x"}
        assert request(app, "POST", "/v1/refunds/x", json={"amount": 1}, headers=signed).status_code == 422
        assert request(app, "POST", "/v1/refunds/3", json={"amount": "no"}, headers=signed).status_code == 422
        assert request(app, "POST", "/v1/refunds/3", json={"amount": 1}).status_code == 401
        assert rows(guard) == []


def test_arguments_are_the_payload_and_openapi_stays(tmp_path: Path) -> None:
    with guarding(tmp_path, SEVEN) as guard:

        def build(guarded: bool) -> FastAPI:
            app = FastAPI()

            def refund(order_id: int, amount: float, note: str = "none") -> dict[str, Any]:
                """Pays back."""
                return {"amount": amount}

            decorate = supervised_route("refund", guard=guard)
            app.post("/refunds/{order_id}")(decorate(refund) if guarded else refund)
            return app

        assert build(True).openapi() == build(False).openapi()
        assert request(build(True), "POST", "/refunds/3?amount=7").status_code == 403
        assert request(build(True), "POST", "/refunds/3?amount=8").json() == {"amount": 8}
        payloads = [json.loads(row.payload) for row in rows(guard)]
        assert {"order_id": 3, "amount": 8, "note": "none"} in payloads


def test_a_stream_is_refused_before_it_begins(tmp_path: Path) -> None:
    with guarding(tmp_path, SEVEN) as guard:
        app = FastAPI()

        @app.get("/async")
        @supervised_route("refund", guard=guard)
        async def lines(amount: int) -> AsyncIterator[Item]:
            ran.append(amount)
            yield Item(amount=amount)

        @app.get("/sync")
        @supervised_route("refund", guard=guard)
        def rows_of(amount: int) -> Iterator[Item]:
            ran.append(amount)
            yield Item(amount=amount)

        for path in ("/async", "/sync"):
            ran.clear()
            denied = request(app, "GET", path + "?amount=7")
            assert (denied.status_code, ran) == (403, [])
            assert denied.headers["content-type"] == "application/json"
            assert request(app, "GET", path + "?amount=8").status_code == 200
            assert ran == [8]
        app.middleware_stack = None  # it was built by the first request
        app.add_exception_handler(Refused, refusal_handler)
        assert problem(request(app, "GET", "/async?amount=7")) == "denied"


def test_a_handler_of_the_application_answers_where_there_is_one(tmp_path: Path) -> None:
    async def handler(request: Request, error: Exception) -> Response:
        return JSONResponse({"own": type(error).__name__}, 418)

    with guarding(tmp_path, NO) as guard:
        endpoint = supervised_route("refund", guard=guard)(_coroutine)
        routes = [Route("/refunds", endpoint, methods=["POST"])]
        own = Starlette(routes=routes, exception_handlers={SupervisorBlocked: handler})
        assert request(own, "POST", "/refunds").json() == {"own": "SupervisorBlocked"}
        outer = Starlette(routes=[Mount("/sub", app=Starlette(routes=routes)), Mount("/bare", app=Router(routes))])
        for path in ("/sub/refunds", "/bare/refunds"):
            assert problem(request(outer, "POST", path)) == "denied"


def test_a_plain_guard_inside_an_endpoint_gets_the_same_answers(tmp_path: Path) -> None:
    from supervisor_guards import supervised, supervised_async

    @supervised("refund")
    def pay(amount: int) -> None:
        ran.append(amount)

    @supervised_async("refund")
    async def apay(amount: int) -> None:
        ran.append(amount)

    async def endpoint(request: Request) -> Response:
        await apay(amount=int(request.query_params["amount"]))
        return Response("ok")

    def in_thread(request: Request) -> Response:
        pay(amount=int(request.query_params["amount"]))
        return Response("ok")

    policy = SEVEN.replace("action: deny", "action: review")
    app = Starlette(routes=[Mount("/a", routes=[Route("/x/{id}", endpoint), Route("/y/{id}", in_thread)])])
    app.add_middleware(SupervisorMiddleware, rules=[])
    with default_guard(settings(tmp_path, policy=policy)) as guard:
        for path in ("/a/x/1", "/a/y/1"):
            assert problem(request(app, "GET", path + "?amount=7")) == "approval-required"
            assert request(app, "GET", path + "?amount=8").text == "ok"
        assert ran == [8, 8]
        assert {row.route for row in rows(guard)} == {"GET /a/x/{id}", "GET /a/y/{id}"}


def _dependency(guard: Guard) -> FastAPI:
    app = FastAPI()
    needs = requires("refund", payload=["body.amount"], guard=guard)

    @app.post("/refunds", dependencies=[Depends(needs)], responses=guard_responses())
    def refund(item: Item) -> Item:
        ran.append(item.amount)
        return item

    return app


def test_a_dependency_asks_before_validation(tmp_path: Path) -> None:
    with guarding(tmp_path, SEVEN) as guard:
        app = _dependency(guard)
        assert request(app, "POST", "/refunds", json={"amount": 7}).json()["detail"]["title"]
        assert ran == []
        assert request(app, "POST", "/refunds", json={"amount": 8}).status_code == 200
        assert len(rows(guard)) == 2
        assert request(app, "POST", "/refunds", json={"amount": 8, "refundAmount": "x"}).status_code == 422
        assert len(rows(guard)) == 3
        described = app.openapi()["paths"]["/refunds"]["post"]
        assert "application/problem+json" in described["responses"]["403"]["content"]
        assert "parameters" not in described


RULES = [{"route": "POST /refunds", "action": "refund"}, {"route": "POST /refunds", "action": "refund.large"}]


def _own_guards(guard: Guard) -> dict[str, Any]:
    decorated = FastAPI()
    decorated.post("/refunds")(supervised_route("refund", guard=guard)(_coroutine))
    layered = Route(
        "/refunds", _coroutine, methods=["POST"], middleware=[Middleware(RouteGuard, "refund", guard=guard)]
    )
    return {
        "function": Starlette(routes=[Route("/refunds", _guarded_function(guard), methods=["POST"])]),
        "fastapi": decorated,
        "layer": Starlette(routes=[layered]),
        "dependency": _dependency(guard),
    }


def _guarded_function(guard: Guard) -> Any:
    return supervised_route("refund", guard=guard)(_coroutine)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("kind", ["function", "fastapi", "layer", "dependency"])
def test_one_action_with_two_guards_is_asked_about_once(kind: str, mode: str, tmp_path: Path) -> None:
    with guarding(tmp_path, ANY, mode) as guard:
        app = _own_guards(guard)[kind]
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=RULES)
        assert request(app, "POST", "/refunds", json={"amount": 1}).status_code == 200
        assert sorted(row.action_type for row in rows(guard)) == ["refund", "refund.large"]


def test_a_batch_of_two_is_two_questions(tmp_path: Path) -> None:
    from supervisor_guards import guarded_async

    async def pay(amount: int) -> None:
        ran.append(amount)

    async def batch(request: Request) -> Response:
        for amount in (1, 2):
            await guarded_async("refund", {"amount": amount}, pay, amount)
        return Response("ok")

    app = Starlette(routes=[Route("/refunds", batch, methods=["POST"])])
    with default_guard(settings(tmp_path, policy=ANY)) as guard:
        app.add_middleware(SupervisorMiddleware, rules=[{"route": "POST /refunds", "action": "refund"}])
        assert request(app, "POST", "/refunds").status_code == 200
        assert len(rows(guard)) == 3
