"""Ways to run a guarded view without a decision: steering views, translated routes, forwards, batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.http import HttpResponse  # isort: skip
from django.test import RequestFactory, override_settings  # isort: skip

from supervisor_guards import ConfigurationError
from supervisor_guards_django.decorators import SupervisedMixin, supervised_view
from supervisor_guards_django.routes import audit
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


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("name", sly_views.STEERED)
def test_a_view_that_steers_itself_is_asked_about(name: str, handler: str, tmp_path: Path) -> None:
    rules = [] if name.startswith(("guarded", "mixed")) else ruled(f"/{name}")
    with guarded(tmp_path, "enforce", DENY, RULES=rules, root_urlconf=SLY) as guard:
        answer = send(handler, "POST", f"/{name}?_method=DELETE")
        assert (answer.status_code, sly_views.RAN) == (403, [])
        assert [row.outcome for row in rows(guard)] == ["deny"]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("OPTIONS", "/options"), ("POST", "/stream"), ("POST", "/numbers/7/"), ("POST", "/numbers/7/x/"),
        ("POST", "/numbers/\u0667/"), ("POST", "/deep/5/b"),
    ],
)  # fmt: skip
def test_no_kind_of_route_or_answer_is_left_out(method: str, path: str, handler: str, tmp_path: Path) -> None:
    rules = ruled("options", "stream", r"/numbers/(\d+)/(?:x/)?$", r"/deep/(?P<a>\d+)/<str:b>")
    with guarded(tmp_path, "enforce", DENY, RULES=rules, root_urlconf=SLY) as guard:
        answer = send(handler, method, path)
        assert (answer.status_code, sly_views.RAN) == (403, [])
        assert len(rows(guard)) == 1


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(("method", "path"), [("POST", "/delete"), ("OPTIONS", "/delete"), ("GET", "/posted")])
def test_what_django_answers_by_itself_is_not_asked_about(method: str, path: str, handler: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", DENY, RULES=ruled("delete", "posted"), root_urlconf=SLY) as guard:
        assert send(handler, method, path).status_code == (200 if method == "OPTIONS" else 405)
        assert (sly_views.RAN, rows(guard)) == ([], [])


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    ("language", "paths"), [("en", ["/en/orders/7", "/refunds/"]), ("de", ["/de/orders/7", "/erstattungen"])]
)
def test_no_language_gets_around_a_template(language: str, paths: list[str], handler: str, tmp_path: Path) -> None:
    middleware = ["django.middleware.locale.LocaleMiddleware", *settings.MIDDLEWARE]
    rules = ruled("POST /orders/<int:order_id>", "POST /refunds")
    with (
        override_settings(LANGUAGES=[("en", "English"), ("de", "German")], LANGUAGE_CODE="en"),
        guarded(tmp_path, "enforce", DENY, RULES=rules, root_urlconf=SLY, middleware=middleware) as guard,
    ):
        assert audit().rules_without_route == ()
        for path in paths:
            answer = send(handler, "POST", path.rstrip("/"), headers={"accept-language": language})
            assert (answer.status_code, sly_views.RAN) == (403, []), path
        assert [row.route for row in rows(guard)] == ["POST /orders/<int:order_id>", "POST /refunds"]


@pytest.mark.parametrize("ruled_too", [False, True])
def test_a_request_sent_on_to_another_view_is_judged_again(ruled_too: bool, tmp_path: Path) -> None:
    rules = ruled("target") + ([{"route": "forwarding", "action": "other"}] if ruled_too else [])
    others = DENY.replace("none", "other").replace("act\n", "other\n").replace(": deny\nr", ": allow\nr")
    policy = f"{DENY}---\n{others}"
    with guarded(tmp_path, "enforce", policy, RULES=rules, root_urlconf=SLY) as guard:
        assert send("wsgi", "POST", "/forwarding").status_code == 403
        assert sly_views.RAN == []
        wanted = [("act", "deny", "not-run")]
        if ruled_too:
            wanted.append(("other", "allow", "returned"))
        assert sorted((row.action_type, row.outcome, row.result) for row in rows(guard)) == wanted


def test_a_batch_asks_for_each(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", DENY.replace("default: deny", "default: allow"), RULES=[], root_urlconf=SLY) as g:
        assert send("wsgi", "POST", "/batch").status_code == 200
        assert (sly_views.RAN, len(rows(g))) == (["guarded"] * 2, 2)


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_guarded_error_page_asks_too(handler: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", DENY, RULES=[], root_urlconf=SLY) as guard:
        assert send(handler, "POST", "/nowhere").status_code == 403
        assert (sly_views.RAN, len(rows(guard))) == ([], 1)


def test_an_action_of_the_admin_is_guarded_like_a_view(tmp_path: Path) -> None:
    @supervised_view("act")
    def delete_selected(modeladmin: Any, request: Any, queryset: Any) -> HttpResponse:
        return sly_views.ran("deleted")

    request = RequestFactory().post("/")
    request.resolver_match = None
    with guarded(tmp_path, "enforce", DENY, RULES=[], root_urlconf=SLY) as guard:
        assert delete_selected(object(), request, None).status_code == 403
        assert (sly_views.RAN, [row.action_type for row in rows(guard)]) == ([], ["act"])


def test_a_mixin_that_would_never_be_called_is_refused() -> None:
    from django.views import View
    from rest_framework.views import APIView

    from supervisor_guards_django.rest_framework import SupervisedMixin as RestMixin

    for base, mixin in ((View, SupervisedMixin), (APIView, RestMixin)):
        with pytest.raises(ConfigurationError, match="before"):
            type("Refund", (base, mixin), {"supervised_action": "act"})
