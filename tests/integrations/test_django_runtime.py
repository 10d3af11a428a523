"""Threads, mixed stacks, several actions of one request, answers and log lines that give nothing away."""

from __future__ import annotations

import gc
import json
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards.errors import SupervisorBlocked
from supervisor_guards.web import User
from tests.engine import rows
from tests.integrations.django_client import guarded, send

from django.conf import settings  # isort: skip
from django.http import HttpResponse  # isort: skip
from django.test import RequestFactory  # isort: skip

import asgiref.sync
from asgiref.sync import iscoroutinefunction

from supervisor_guards_django.middleware import SupervisorMiddleware
from tests.integrations.django_project import odd_views

ODD = "tests.integrations.django_project.odd_views"
HERE = __name__
OURS = "supervisor_guards_django.middleware.SupervisorMiddleware"
POLICY = """
name: all
version: 1
action: refund
rules:
  - id: cap
    when: payload.get('amount', 0) > 100
    action: deny
    reason: too-much
"""
CAP = """
name: {action}
version: 1
action: {action}
rules:
  - {{id: cap, when: payload.amount > {cap}, action: deny, reason: too-much}}
"""
JSON = {"content-type": "application/json"}
HANDLERS = ["wsgi", "asgi"]


def rule(route: str, *payload: str, action: str = "refund", **fields: Any) -> dict[str, Any]:
    return {"route": route, "action": action, **({"payload": list(payload)} if payload else {}), **fields}


def by_header(request: Any) -> User:
    return User(id=request.headers["x-user"])


async def aby_header(request: Any) -> User:
    return by_header(request)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_requests_of_many_threads_keep_their_senders_and_payloads_apart(mode: str, tmp_path: Path) -> None:
    together = threading.Barrier(32)
    values = {"RULES": [rule("whole", "body.amount", "body.tag")], "USER_RESOLVER": by_header}

    def many(number: int) -> list[int]:
        together.wait(60)
        found = []
        for turn in range(12):
            amount, tag = (500 if turn % 3 == 0 else 5), f"{number}-{turn}"
            body = json.dumps({"amount": amount, "tag": tag}).encode()
            path = "/whole" if turn % 4 else "/nowhere"
            found.append(send("wsgi", "POST", path, body, headers={**JSON, "x-user": f"u-{number}"}).status_code)
        return found

    with guarded(tmp_path, mode, POLICY, root_urlconf=ODD, **values) as guard, ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(many, range(32)))
        found = rows(guard)
    denied = 403 if mode == "enforce" else 200
    assert answers == [[404, 200, 200, denied, 404, 200, denied, 200, 404, denied, 200, 200]] * 32
    assert len(found) == 32 * 9
    for row in found:
        payload = json.loads(row.payload or "")
        assert row.subject == "u-" + payload["tag"].partition("-")[0]
        assert (row.would_have or row.outcome) == ("deny" if payload["amount"] > 100 else "allow")


class InThreads:
    """A middleware that knows threads only."""

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        return self.get_response(request)


@pytest.mark.parametrize("resolver", [None, by_header, aby_header])
@pytest.mark.parametrize("place", ["outermost", "before ours", "after ours"])
@pytest.mark.parametrize("path", ["/whole", "/loop"])
def test_a_stack_of_threads_and_loop_is_guarded_alike(path: str, place: str, resolver: Any, tmp_path: Path) -> None:
    middleware = list(settings.MIDDLEWARE)
    ours = middleware.index(OURS)
    middleware.insert({"outermost": 0, "before ours": ours, "after ours": ours + 1}[place], f"{HERE}.InThreads")
    values = {"RULES": [rule(path, "body.amount")], "USER_RESOLVER": resolver}
    headers = {**JSON, "x-user": "u-1"}
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=ODD, middleware=middleware, **values) as guard:
        statuses = [
            send("asgi", "POST", path, b'{"amount": %d}' % amount, headers=headers).status_code for amount in (5, 500)
        ]
        found = rows(guard)
    # A coroutine can't be awaited where the middleware runs in a thread, between two that know threads only.
    unusable = resolver is aby_header and place == "after ours"
    assert statuses == ([400, 400] if unusable else [200, 403])
    assert {row.subject for row in found} == {None if resolver is None or unusable else "u-1"}


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_an_async_stack_changes_threads_no_more_often_than_without_us(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[Any] = []
    call = asgiref.sync.SyncToAsync.__call__

    def counting(self: Any, *args: Any, **kwargs: Any) -> Any:
        changes.append(self)
        return call(self, *args, **kwargs)

    monkeypatch.setattr(asgiref.sync.SyncToAsync, "__call__", counting)
    counts = []
    for middleware in ([], [OURS]):
        values = {"RULES": [rule("loop", "body.amount")]}
        with guarded(tmp_path, mode, POLICY, root_urlconf=ODD, middleware=middleware, **values):
            changes.clear()
            assert send("asgi", "POST", "/loop", b'{"amount": 5}', headers=JSON).status_code == 200
            counts.append(len(changes))
    assert counts[0] == counts[1]


def test_each_stack_gets_a_process_view_of_its_own_kind() -> None:
    async def on_the_loop(request: Any) -> Any: ...

    one, other = SupervisorMiddleware(on_the_loop), SupervisorMiddleware(lambda request: None)
    assert [iscoroutinefunction(found) for found in (one, one.process_view)] == [True, True]
    assert [iscoroutinefunction(found) for found in (other, other.process_view)] == [False, False]
    assert (SupervisorMiddleware.sync_capable, SupervisorMiddleware.async_capable) == (True, True)


def test_what_outlives_its_request_is_guarded_still(tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=ODD, RULES=[]) as guard:
        odd_views.CONTEXTS.clear()
        assert send("wsgi", "POST", "/leaving").status_code == 200
        (context,) = odd_views.CONTEXTS
        gc.collect()
        assert context.run(odd_views.refund, 5) == "refunded 5"
        with pytest.raises(SupervisorBlocked):
            context.run(odd_views.refund, 500)
        found = sorted((row.outcome, row.route, row.subject) for row in rows(guard))
        assert found == [("allow", "?", None), ("deny", "?", None)]


def test_a_request_is_free_as_soon_as_it_is_answered(tmp_path: Path) -> None:
    with guarded(tmp_path, "shadow", POLICY, root_urlconf=ODD, RULES=[rule("loop", "body.amount")]):
        middleware = SupervisorMiddleware(lambda request: HttpResponse())
        request = RequestFactory().get("/nowhere")
        seen = weakref.ref(request)
        gc.disable()
        try:
            middleware(request)
            del request
            assert seen() is None
        finally:
            gc.enable()


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("refused", ["refund", "refund.large"])
def test_two_actions_of_one_route_both_ask_and_either_refuses(refused: str, handler: str, tmp_path: Path) -> None:
    other = {"refund": "refund.large", "refund.large": "refund"}[refused]
    policy = CAP.format(action=refused, cap=100) + "---" + CAP.format(action=other, cap=900)
    rules = [rule("whole", "body.amount"), rule("whole", "body.amount", action="refund.large")]
    with guarded(tmp_path, "enforce", policy, root_urlconf=ODD, RULES=rules) as guard:
        assert send(handler, "POST", "/whole", b'{"amount": 5}', headers=JSON).status_code == 200
        assert sorted(row.action_type for row in rows(guard)) == ["refund", "refund.large"]
        assert send(handler, "POST", "/whole", b'{"amount": 500}', headers=JSON).status_code == 403
        later = [(row.action_type, row.outcome, row.result) for row in rows(guard)][2:]
    assert (refused, "deny", "not-run") in later
    assert all(result == "not-run" for _, _, result in later)


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("method", ["POST", "HEAD"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_a_refusal_tells_nothing_of_what_was_sent(accept: str, method: str, handler: str, tmp_path: Path) -> None:
    rules = [rule("whole", "amount=query.amount:integer", "query.note", "header.x-note")]
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=ODD, RULES=rules):
        headers = {"accept": accept, "x-note": "hush-hush"}
        answer = send(handler, method, "/whole?amount=500&note=hush-hush", headers=headers)
    assert (answer.status_code, answer["cache-control"]) == (403, "no-store")
    assert b"hush" not in answer.content
    assert b"cap" not in answer.content  # which rule it was is the policy's own
    assert "hush" not in str(dict(answer.items()))
    if method == "HEAD":
        assert answer.content == b""
    elif accept == "application/json":
        assert set(answer.json()) <= {"type", "title", "status", "instance", "action", "detail"}


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize("text", ["%0Aforged: line", "%1b[31m", "%E2%80%A8", "%00"])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_nothing_sent_breaks_a_log_line(
    mode: str, text: str, handler: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def named(request: Any) -> User:
        return User(id=request.GET["x"])

    values = {"RULES": [rule("whole", "amount=query.amount:integer")], "USER_RESOLVER": named}
    with guarded(tmp_path, mode, POLICY, root_urlconf=ODD, **values) as guard:
        send(handler, "POST", f"/whole?amount=500&x={text}")
        assert len(rows(guard)) == 1
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("supervisor_guards")]
    assert len(ours) == 1
    assert all(character.isprintable() for character in ours[0])


@pytest.mark.parametrize("handler", HANDLERS)
@pytest.mark.parametrize(
    "name",
    [
        "supervisor-approval", "x-supervisor-mode", "supervisor-force-shadow", "x-middleware-subrequest",
        "x-forwarded-prefix", "x-http-method-override", "x-internal", "user-agent",
    ],
)  # fmt: skip
@pytest.mark.parametrize("value", ["", "shadow", "allow", "GET", "a,b,c,d,e", "*", "\x7f", "x" * 5_000])
def test_no_header_of_a_client_switches_the_guard_off(name: str, value: str, handler: str, tmp_path: Path) -> None:
    with guarded(tmp_path, "enforce", POLICY, root_urlconf=ODD, RULES=[rule("whole", "body.amount")]):
        answer = send(handler, "POST", "/whole", b'{"amount": 500}', headers={**JSON, name: value})
        assert answer.status_code in (400, 403)
