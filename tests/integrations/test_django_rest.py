"""Django REST framework: asked once, inside the view, about its user and its data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.contrib.auth.models import User  # isort: skip
from django.core.files.base import ContentFile  # isort: skip
from django.db import connections  # isort: skip
from django.test import override_settings  # isort: skip
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart  # isort: skip

from tests.integrations.django_project import rest_views

URLS = "tests.integrations.django_project.rest_views"
POLICY = """
name: refunds
version: 1
action: [refund, refund.cancel]
rules:
  - id: cap
    when: payload.amount > 100
    action: deny
    reason: too-much
  - id: look
    when: payload.amount > 50
    action: review
    reason: a-look
"""
JSON = {"content-type": "application/json"}
VIEWS = ["/refund", "/refunds", "/permitted"]
TOKEN = {**JSON, "x-token": "agent"}


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("ruled", [False, True], ids=["alone", "with a rule of the same action"])
@pytest.mark.parametrize("path", VIEWS)
def test_a_view_asks_once_with_its_user_and_data(
    path: str, ruled: bool, mode: str, handler: str, tmp_path: Path
) -> None:
    rules: list[Any] = [{"route": f"POST {path}", "action": "refund", "payload": ["body.amount"]}] if ruled else []
    with guarded(tmp_path, mode, POLICY, RULES=rules, root_urlconf=URLS) as guard:
        statuses = [send(handler, "POST", path, _amount(n), headers=TOKEN).status_code for n in (5, 70, 500)]
        assert statuses == ([200, 403, 403] if mode == "enforce" else [200, 200, 200])
        found = sorted((row.would_have or row.outcome, row.subject, row.route) for row in rows(guard))
    subject = str(User.objects.get(username="agent").pk)
    assert found == [(verdict, subject, f"POST {path}") for verdict in ("allow", "deny", "review")]


@pytest.mark.parametrize("path", VIEWS)
def test_a_refusal_is_a_problem(path: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        answer = send("wsgi", "POST", path, _amount(500), headers=TOKEN)
        (row,) = rows(guard)
    assert (answer.status_code, answer["content-type"]) == (403, "application/problem+json")
    assert answer["cache-control"] == "no-store"
    problem = json.loads(answer.content)
    assert problem["type"].endswith("/denied")
    assert (problem["status"], problem["action"]) == (403, "refund")
    assert row.action_id in problem["instance"]
    assert row.result == "not-run"


@pytest.mark.parametrize("path", VIEWS)
@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"amount": ', TOKEN, 400),
        (b"<amount/>", {**TOKEN, "content-type": "application/xml"}, 415),
        (b'{"amount": 5}', {**TOKEN, "x-token": "wrong"}, 403),
    ],
)
def test_what_the_framework_refuses_is_never_judged(
    path: str, body: bytes, headers: dict[str, str], status: int, tmp_path: Path
) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "POST", path, body, headers=headers).status_code == status
        assert rows(guard) == []


@pytest.mark.parametrize("path", ["/refunds", "/permitted"])
def test_the_browsable_api_asks_about_nothing_it_only_offers(path: str, tmp_path: Path) -> None:
    templates = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
    with (
        guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS, templates=templates) as guard,
        override_settings(STATIC_URL="/static/"),
    ):
        answer = send("wsgi", "GET", path, headers={"accept": "text/html", "x-token": "agent"})
        assert answer["content-type"].startswith("text/html")
        assert len(rows(guard)) == (0 if path == "/refunds" else 1)
        assert send("wsgi", "OPTIONS", path, headers=TOKEN).status_code == 200
        assert len(rows(guard)) == (0 if path == "/refunds" else 1)


def test_a_project_s_exception_handler_answers(tmp_path: Path) -> None:
    rest_views.HANDLED.clear()
    with (
        guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS),
        override_settings(REST_FRAMEWORK={"EXCEPTION_HANDLER": f"{URLS}.handler"}),
    ):
        answer = send("wsgi", "POST", "/refund", _amount(70), headers=TOKEN)
    assert (answer.status_code, answer.json()) == (403, {"own": "approval-required"})
    assert [type(error).__name__ for error in rest_views.HANDLED] == ["Refused"]


def test_another_action_of_a_view_set_is_another_action(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "DELETE", "/refunds", _amount(500), headers=TOKEN).status_code == 403
        assert send("wsgi", "GET", "/refunds", headers=TOKEN).status_code == 200
        assert [row.action_type for row in rows(guard)] == ["refund.cancel"]


def test_an_upload_by_put_is_judged_and_arrives(tmp_path: Path) -> None:
    body = encode_multipart(BOUNDARY, {"amount": "7", "file": ContentFile(b"x" * 5_000, "a.txt")})
    headers = {"x-token": "agent", "content-type": MULTIPART_CONTENT}
    policy = POLICY.replace("payload.amount", "float(payload.amount)")
    with guarded(tmp_path, "enforce", policy, RULES=[], root_urlconf=URLS, data_upload_max_memory_size=1_000) as guard:
        answer = send("wsgi", "PUT", "/refund", body, headers=headers)
        assert answer.json()["file"] == "x" * 5_000
        assert [(row.outcome, row.result) for row in rows(guard)] == [("allow", "returned")]


def test_a_review_s_row_outlives_the_request_s_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", True)
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        for path in VIEWS:
            assert send("wsgi", "POST", path, _amount(70), headers=TOKEN).status_code == 403
        assert {(row.outcome, row.action_type) for row in rows(guard)} == {("review", "refund")}


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_view_that_fails_is_noted_as_such(mode: str, tmp_path: Path) -> None:
    with guarded(tmp_path, mode, POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "POST", "/failing", _amount(5), headers=JSON).status_code == 500
        assert [row.result for row in rows(guard)] == ["raised"]


def _amount(value: int) -> bytes:
    return json.dumps({"amount": value}).encode()
