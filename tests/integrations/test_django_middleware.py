"""What the middleware leaves as it is, and what it refuses: CSRF, bodies, sessions, plain guards, both handlers."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.contrib.auth.models import User  # isort: skip
from django.db import connections  # isort: skip
from django.test import Client, RequestFactory, override_settings  # isort: skip

import supervisor_guards_django.users as users_of_us
from supervisor_guards_django import middleware
from tests.integrations.django_project import odd_views

ODD = "tests.integrations.django_project.odd_views"
POLICY = """
name: all
version: 1
action: [refund, upload]
rules:
  - id: cap
    when: payload.amount > 100
    action: deny
    reason: too-much
"""
ALLOW = """
name: all
version: 1
action: [refund, upload]
rules:
  - id: nobody
    when: request.user.id == 'banned'
    action: deny
    reason: banned
"""
HANDLERS = ["wsgi", "asgi"]
JSON = {"content-type": "application/json"}


def rule(route: str, *payload: str, action: str = "refund", **fields: Any) -> dict[str, Any]:
    return {"route": route, "action": action, **({"payload": list(payload)} if payload else {}), **fields}


def multipart(**fields: Any) -> tuple[bytes, dict[str, str]]:
    request = RequestFactory().post("/", fields)
    return request.body, {"content-type": request.META["CONTENT_TYPE"]}


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_forged_request_is_never_judged(handler: str, tmp_path: Path) -> None:
    with guarded(tmp_path, RULES=[rule("form", "form.amount:number")], policy=POLICY, root_urlconf=ODD) as guard:
        headers = {"content-type": "application/x-www-form-urlencoded"}
        answer = send(handler, "POST", "/form", b"amount=5", headers=headers, enforce_csrf_checks=True)
        assert answer.status_code == 403
        assert b"CSRF" in answer.content
        assert rows(guard) == []


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_view_may_change_its_upload_handlers_where_its_rule_leaves_the_body(
    mode: str, handler: str, tmp_path: Path
) -> None:
    from django.core.files.base import ContentFile

    body, headers = multipart(file=ContentFile(b"x" * 5_000, "a.txt"))
    rules = [rule("own-handlers", action="upload", body="none" if mode == "enforce" else "auto")]
    with guarded(tmp_path, mode, ALLOW, RULES=rules, root_urlconf=ODD, data_upload_max_memory_size=1_000) as guard:
        answer = send(handler, "POST", "/own-handlers", body, headers=headers)
        assert answer.json() == {"content": "x" * 5_000, "handled": True}
        assert [row.outcome for row in rows(guard)] == ["allow"]


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_an_upload_reaches_its_view_and_leaves_only_what_is_known_of_it(
    mode: str, handler: str, tmp_path: Path
) -> None:
    from django.core.files.base import ContentFile

    body, headers = multipart(amount="7", file=ContentFile(b"secret" * 1_000, "../../a.txt"))
    rules = [rule("upload", action="upload")]
    with guarded(tmp_path, mode, ALLOW, RULES=rules, root_urlconf=ODD, data_upload_max_memory_size=1_000) as guard:
        answer = send(handler, "POST", "/upload", body, headers=headers)
        assert answer.json()["content"] == "secret" * 1_000
        (row,) = rows(guard)
        payload = row.payload if isinstance(row.payload, dict) else json.loads(row.payload)
        assert payload["body"] == {"amount": "7"}
        assert payload["files"][0]["filename"] == "a.txt"
        assert payload["files"][0]["size"] == 6_000
        assert "secretsecret" not in json.dumps(payload)


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("path", ["/chunks", "/lines"])
def test_a_view_that_streams_its_body_gets_all_of_it(path: str, mode: str, handler: str, tmp_path: Path) -> None:
    body = b'{"amount": 5,\n "note": "' + b"x" * 4_000 + b'"}'
    rules = [rule(path.strip("/"), "body.amount")]
    with guarded(tmp_path, mode, POLICY, RULES=rules, root_urlconf=ODD) as guard:
        answer = send(handler, "POST", path, body, headers=JSON)
        if path == "/chunks":
            assert answer.json() == {"read": len(body)}
        else:
            assert answer.getvalue() == body
        (row,) = rows(guard)
        assert (row.would_have or row.outcome, row.reasons) == ("allow", ())


@pytest.mark.parametrize("handler", HANDLERS)
def test_what_django_calls_too_much_stays_with_django(handler: str, tmp_path: Path) -> None:
    body = b"amount=5&note=" + b"x" * 4_000
    headers = {"content-type": "application/x-www-form-urlencoded"}
    rules = [rule("form", "form.amount:number"), rule("whole", "path.nothing", action="upload")]
    with guarded(tmp_path, "enforce", ALLOW, RULES=rules, root_urlconf=ODD, data_upload_max_memory_size=1_000) as guard:
        assert send(handler, "POST", "/form", body, headers=headers).status_code == 400
        assert rows(guard) == []
        assert send(handler, "POST", "/whole", body, headers=JSON).status_code == 400
        assert [row.outcome for row in rows(guard)] == ["allow"]
    with guarded(tmp_path, "enforce", ALLOW, RULES=rules, root_urlconf=ODD, data_upload_max_number_fields=3) as guard:
        assert send(handler, "POST", "/form", b"a=1&b=2&c=3&d=4", headers=headers).status_code == 400
        assert send(handler, "POST", "/whole?a=1&b=2&c=3&d=4", b"{}", headers=JSON).status_code == 400
        assert len(rows(guard)) == 1


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("session", ["none", "ended", "signed in"])
def test_in_shadow_the_answer_is_the_same_to_the_header(session: str, handler: str, tmp_path: Path) -> None:
    cookies = _signed_in("reader").cookies if session == "signed in" else Client().cookies
    if session == "ended":
        cookies["sessionid"] = "x" * 32
    body, policy = b'{"amount": 500}', POLICY
    with guarded(tmp_path, "shadow", policy, RULES=[], root_urlconf=ODD):
        without = send(handler, "POST", "/whole", body, headers=JSON, cookies=cookies)
    with guarded(tmp_path, "shadow", policy, RULES=[rule("whole", "body.amount")], root_urlconf=ODD) as guard:
        answer = send(handler, "POST", "/whole", body, headers=JSON, cookies=cookies)
        (row,) = rows(guard)
    assert answer.content == without.content
    assert dict(answer.items()) == dict(without.items())
    assert answer.cookies.output() == without.cookies.output()
    assert (row.subject, row.would_have) == (_id("reader") if session == "signed in" else None, "deny")


@pytest.mark.parametrize("handler", HANDLERS)
def test_in_enforce_the_sender_is_the_session_s_user(handler: str, tmp_path: Path) -> None:
    cookies = _signed_in("sender").cookies
    with guarded(tmp_path, "enforce", POLICY, RULES=[rule("whole", "body.amount")], root_urlconf=ODD) as guard:
        send(handler, "POST", "/whole", b'{"amount": 5}', headers=JSON, cookies=cookies)
        send(handler, "POST", "/whole", b'{"amount": 5}', headers=JSON)
        assert [row.subject for row in rows(guard)] == [_id("sender"), None]


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_resolver_that_fails_refuses(handler: str, tmp_path: Path) -> None:
    values = {"RULES": [rule("whole", "body.amount")], "USER_RESOLVER": lambda request: "somebody"}
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=ODD, **values) as guard:
        answer = send(handler, "POST", "/whole", b'{"amount": 5}', headers=JSON)
        assert (answer.status_code, [row.reasons for row in rows(guard)]) == (400, [("payload-raised",)])


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("path", ["/inside/500", "/ainside/500"])
def test_a_plain_guard_inside_a_view_is_answered_like_a_rule(
    path: str, handler: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "ATOMIC_REQUESTS", path == "/inside/500")
    with guarded(tmp_path, "enforce", POLICY, RULES=[], root_urlconf=ODD) as guard:
        answer = send(handler, "POST", path)
        (row,) = rows(guard)
    assert not User.objects.filter(username="made-500").exists()  # rolled back, and our row is there
    assert (answer.status_code, answer["content-type"]) == (403, "application/problem+json")
    assert answer.json()["type"].endswith("/denied")
    assert (row.outcome, row.result) == ("deny", "not-run")
    assert row.route.startswith("POST /")
    assert row.route.endswith("inside/<int:amount>")


def test_a_browser_gets_a_page(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[rule("whole", "body.amount")], root_urlconf=ODD):
        answer = send("wsgi", "POST", "/whole", b'{"amount": 500}', headers={**JSON, "accept": "text/html"})
        assert answer["content-type"].startswith("text/html")
        assert b"not allowed" in answer.content


@pytest.mark.parametrize("route", ["shop:refund", "orders:refund", "POST /orders/<int:order_id>/refund", ODD + ".form"])
def test_a_rule_names_the_template_the_namespaces_or_the_view(route: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, RULES=[rule(route, "amount=path.order_id")], root_urlconf=ODD) as guard:
        assert send("wsgi", "POST", "/orders/500/refund").status_code == 403
        assert send("wsgi", "POST", "/orders/0050/refund").status_code == 200
        assert [row.route for row in rows(guard)] == ["POST /orders/<int:order_id>/refund"] * 2


@pytest.mark.parametrize("handler", HANDLERS)
def test_settings_are_live_between_requests(handler: str, tmp_path: Path) -> None:
    rules = [rule("whole", "body.amount")]
    for mode, status in (("shadow", 200), ("enforce", 403), ("shadow", 200)):
        with guarded(tmp_path, mode, POLICY, RULES=rules, root_urlconf=ODD):
            assert send(handler, "POST", "/whole", b'{"amount": 500}', headers=JSON).status_code == status


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_view_that_fails_is_noted_as_such(handler: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", ALLOW, RULES=[rule("broken", "path.x")], root_urlconf=ODD) as guard:
        assert send(handler, "POST", "/broken").status_code == 500
        assert [row.result for row in rows(guard)] == ["raised"]


def test_an_all_async_stack_changes_no_thread_for_us(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    judge = middleware._judge

    def noting(*args: Any) -> Any:
        judged.append(threading.get_ident())
        return judge(*args)

    monkeypatch.setattr(middleware, "_judge", noting)
    monkeypatch.setattr(users_of_us, "sync_to_async", None)
    odd_views.LOOP_THREADS.clear()
    with guarded(tmp_path, "enforce", ALLOW, RULES=[rule("loop", "user.id")], root_urlconf=ODD):
        assert send("asgi", "POST", "/loop").status_code == 200
    assert judged == odd_views.LOOP_THREADS == [threading.get_ident()]


def test_rules_that_cannot_be_read_refuse_in_enforce_and_not_in_shadow(tmp_path: Path) -> None:
    for mode, status in (("enforce", 400), ("shadow", 200)):
        with guarded(tmp_path, mode, POLICY, RULES=[{"route": "whole"}], root_urlconf=ODD):
            assert send("wsgi", "POST", "/whole", b"{}", headers=JSON).status_code == status
            assert send("wsgi", "GET", "/whole").status_code == 200


@pytest.mark.parametrize(("mode", "status"), [("enforce", 400), ("shadow", 200)])
def test_rules_under_a_misspelt_key_run_nothing_in_enforce(mode: str, status: int, tmp_path: Path) -> None:
    """Servers run no system checks, and which routes had rules can't be known."""
    with guarded(tmp_path, mode, POLICY, root_urlconf=ODD):
        values = {name: value for name, value in settings.SUPERVISOR_GUARDS.items() if name != "RULES"}
        with override_settings(SUPERVISOR_GUARDS={**values, "RULE": [{"route": "whole", "action": "refund"}]}):
            assert send("wsgi", "POST", "/whole", b"{}", headers=JSON).status_code == status
            assert send("wsgi", "GET", "/whole").status_code == 200


def _signed_in(name: str) -> Client:
    user, _ = User.objects.get_or_create(username=name)
    client = Client()
    client.force_login(user)
    return client


def _id(name: str) -> str:
    return str(User.objects.get(username=name).pk)
