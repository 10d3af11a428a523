"""`supervised_view` and the mixin: every form of view, asked about once, on the right thread."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import ConfigurationError
from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.http import HttpResponse  # isort: skip
from django.test import RequestFactory  # isort: skip
from django.urls import path  # isort: skip
from django.views import View  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip
from rest_framework.response import Response  # isort: skip
from rest_framework.viewsets import ViewSet  # isort: skip

from supervisor_guards_django.decorators import SupervisedMixin, supervised_view
from supervisor_guards_django.rest_framework import SupervisedMixin as RestMixin
from tests.integrations.django_project import guarded_views

URLS = "tests.integrations.django_project.guarded_views"
POLICY = """
name: refunds
version: 1
action: refund
rules:
  - id: cap
    when: payload.amount > 100
    action: deny
    reason: too-much
"""
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("ruled", [False, True], ids=["alone", "with a rule of the same action"])
@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", [prefix + name for name in guarded_views.VIEWS for prefix in ("", "a")])
def test_a_guarded_view_is_asked_about_once(name: str, handler: str, ruled: bool, mode: str, tmp_path: Path) -> None:
    rules: list[Any] = [{"route": f"POST /{name}", "action": "refund", "payload": ["body.amount"]}] if ruled else []
    guarded_views.RAN.clear()
    with guarded(tmp_path, mode, POLICY, RULES=rules, root_urlconf=URLS) as guard:
        allowed = send(handler, "POST", "/" + name, b'{"amount": 5}', headers=JSON)
        assert allowed.json() == {"decided": mode == "enforce", "size": 13}
        denied = send(handler, "POST", "/" + name, b'{"amount": 500}', headers=JSON)
        assert denied.status_code == (403 if mode == "enforce" else 200)
        recorded = sorted((row.would_have or row.outcome, row.route, row.result) for row in rows(guard))
    result = "not-run" if mode == "enforce" else "returned"
    assert recorded == [("allow", f"POST /{name}", "returned"), ("deny", f"POST /{name}", result)]
    if name.startswith("a") and handler == "asgi":
        assert set(guarded_views.RAN) == {threading.get_ident()}


@pytest.mark.parametrize("name", ["dispatch", "urls", "mixin", "adispatch", "aurls", "amixin", "class"])
def test_nothing_is_asked_where_no_handler_runs(name: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "PUT", "/" + name, b'{"amount": 500}', headers=JSON).status_code == 405
        assert send("wsgi", "OPTIONS", "/" + name).status_code == 200
        assert rows(guard) == []


def test_other_decorators_keep_their_order(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "POST", "/members", b'{"amount": 500}', headers=JSON).status_code == 302
        assert rows(guard) == []
    view: Any = guarded_views.VIEWS["urls"][0]
    assert view.csrf_exempt
    assert view.view_class is guarded_views.Bare


def test_mistakes_are_told_where_the_view_is_defined() -> None:
    with pytest.raises(ConfigurationError, match="did you mean 'body'"):
        supervised_view("refund", payload=["bdy.amount"])
    with pytest.raises(ConfigurationError, match="mode='enforced'"):
        type("Refund", (SupervisedMixin,), {"supervised_action": "refund", "supervised_options": {"mode": "enforced"}})
    with pytest.raises(TypeError, match="needs a view"):
        supervised_view("refund")("refund")  # type: ignore[type-var]


def test_a_guarded_view_needs_a_request() -> None:
    @supervised_view("refund", mode="shadow")
    def view(request: Any) -> HttpResponse:
        return HttpResponse()

    with pytest.raises(TypeError, match="without a request"):
        view(7)


def test_a_view_is_guarded_without_the_middleware_too(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[]):
        request = RequestFactory().post("/", b'{"amount": 500}', content_type="application/json")
        request.resolver_match = None
        assert guarded_views.function(request).status_code == 403


class OwnDispatch(View):
    """Calls what it likes."""

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse("ran")

    @supervised_view("refund", payload=["body.amount"])
    def post(self, request: Any) -> HttpResponse:
        return HttpResponse("never")


class OwnDispatchOfMixin(SupervisedMixin, OwnDispatch):
    supervised_action = "refund"
    supervised_payload = ("body.amount",)

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> HttpResponse:
        return HttpResponse("ran")


class Observed(RestMixin, ViewSet):
    supervised_action = "refund"
    supervised_options = {"mode": "shadow"}  # noqa: RUF012

    def create(self, request: Any) -> Response:
        return Response("ran")


def ran(request: Any) -> HttpResponse:
    return HttpResponse("ran")


LOOKING_ON = {
    "own dispatch": OwnDispatch.as_view(),
    "own dispatch of a mixin": OwnDispatchOfMixin.as_view(),
    "shadow": supervised_view("refund", payload=["body.amount"], mode="shadow")(ran),
    "shadow by its reviews": supervised_view("refund", payload=["body.amount"], on_review="shadow")(ran),
    "shadow in a view set": Observed.as_view({"post": "create"}),
}


class LookingOn:
    urlpatterns = tuple(path(name.replace(" ", "-"), csrf_exempt(view)) for name, view in LOOKING_ON.items())


@pytest.mark.parametrize("name", LOOKING_ON)
def test_a_rule_does_not_rely_on_a_guard_that_is_in_shadow_or_never_called(name: str, tmp_path: Path) -> None:
    place = name.replace(" ", "-")
    rules = [{"route": f"POST /{place}", "action": "refund", "payload": ["body.amount"]}]
    with guarded(tmp_path, "enforce", POLICY, RULES=rules, root_urlconf=LookingOn):
        assert send("wsgi", "POST", f"/{place}", b'{"amount": 500}', headers=JSON).status_code == 403
        assert b"ran" in send("wsgi", "POST", f"/{place}", b'{"amount": 5}', headers=JSON).content
