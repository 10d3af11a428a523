"""A guard that can't be made, as its store can't be opened: what is in shadow runs, what is enforced is refused."""

from __future__ import annotations

import contextlib
import functools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from supervisor_guards import _default, supervised
from supervisor_guards.config import reset_for_tests
from supervisor_guards.errors import GuardError
from supervisor_guards_asgi import RouteGuard, SupervisorMiddleware, supervised_route
from supervisor_guards_flask import SupervisorGuards
from supervisor_guards_flask import supervised_view as flask_view
from tests.integrations import django_client, flask_client
from tests.integrations.asgi_client import call, http_scope

from django.http import HttpRequest, HttpResponse  # isort: skip
from django.test import override_settings  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip
from rest_framework.views import APIView  # isort: skip

from supervisor_guards_django import conf
from supervisor_guards_django.decorators import supervised_view
from supervisor_guards_django.rest_framework import SupervisedMixin

HERE = __name__
POLICY = """
name: all
version: 1
action: [refund, report]
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""
ACTIONS = {"refund": {"mode": "enforce"}}
ROUTES = {"refund": "refund", "report": "report", "own-refund": "refund", "own-report": "report"}
"""What there is, and its action. Where it is `own`, the view asks by itself; else there is a rule."""
PLAIN = {"plain-refund": "refund", "plain-report": "report"}
"""What is guarded inside the view, by a plain decorator."""
RULES = [{"route": f"POST /{name}", "action": action} for name, action in ROUTES.items() if not name.startswith("own")]
Post = Callable[[str], tuple[int, dict[str, Any]]]


def work(action: str) -> tuple[str, int]:
    """What a view answers that calls a guarded function."""
    try:
        return supervised(action)(lambda: "done")(), 200
    except GuardError:
        return "refused", 503


@csrf_exempt
def done(request: HttpRequest) -> HttpResponse:
    return HttpResponse("done")


def plain(action: str) -> Callable[[HttpRequest], HttpResponse]:
    def view(request: HttpRequest) -> HttpResponse:
        text, status = work(action)
        return HttpResponse(text, status=status)

    return csrf_exempt(view)  # type: ignore[no-any-return]


class Rest(APIView):
    def post(self, request: Any) -> HttpResponse:
        return HttpResponse("done")


class RestReport(SupervisedMixin, Rest):
    supervised_action = "report"


class RestRefund(SupervisedMixin, Rest):
    supervised_action = "refund"


urlpatterns = [
    *(path(name, done) for name in ("refund", "report")),
    *(path(name, plain(action)) for name, action in PLAIN.items()),
    *(path(f"own-{name}", csrf_exempt(supervised_view(name)(done))) for name in ("refund", "report")),
]
rest_urlpatterns = [
    *urlpatterns[:4],
    path("own-refund", RestRefund.as_view()),
    path("own-report", RestReport.as_view()),
]


class RestUrls:
    urlpatterns = rest_urlpatterns


@contextlib.contextmanager
def django(handler: str, urls: Any, settings: dict[str, Any]) -> Iterator[Post]:
    def post(name: str) -> tuple[int, dict[str, Any]]:
        response = django_client.send(handler, "POST", f"/{name}")
        return response.status_code, json.loads(response.content) if response.content[:1] == b"{" else {}

    with override_settings(SUPERVISOR_GUARDS={**settings, "RULES": RULES}, ROOT_URLCONF=urls):
        try:
            yield post
        finally:
            conf.withdraw()


@contextlib.contextmanager
def flask(settings: dict[str, Any]) -> Iterator[Post]:
    app = Flask("unguarded")
    for name, action in ROUTES.items():
        view = lambda: "done"  # noqa: E731
        app.add_url_rule(
            f"/{name}", name, flask_view(action)(view) if name.startswith("own") else view, methods=["POST"]
        )
    for name, action in PLAIN.items():
        app.add_url_rule(f"/{name}", name, functools.partial(work, action), methods=["POST"])
    app.config["SUPERVISOR_GUARDS"] = {**settings, "RULES": RULES}
    extension = SupervisorGuards(app)

    def post(name: str) -> tuple[int, dict[str, Any]]:
        response = flask_client.send(app, "POST", f"/{name}")
        return response.status_code, response.json if response.is_json else {}

    try:
        yield post
    finally:
        extension.close(app)


@contextlib.contextmanager
def asgi(settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch, own: str) -> Iterator[Post]:
    for name, value in settings.items():
        monkeypatch.setenv(f"SUPERVISOR_{name}", value)
    reset_for_tests()

    async def view(request: Request) -> Response:
        return Response("done")

    routes = []
    for name, action in ROUTES.items():
        layers = [Middleware(RouteGuard, action)] if name.startswith("own") and own == "layer" else []
        endpoint = supervised_route(action)(view) if name.startswith("own") and own == "decorator" else view
        routes.append(Route(f"/{name}", endpoint, methods=["POST"], middleware=layers))
    app = Starlette(routes=routes)
    app.add_middleware(SupervisorMiddleware, rules=RULES)

    def post(name: str) -> tuple[int, dict[str, Any]]:
        exchange = call(app, http_scope("POST", f"/{name}"))
        return exchange.status, json.loads(exchange.body) if exchange.body[:1] == b"{" else {}

    try:
        yield post
    finally:
        reset_for_tests()


SITES: dict[str, Callable[..., Any]] = {
    "Django, WSGI": lambda settings, patch: django("wsgi", HERE, settings),
    "Django, ASGI": lambda settings, patch: django("asgi", HERE, settings),
    "REST framework": lambda settings, patch: django("wsgi", RestUrls, settings),
    "Flask": lambda settings, patch: flask(settings),
    "ASGI, decorator": lambda settings, patch: asgi(settings, patch, "decorator"),
    "ASGI, layer": lambda settings, patch: asgi(settings, patch, "layer"),
}


@pytest.fixture(params=SITES)
def site(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any]], Any]:
    return lambda settings: SITES[request.param](settings, monkeypatch)


def settings_in(folder: Path, **changes: Any) -> dict[str, Any]:
    (folder / "supervisor.yaml").write_text(POLICY)
    return {"POLICY": str(folder / "supervisor.yaml"), "STATE_DIR": str(folder / ".supervisor"), **changes}


# In the environment, which ASGI's default guard is made of, no single action can be enforced.
@pytest.mark.parametrize("site", [name for name in SITES if not name.startswith("ASGI")], indirect=True)
def test_a_store_that_can_t_be_opened_stops_the_enforced_actions_only(site: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    database = f"sqlite:///{tmp_path / 'file' / 'decisions.db'}"
    with site(settings_in(tmp_path, ACTIONS=ACTIONS, DATABASE=database)) as post:
        for _ in range(2):
            assert [post(name)[0] for name in ("report", "own-report", "plain-report")] == [200] * 3
            assert post("plain-refund")[0] == 503
            for name in ("refund", "own-refund"):
                status, problem = post(name)
                assert (status, problem["type"].rpartition("/")[2]) == (503, "supervisor-unavailable")


# Flask's extension takes no such settings.
@pytest.mark.parametrize("site", [name for name in SITES if name.startswith("Django")], indirect=True)
@pytest.mark.parametrize("actions", [["refund"], "refund", {"refund": {"MODE": "enforce"}, "report": "shadow"}])
def test_actions_that_can_t_be_read_stop_what_may_be_enforced(site: Any, tmp_path: Path, actions: Any) -> None:
    with site(settings_in(tmp_path, ACTIONS=actions)) as post:
        assert [post(name)[0] for name in (*ROUTES, *PLAIN)] == [503] * 6


class NoGuard:
    """In the place of a guard: it can't be made, for a reason that nobody has thought of."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError("no guard today")


def test_in_shadow_no_reason_at_all_stops_anything(site: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_default, "Guard", NoGuard)
    monkeypatch.setattr(conf, "Guard", NoGuard)
    with site(settings_in(tmp_path)) as post:
        assert [post(name)[0] for name in ROUTES] == [200] * 4
