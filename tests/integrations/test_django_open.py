"""What goes around routing, open by nature: `supervised_view` at the view asks all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.http import Http404, HttpRequest, HttpResponse  # isort: skip
from django.urls import path  # isort: skip
from django.views.decorators.csrf import csrf_exempt  # isort: skip

from supervisor_guards_django.decorators import supervised_view

HERE = __name__
POLICY = """
name: none
version: 1
action: refund
default: deny
rules:
  - {id: never, when: "payload.get('never') == 1", action: deny, reason: never}
"""
RAN: list[str] = []


@csrf_exempt
@supervised_view("refund", methods=["POST"], body="none")
def refund(request: HttpRequest) -> HttpResponse:
    RAN.append(str(request.method))
    return HttpResponse("refunded")


@csrf_exempt
def caller(request: HttpRequest) -> HttpResponse:
    return refund(request)


urlpatterns = [path("refund", refund), path("caller", caller)]


class RunsViews:
    """Runs the view itself, and answers with it."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> Any:
        return view(request, *args, **kwargs)


class ChangesMethod(RunsViews):
    """Makes a POST of what Django has routed already."""

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        request.method = "POST"


class FallsBack(RunsViews):
    """Answers a 404 by a view that no route leads to, as flatpages do."""

    def __call__(self, request: Any) -> Any:
        response = self.get_response(request)
        return refund(request) if response.status_code == 404 else response

    def process_view(self, request: Any, view: Any, args: Any, kwargs: Any) -> None:
        raise Http404


CASES = {
    "a middleware that runs the view": ("RunsViews", 0, "POST", "/refund"),
    "a middleware that changes the method": ("ChangesMethod", None, "GET", "/refund"),
    "a fallback of a 404": ("FallsBack", 0, "POST", "/nowhere"),
    "a view that calls another": (None, 0, "POST", "/caller"),
}


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("name", CASES)
def test_a_decorated_view_asks_whoever_calls_it(name: str, handler: str, tmp_path: Path) -> None:
    middleware, place, method, target = CASES[name]
    stack = list(settings.MIDDLEWARE)
    if middleware is not None:
        stack.insert(len(stack) if place is None else place, f"{HERE}.{middleware}")
    RAN.clear()
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=HERE, middleware=stack) as guard:
        assert send(handler, method, target).status_code == 403
        assert [(row.action_type, row.outcome) for row in rows(guard)] == [("refund", "deny")]
        assert RAN == []
