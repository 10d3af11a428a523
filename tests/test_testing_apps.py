"""The scripted supervisor under the web adapters: an application's tests see what its clients would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask
from flask import request as asked
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from supervisor_guards.testing import Answer, allow, deny, down, review, scripted, slow
from supervisor_guards.web import APPROVAL_HEADER
from supervisor_guards_asgi import RouteRule, SupervisorMiddleware
from supervisor_guards_flask import SupervisorGuards
from tests.engine import rows
from tests.integrations import contract
from tests.integrations.django_client import DjangoHarness, guarded, guards

from django.test import override_settings  # isort: skip

from supervisor_guards_django import conf
from supervisor_guards_django.signals import action_denied

ANSWERS = [
    (allow(), 200),
    (deny("too-much"), 403),
    (review("odd"), 403),
    (review(approve_after=0), 403),
    (down(), 503),
    (slow(deadline=0.001), 503),
]
CASE = next(case for case in contract.CASES if case.name == "allowed")


async def refunded(request: Request) -> JSONResponse:
    return JSONResponse({"refunded": (await request.json())["amount"]})


def asgi_app() -> Any:
    app = Starlette(routes=[Route("/refunds", refunded, methods=["POST"])])
    app.add_middleware(SupervisorMiddleware, rules=[RouteRule("POST /refunds", "refund", payload=["body.amount"])])
    return app


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.anyio
@pytest.mark.parametrize(("answer", "status"), ANSWERS)
async def test_an_asgi_application(answer: Answer, status: int) -> None:
    with scripted(answer) as supervisor:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi_app()), base_url="http://app") as client:
            response = await client.post("/refunds", json={"amount": 5})
        [call] = supervisor.calls
    assert response.status_code == status
    assert (call.payload, call.route) == ({"amount": 5}, "POST /refunds")
    assert call.result == ("returned" if status == 200 else "not-run")


@pytest.mark.anyio
async def test_an_approved_request_is_sent_again() -> None:
    with scripted(review()) as supervisor:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(asgi_app()), base_url="http://app") as client:
            held = await client.post("/refunds", json={"amount": 5})
            supervisor.approve()
            approval = {APPROVAL_HEADER: supervisor.calls[0].action_id}
            other = await client.post("/refunds", json={"amount": 6}, headers=approval)
            answers = [await client.post("/refunds", json={"amount": 5}, headers=approval) for _ in range(2)]
    assert [response.status_code for response in (held, other, *answers)] == [403, 403, 200, 409]


def flask_app(mode: str = "enforce") -> tuple[Flask, SupervisorGuards]:
    app = Flask("shop")
    app.config["SUPERVISOR_GUARDS"] = {
        "MODE": mode,
        "RULES": [{"route": "POST /refunds", "action": "refund", "payload": ["body.amount"]}],
    }

    @app.post("/refunds")
    def refunds() -> Any:
        return {"refunded": asked.get_json()["amount"]}

    return app, SupervisorGuards(app)


@pytest.mark.parametrize(("answer", "status"), ANSWERS)
def test_a_flask_application(answer: Answer, status: int) -> None:
    with scripted(answer) as supervisor:
        app, extension = flask_app()
        response = app.test_client().post("/refunds", json={"amount": 5})
        [call] = supervisor.calls
        extension.close(app)
    assert response.status_code == status
    assert (call.payload, call.route) == ({"amount": 5}, "POST /refunds")
    assert call.result == ("returned" if status == 200 else "not-run")


def test_an_approved_request_is_sent_to_a_flask_application_again() -> None:
    with scripted(review()) as supervisor:
        app, extension = flask_app()
        client = app.test_client()
        held = client.post("/refunds", json={"amount": 5})
        supervisor.approve()
        approval = {APPROVAL_HEADER: supervisor.calls[0].action_id}
        other = client.post("/refunds", json={"amount": 6}, headers=approval)
        answers = [client.post("/refunds", json={"amount": 5}, headers=approval) for _ in range(2)]
        extension.close(app)
    assert [response.status_code for response in (held, other, *answers)] == [403, 403, 200, 409]


def test_a_flask_application_that_outlives_a_test_asks_the_script_of_the_next_one_once_closed() -> None:
    """Its guard is its own, made on first use. Its mode holds, whatever the fixture's settings say."""
    app, extension = flask_app("shadow")
    for answer, would_have in ((deny(), "deny"), (allow(), "allow")):
        with scripted(answer) as supervisor:
            assert app.test_client().post("/refunds", json={"amount": 5}).status_code == 200
            [row] = supervisor.store.decisions()
            extension.close(app)
        assert row.would_have == would_have


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize(("answer", "status"), ANSWERS)
def test_a_django_project(answer: Answer, status: int, handler: str, tmp_path: Path) -> None:
    with scripted(answer) as supervisor, guarded(tmp_path, "shadow") as guard:
        response = DjangoHarness(guard, handler).send(CASE)
        [call] = supervisor.calls
    assert response.status == status
    assert (call.action_type, call.result) == ("refund", "returned" if status == 200 else "not-run")


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_django_project_on_its_own_settings(mode: str, tmp_path: Path) -> None:
    """Its mode holds, and its signals are sent."""
    told: list[str] = []

    def receiver(sender: str, event: Any, **kwargs: Any) -> None:
        told.extend(event.reasons)

    action_denied.connect(receiver)
    try:
        with scripted(deny("scripted"), settings=None) as supervisor, guarded(tmp_path, mode) as guard:
            assert DjangoHarness(guard, "wsgi").send(CASE).status == (200 if mode == "shadow" else 403)
            assert len(supervisor.calls) == 1
    finally:
        action_denied.disconnect(receiver)
    assert told == ([] if mode == "shadow" else ["scripted"])


def test_a_project_that_had_its_guard_has_it_again(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce") as guard:
        assert DjangoHarness(guard, "wsgi").send(CASE).status == 200
        with scripted(deny()):
            assert DjangoHarness(guard, "wsgi").send(CASE).status == 403
        assert DjangoHarness(guard, "wsgi").send(CASE).status == 200
        assert [row.outcome for row in rows(guard)] == ["allow", "allow"]


def test_settings_that_changed_meanwhile_hold_afterwards(tmp_path: Path) -> None:
    """A guard that Django's settings made is out of date once they changed, also behind a scripted one."""
    with guarded(tmp_path, "enforce", contract.POLICY) as guard:
        with scripted(), override_settings(SUPERVISOR_GUARDS=guards(tmp_path, "shadow")):
            assert DjangoHarness(guard, "wsgi").send(CASE).status == 200
        assert conf.guard() is not guard
        assert conf.guard().config.enforcement_mode == "enforce"
