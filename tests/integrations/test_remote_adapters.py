"""Applications whose supervisor is a service: one that hangs, that a proxy stands before, that holds, that is gone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import FastAPI, Response
from fastapi import Request as FastRequest
from flask import Flask

from supervisor_guards import Guard
from supervisor_guards.web import User
from supervisor_guards_asgi import SupervisorMiddleware
from supervisor_guards_flask import SupervisorGuards
from tests.integrations import django_client, flask_client
from tests.integrations.asgi_client import call, http_scope
from tests.remote.peers import APP_ID, SECRET, OurService
from tests.remote.serving import PATIENT, by_amount, settings

from django.http import HttpRequest, HttpResponse  # isort: skip
from django.test import override_settings  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

from supervisor_guards_django import conf

HERE = __name__
RULES = [{"route": "POST /refunds", "action": "refund", "payload": ["body.amount"]}]
JSON = {"content-type": "application/json"}
RAN: list[str] = []


class Answer:
    """Status, headers in lower case, and body."""

    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    @property
    def kind(self) -> str:
        assert self.headers["content-type"] == "application/problem+json"
        return str(json.loads(self.body)["type"].rpartition("/")[2])

    @property
    def case(self) -> str:
        """The action that waits for a person."""
        return str(json.loads(self.body)["instance"].rpartition(":")[2])


class Site:
    """One application: `post` sends it a refund."""

    def __init__(self, guard: Guard, send: Callable[[bytes, dict[str, str]], Answer]) -> None:
        self.guard = guard
        self.send = send

    def post(self, amount: int, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.send(json.dumps({"amount": amount}).encode(), {**JSON, "x-user": "u-1", **named})


def _sender(request: Any) -> User:
    return User(request.headers["x-user"])


def _keys(base_url: str, changes: dict[str, Any]) -> dict[str, Any]:
    values = {
        "MODE": "enforce",
        "BASE_URL": base_url,
        "APP_ID": APP_ID,
        "SECRET": SECRET,
        "EVALUATE_TIMEOUT_SECONDS": PATIENT,
        "RULES": RULES,
        "USER_RESOLVER": _sender,
    }
    return values | {name.upper(): value for name, value in changes.items()}


@csrf_exempt
def refund(request: HttpRequest) -> HttpResponse:
    RAN.append("refund")
    return HttpResponse("refunded", headers={"x-own": "1"})


urlpatterns = [path("refunds", refund)]


@contextlib.contextmanager
def django(handler: str, base_url: str, changes: dict[str, Any]) -> Iterator[Site]:
    def send(body: bytes, headers: dict[str, str]) -> Answer:
        found = django_client.send(handler, "POST", "/refunds", body, headers=headers)
        return Answer(found.status_code, found.items(), found.content)

    with override_settings(SUPERVISOR_GUARDS=_keys(base_url, changes), ROOT_URLCONF=HERE):
        try:
            yield Site(conf.guard(), send)
        finally:
            conf.withdraw()


@contextlib.contextmanager
def flask(base_url: str, changes: dict[str, Any]) -> Iterator[Site]:
    app = Flask("remote")

    @app.post("/refunds")
    def refund() -> Any:
        RAN.append("refund")
        return "refunded", {"x-own": "1"}

    app.config["SUPERVISOR_GUARDS"] = _keys(base_url, changes)
    extension = SupervisorGuards(app)

    def send(body: bytes, headers: dict[str, str]) -> Answer:
        found = flask_client.send(app, "POST", "/refunds", body, headers.items())
        return Answer(found.status_code, found.headers.items(), found.data)

    try:
        yield Site(extension.guard(app), send)
    finally:
        extension.close(app)


@contextlib.contextmanager
def fastapi(base_url: str, changes: dict[str, Any]) -> Iterator[Site]:
    changes = {"enforcement_mode": changes["mode"]} | changes if "mode" in changes else changes
    changes.pop("mode", None)
    guard = Guard(settings(base_url, **changes))
    app = FastAPI()

    @app.post("/refunds")
    async def refund(request: FastRequest) -> Response:
        await request.body()
        RAN.append("refund")
        return Response("refunded", headers={"x-own": "1"})

    app.add_middleware(SupervisorMiddleware, guard=guard, rules=RULES, user=_sender)

    def send(body: bytes, headers: dict[str, str]) -> Answer:
        exchange = call(app, http_scope("POST", "/refunds", headers=headers.items()), body)
        return Answer(exchange.status, exchange.headers.items(), exchange.body)

    try:
        yield Site(guard, send)
    finally:
        guard.close()


SITES: dict[str, Callable[..., Any]] = {
    "Django, WSGI": lambda base_url, changes: django("wsgi", base_url, changes),
    "Django, ASGI": lambda base_url, changes: django("asgi", base_url, changes),
    "Flask": flask,
    "FastAPI": fastapi,
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest) -> Callable[..., Any]:
    RAN.clear()
    return lambda peer, **changes: SITES[request.param](peer.base_url, changes)


@pytest.mark.timeout(60)
def test_a_service_that_hangs_is_a_503_at_the_deadline_and_soon_at_once(site: Any) -> None:
    limits = {"evaluate_timeout_seconds": 0.5, "breaker_failures": 2, "breaker_seconds": 600}
    with OurService(by_amount) as peer, site(peer, **limits) as here:
        peer.hold()
        for _ in range(2):
            answer = here.post(5)
            assert (answer.status, answer.kind) == (503, "supervisor-unavailable")
            assert int(answer.headers["retry-after"]) > 0
        assert here.guard.stats().breaker == "open"
        asked = len(peer.requests)
        assert here.post(5).status == 503
        assert len(peer.requests) == asked
        assert RAN == []


def test_a_proxy_of_the_environment_hears_nothing(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with OurService() as proxy, OurService(by_amount) as peer:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.base_url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        with site(peer) as here:
            assert [here.post(amount).status for amount in (5, 500)] == [200, 403]
        assert len(peer.asked) == 2
        assert proxy.requests == []


def test_what_a_person_approves_at_the_service_runs_once(site: Any) -> None:
    with OurService(by_amount) as peer, site(peer) as here:
        first = here.post(50)
        assert (first.status, first.kind) == (403, "approval-required")
        assert first.case == peer.next_case().action_id
        assert here.post(50, supervisor_approval=first.case).kind == "approval-required"
        peer.resolve(first.case, "approved")
        other = here.post(51, supervisor_approval=first.case)
        assert (other.status, other.kind) == (403, "approval-invalid")
        assert here.post(50, supervisor_approval=first.case, x_user="u-2").kind == "approval-invalid"
        assert RAN == []
        assert here.post(50, supervisor_approval=first.case).status == 200
        again = here.post(50, supervisor_approval=first.case)
        assert (again.status, again.kind) == (409, "approval-used")
        assert RAN == ["refund"]


def test_what_a_person_rejects_at_the_service_never_runs(site: Any) -> None:
    with OurService(by_amount) as peer, site(peer) as here:
        first = here.post(50)
        peer.resolve(first.case, "rejected")
        assert here.post(50, supervisor_approval=first.case).status == 403
        assert RAN == []


def test_in_shadow_a_service_that_is_gone_changes_nothing(site: Any) -> None:
    with OurService(by_amount) as peer, site(peer, mode="shadow") as here:
        there = [here.post(amount) for amount in (5, 50, 500)]
        assert here.guard.flush()
        assert len(peer.asked) == 3
        peer.kill()
        gone = [here.post(amount) for amount in (5, 50, 500)]
        shown = [(answer.status, answer.headers, answer.body) for answer in (*there, *gone)]
        assert shown == [shown[0]] * 6
        assert (shown[0][0], shown[0][2]) == (200, b"refunded")
        assert len(RAN) == 6
