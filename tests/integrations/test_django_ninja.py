"""django-ninja: an operation is guarded by its method, with the sender its authentication found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.contrib.auth.models import User  # isort: skip

URLS = "tests.integrations.django_project.ninja_views"
POLICY = """
name: refunds
version: 1
action: [refund, refund.cancel]
rules:
  - id: cap
    when: payload.get('amount', 0) > 100
    action: deny
    reason: too-much
  - id: not-the-first
    when: payload.get('order_id') == 'o-1' and request.method == 'DELETE'
    action: deny
    reason: first-order-stays
"""
HEADERS = {"content-type": "application/json", "x-key": "agent"}
CANCEL = {
    "route": "DELETE /api/refunds/<order_id>",
    "action": "refund.cancel",
    "payload": ["path.order_id"],
}


@pytest.mark.parametrize("handler", ["wsgi", "asgi"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("path", ["/api/refunds/o-2", "/api/later", "/api/inside"])
def test_an_operation_is_asked_about_once(path: str, mode: str, handler: str, tmp_path: Path) -> None:
    resolver = "supervisor_guards_django.ninja.ninja_user"
    with guarded(tmp_path, mode, POLICY, RULES=[CANCEL], USER_RESOLVER=resolver, root_urlconf=URLS) as guard:
        answers = [send(handler, "POST", path, _amount(value), headers=HEADERS) for value in (5, 500)]
        assert [one.status_code for one in answers] == ([200, 403] if mode == "enforce" else [200, 200])
        assert answers[0].json() == {"refunded": 5}
        found = sorted((row.would_have or row.outcome, row.action_type, row.subject) for row in rows(guard))
    subject = str(User.objects.get(username="agent").pk) if "refunds" in path else None
    assert found == [("allow", "refund", subject), ("deny", "refund", subject)]
    if mode == "enforce":
        assert answers[1]["content-type"] == "application/problem+json"
        assert json.loads(answers[1].content)["type"].endswith("/denied")


def test_another_method_of_the_path_is_another_action(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[CANCEL], root_urlconf=URLS) as guard:
        assert send("wsgi", "DELETE", "/api/refunds/o-2", headers=HEADERS).status_code == 200
        assert send("wsgi", "DELETE", "/api/refunds/o-1", headers=HEADERS).status_code == 403
        assert {row.action_type for row in rows(guard)} == {"refund.cancel"}


def test_a_method_without_an_operation_is_no_action(tmp_path: Path) -> None:
    every = [{"route": f"/api/{name}", "action": "refund"} for name in ("refunds/<order_id>", "later", "inside")]
    with guarded(tmp_path, "enforce", POLICY, RULES=every, root_urlconf=URLS) as guard:
        for path in ("/api/refunds/o-1", "/api/later", "/api/inside"):
            assert send("wsgi", "PUT", path, _amount(500), headers=HEADERS).status_code == 405
        assert rows(guard) == []


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b'{"amount": "x"}', HEADERS, 422),
        (b'{"amount": 5}', {"content-type": "application/json"}, 401),
    ],
)
def test_what_ninja_refuses_is_never_judged(body: bytes, headers: Any, status: int, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=URLS) as guard:
        assert send("wsgi", "POST", "/api/refunds/o-2", body, headers=headers).status_code == status
        assert rows(guard) == []


def _amount(value: int) -> bytes:
    return json.dumps({"amount": value}).encode()
