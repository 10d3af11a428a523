"""What is around the middleware and the view: other middleware, settings that can't be read, senders."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.core.handlers.wsgi import WSGIRequest  # isort: skip
from django.http import HttpResponseRedirect  # isort: skip
from django.test import override_settings  # isort: skip

from tests.integrations.django_project import sly_views

SLY = "tests.integrations.django_project.sly_views"
HERE = __name__
OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
DENY = """
name: none
version: 1
action: act
default: deny
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""
HANDLERS = ["wsgi", "asgi"]


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    sly_views.RAN.clear()


def ruled(*routes: str, **fields: Any) -> list[dict[str, Any]]:
    return [{"route": route, "action": "act", **fields} for route in routes]


class Replacing:
    """A middleware that hands on another request object."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(WSGIRequest(request.environ))


class Maintenance:
    """A middleware that calls a guarded view with the request, and then goes on."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        sly_views.guarded(request)
        return self.get_response(request)


class Running:
    """A middleware that runs the view itself, as profilers do."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        return view(request, *args, **kwargs)


class Overriding(Running):
    """A middleware that changes the method once the request was judged."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        request.method = "DELETE"


class SigningIn(Running):
    """A middleware that sends people elsewhere."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        return HttpResponseRedirect("/sign-in")


class Faulty(Running):
    """A middleware that leaves a wrong match behind."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        from django.urls import resolve

        request.resolver_match = resolve("/posted", SLY)


@pytest.mark.parametrize("place", ["before", "after"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("name", ["Replacing", "Maintenance"])
def test_no_middleware_around_ours_hides_a_request(name: str, mode: str, place: str, tmp_path: Path) -> None:
    ours = list(settings.MIDDLEWARE)
    middleware = [*ours, f"{HERE}.{name}"] if place == "after" else [*ours[:-1], f"{HERE}.{name}", OURS]
    with guarded(tmp_path, mode, DENY, RULES=ruled("target"), root_urlconf=SLY, middleware=middleware) as guard:
        answer = send("wsgi", "POST", "/target")
        assert answer.status_code == (403 if mode == "enforce" else 200)
        assert "plain" not in sly_views.RAN or mode == "shadow"
        judged = [row for row in rows(guard) if row.route == "POST /target"]
        assert [row.would_have or row.outcome for row in judged] == ["deny"]


@pytest.mark.parametrize("twice", [OURS, f"{HERE}.Ours"])
def test_the_middleware_twice_asks_once(twice: str, tmp_path: Path) -> None:
    middleware = [*settings.MIDDLEWARE, twice]
    with guarded(tmp_path, "shadow", DENY, RULES=ruled("target"), root_urlconf=SLY, middleware=middleware) as guard:
        assert send("wsgi", "POST", "/target").status_code == 200
        assert [row.would_have for row in rows(guard)] == ["deny"]


@pytest.mark.parametrize(
    ("name", "path", "place", "reported"),
    [("Running", "/target", 0, True), ("Overriding", "/delete", 9, True), ("SigningIn", "/target", 0, False)],
)
def test_a_view_that_ran_without_a_decision_is_reported(
    name: str, path: str, place: int, reported: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    middleware = list(settings.MIDDLEWARE)
    middleware.insert(place, f"{HERE}.{name}")
    rules = ruled("target", "DELETE /delete")
    with guarded(tmp_path, "enforce", DENY, RULES=rules, root_urlconf=SLY, middleware=middleware):
        send("wsgi", "POST", path)
    found = [one for one in caplog.records if hasattr(one, "guard_bypass_total")]
    assert [one.levelno for one in found] == ([logging.ERROR] if reported else [])


@pytest.mark.parametrize(("mode", "status"), [("enforce", 400), ("shadow", 200)])
def test_a_match_that_is_not_the_view_s_is_not_trusted(mode: str, status: int, tmp_path: Path) -> None:
    middleware = [f"{HERE}.Faulty", *settings.MIDDLEWARE]
    with guarded(tmp_path, mode, DENY, RULES=ruled("target"), root_urlconf=SLY, middleware=middleware):
        assert send("wsgi", "POST", "/target").status_code == status
        wanted = ["plain"] if mode == "shadow" else []
        assert wanted == sly_views.RAN


def test_one_rule_that_cannot_be_read_opens_no_other(tmp_path: Path) -> None:
    rules = [*ruled("target", mode="enforce"), {"route": "posted"}]
    with guarded(tmp_path, "shadow", DENY, RULES=rules, root_urlconf=SLY) as guard:
        assert send("wsgi", "POST", "/target").status_code == 403
        assert [row.outcome for row in rows(guard)] == ["deny"]
        assert send("wsgi", "POST", "/posted").status_code == 400  # it may be the one that can't be read
        assert sly_views.RAN == []


@pytest.mark.parametrize(("mode", "status"), [("shadow", 200), ("enforce", 503)])
def test_without_a_guard_to_ask_shadow_goes_on_and_enforce_refuses(mode: str, status: int, tmp_path: Path) -> None:
    with guarded(tmp_path, mode, DENY, RULES=ruled("target"), root_urlconf=SLY):
        values = {**settings.SUPERVISOR_GUARDS, "POLICY": str(tmp_path / "gone.yaml"), "AUDIT": "no-such"}
        with override_settings(SUPERVISOR_GUARDS=values):
            assert send("wsgi", "POST", "/target").status_code == status
            assert send("wsgi", "POST", "/batch").status_code == 200
    wanted = ["plain", "guarded", "guarded"] if mode == "shadow" else []
    assert wanted == sly_views.RAN


class Ours:
    """Our middleware by another name."""

    def __new__(cls, get_response: Any) -> Any:
        from supervisor_guards_django.middleware import SupervisorMiddleware

        return SupervisorMiddleware(get_response)


class Token:
    """A middleware that knows who sends a request by other means than the session."""

    sync_capable = async_capable = True

    def __new__(cls, get_response: Any) -> Any:
        from asgiref.sync import iscoroutinefunction
        from django.contrib.auth.models import User
        from django.utils.functional import SimpleLazyObject

        def known(request: Any) -> Any:
            kind = request.headers["x-token"]
            return SimpleLazyObject(lambda: User.objects.get(pk=7)) if kind == "lazy" else User(pk=7)

        if iscoroutinefunction(get_response):

            async def call(request: Any) -> Any:
                request.user = known(request)
                return await get_response(request)

            return call

        def plain(request: Any) -> Any:
            request.user = known(request)
            return get_response(request)

        return plain


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("kind", ["object", "lazy"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_the_sender_is_whom_the_project_put_on_the_request(mode: str, kind: str, handler: str, tmp_path: Path) -> None:
    from django.contrib.auth.models import User

    User.objects.get_or_create(pk=7, defaults={"username": "seven"})
    middleware = [*settings.MIDDLEWARE[:-1], f"{HERE}.Token", OURS]
    with guarded(tmp_path, mode, DENY, RULES=ruled("target"), root_urlconf=SLY, middleware=middleware) as guard:
        send(handler, "POST", "/target", headers={"x-token": kind})
        assert [row.subject for row in rows(guard)] == ["7"]
