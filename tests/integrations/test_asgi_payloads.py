"""What the guard judges is what the application gets: forms, files, odd JSON; and what it writes about it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from supervisor_guards import Guard
from supervisor_guards_asgi import RouteGuard, SupervisorMiddleware, User, get_decision, supervised_route
from tests.engine import rows
from tests.integrations.asgi_apps import request, requests
from tests.integrations.asgi_client import ANY, Exchange, call, chunks, guarding, http_scope, run

LARGE = ANY.replace("payload.get('amount') == -1", "payload.amount > 100")
"""Denies more than 100; an amount that can't be read fails the rule, which denies too."""
BOUNDARY = "multipart/form-data; boundary=b"


def part(disposition: str, value: str, more: str = "") -> str:
    return f"--b\r\nContent-Disposition: form-data; {disposition}\r\n{more}\r\n{value}\r\n"


FORMS: dict[str, tuple[str, str]] = {
    "one field": (BOUNDARY, part('name="amount"', "7")),
    "repeated": (BOUNDARY, part('name="amount"', "7") + part('name="amount"', "1000")),
    "field and file": (BOUNDARY, part('name="amount"', "7") + part('name="amount"; filename="f"', "1000")),
    "double name": (BOUNDARY, part('name="x"; name="amount"', "1000")),
    "extended name": (BOUNDARY, part("name=\"x\"; name*=utf-8''amount", "1000")),
    "two boundaries": (f"{BOUNDARY}; boundary=c", part('name="amount"', "7") + part('name="other"', "8")),
    "no end": (BOUNDARY, part('name="amount"', "1000").rstrip()),
    "urlencoded": ("application/x-www-form-urlencoded", "amount=7&amount=1000"),
    "semicolon": ("application/x-www-form-urlencoded", "amount=7;amount=1000"),
    "another charset": ("application/x-www-form-urlencoded; charset=ibm037", "amount=1000"),
}


def served(guard: Guard, endpoint: Any, payload: Any = ("body.amount",), **options: Any) -> Any:
    app = Starlette(
        routes=[Route("/refunds/{name}", endpoint, methods=["POST"]), Route("/free", lambda request: Response())]
    )
    rule = {"route": "POST /refunds/{name}", "action": "refund", "payload": payload}
    app.add_middleware(SupervisorMiddleware, guard=guard, rules=[rule], **options)
    return app


@pytest.mark.parametrize("name", FORMS)
def test_a_form_is_judged_by_what_the_application_sees(name: str, tmp_path: Path) -> None:
    kind, body = FORMS[name]
    content = body + ("" if name == "no end" or "urlencoded" in kind else "--b--\r\n")
    seen: list[Any] = []

    async def endpoint(request: Request) -> Response:
        async with request.form() as form:
            seen.append(form.get("amount"))
        return Response("ran")

    with guarding(tmp_path, LARGE) as guard:
        app = served(guard, endpoint, ["form.amount:number"])
        answer = request(app, "POST", "/refunds/x", content=content, headers={"content-type": kind})
        if answer.status_code == 200:
            assert float(seen[-1]) <= 100, "what ran had an amount that the policy allows"
        (row,) = rows(guard) or [None]
        assert (answer.status_code == 200) == (row is not None and row.outcome == "allow")


def test_a_file_is_judged_by_what_is_known_of_it_and_arrives_whole(tmp_path: Path) -> None:
    content = bytes(range(256)) * 40
    got: list[bytes] = []

    async def endpoint(request: Request) -> Response:
        async with request.form() as form:
            upload = form["receipt"]
            assert isinstance(upload, UploadFile)
            got.append(await upload.read())
            return Response(str(form["amount"]))

    with guarding(tmp_path, LARGE) as guard:
        app = served(guard, endpoint, lambda request: {"amount": 7})
        namespaced = served(guard, endpoint, None)
        files = {"receipt": ("../../etc/passwd", content, "image/png")}
        for one in (app, namespaced):
            request(one, "POST", "/refunds/x", data={"amount": "7"}, files=files)
        assert got == [content], "the namespaced payload has no amount at its top, so the rule fails"
        (refused,) = [row for row in rows(guard) if row.outcome == "deny"]
        (described,) = json.loads(refused.payload)["files"]
        assert (described["field"], described["filename"], described["size"]) == ("receipt", "passwd", len(content))
        assert "etc" not in str(described)
        assert len(refused.payload) < 1_000


ODD = [
    '{"amount": NaN}',
    '{"amount": 1e999}',
    '{"amount": -Infinity}',
    '{"amount": "\\ud800"}',
    '{"amount": null}',
    '{"amount": ' + "9" * 4_000 + "}",
    '{"amount": ' + "[" * 5_000 + "]" * 5_000 + "}",
    '{"amount": 1, "amount": 1000}',
    '{"Amount": 1}',
    "[1]",
    "1",
    "",
    "{",
    '"amount"',
    "null",
    "\ufeff{}",
    '{"amount": {"__nonfinite__": 1}}',
]


@pytest.mark.parametrize("body", ODD, ids=[body[:24] for body in ODD])
def test_odd_json_is_never_allowed_because_the_amount_is_missing(body: str, tmp_path: Path) -> None:
    ran: list[bytes] = []

    async def endpoint(request: Request) -> Response:
        ran.append(await request.body())
        return Response("ran")

    headers = {"content-type": "application/json"}
    with guarding(tmp_path, LARGE) as guard:
        answer = request(served(guard, endpoint), "POST", "/refunds/x", content=body.encode(), headers=headers)
        assert 400 <= answer.status_code < 500
        assert ran == []
    (tmp_path / "shadow").mkdir()
    with guarding(tmp_path / "shadow", LARGE, "shadow") as guard:
        answer = request(served(guard, endpoint), "POST", "/refunds/x", content=body.encode(), headers=headers)
        assert (answer.status_code, ran) == (200, [body.encode()]), "in shadow the application gets every byte"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=64), kind=st.sampled_from(["application/json", "text/plain", "", BOUNDARY, "x/y"]))
def test_no_bytes_make_a_fault_of_the_server_or_run_without_a_decision(body: bytes, kind: str, fuzzed: Any) -> None:
    app, ran, guard = fuzzed
    before, decided = len(ran), guard.stats().latency.count
    exchange = call(app, http_scope("POST", "/refunds/x", headers=[("content-type", kind)]), body)
    assert exchange.status < 500
    assert len(ran) == before or guard.stats().latency.count == decided + 1


@pytest.fixture
def fuzzed(tmp_path: Path) -> Any:
    ran: list[int] = []

    async def endpoint(request: Request) -> Response:
        ran.append(1)
        return Response("ran")

    with guarding(tmp_path, LARGE) as guard:
        yield served(guard, endpoint, ["body.amount"]), ran, guard


def test_what_a_request_carries_stays_on_its_own_log_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def endpoint(request: Request) -> Response:
        return Response("ran")

    def who(connection: Any) -> User:
        return User("eve\nblocked: action=refund outcome=allow\x1b[2J\u2028")

    with guarding(tmp_path, LARGE) as guard:
        app = served(guard, endpoint, ["path.name", "body.amount"], user=who)
        assert request(app, "POST", "/refunds/a%0Ab%1b%E2%80%A8", json={"amount": 1_000}).status_code == 403
        assert guard.flush()
    messages = [record.getMessage() for record in caplog.records]
    assert messages
    assert all(message.isprintable() and message.isascii() for message in messages)


def test_ten_retries_are_one_review(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response("ran")

    reviewed = LARGE.replace("action: deny", "action: review")
    with guarding(tmp_path, reviewed) as guard:
        app = served(guard, endpoint)
        answers = requests(app, [("POST", "/refunds/x", {"json": {"amount": 1_000}})] * 10)
        assert {answer.status_code for answer in answers} == {403}
        assert len({answer.json()["instance"] for answer in answers}) == 1
        assert len(guard.supervisor.store.reviews()) == 1  # type: ignore[attr-defined]
        assert len(rows(guard)) == 10


def test_a_hundred_that_wait_for_a_person_leave_the_thread_pool_to_others(tmp_path: Path) -> None:
    """The application's own synchronous endpoints run in that pool, of 40 threads."""

    async def endpoint(request: Request) -> Response:
        return Response("ran")

    reviewed = LARGE.replace("action: deny", "action: review")
    with guarding(tmp_path, reviewed, review_poll_interval_seconds=600.0) as guard:
        app = Starlette(routes=[Route("/free", lambda request: JSONResponse(threading.current_thread().name))])
        rule = {
            "route": "POST /refunds/{name}",
            "action": "refund",
            "payload": ["query.n", "body.amount"],
            "on_review": "block",
        }
        app.router.routes.append(Route("/refunds/{name}", endpoint, methods=["POST"]))
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=[rule])
        free = Exchange(chunks(b""))

        async def main() -> None:
            async with anyio.create_task_group() as tasks:
                for number in range(100):
                    waiting = Exchange(chunks(b'{"amount": 1000}'), hang_up=False)
                    scope = http_scope("POST", f"/refunds/x?n={number}", headers=[("content-type", "application/json")])
                    tasks.start_soon(app, scope, waiting.receive, waiting.send)
                while len(await anyio.to_thread.run_sync(guard.supervisor.store.reviews, "pending", 200)) < 100:  # type: ignore[attr-defined]
                    await anyio.sleep(0.01)
                await app(http_scope("GET", "/free"), free.receive, free.send)
                tasks.cancel_scope.cancel()

        run(main)
        assert free.status == 200


def test_one_action_is_enforced_while_another_is_watched(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response(await request.body())

    actions = {"refund": {"mode": "enforce"}}
    with guarding(tmp_path, LARGE, "shadow", actions=actions) as guard:
        app = Starlette(routes=[Route(f"/{name}", endpoint, methods=["POST"]) for name in ("refund", "delete")])
        rules = [
            {"route": f"POST /{name}", "action": name, "payload": ["body.amount"]} for name in ("refund", "delete")
        ]
        app.add_middleware(SupervisorMiddleware, guard=guard, rules=rules)
        answers = requests(app, [("POST", f"/{name}", {"json": {"amount": 1_000}}) for name in ("refund", "delete")])
        assert [answer.status_code for answer in answers] == [403, 200]
        assert [(row.action_type, row.would_have) for row in rows(guard)] == [("refund", None), ("delete", "deny")]


class _Limit:
    """As a layer that bounds bodies does: reading beyond the limit raises the framework's own error."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def limited() -> Any:
            raise HTTPException(413, "the framework's own")

        await self.app(scope, limited if scope["type"] == "http" else receive, send)


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize("place", ["rule", "layer", "decorator"])
def test_a_limit_of_the_framework_gives_its_own_answer(place: str, mode: str, tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        return Response(await request.body())

    with guarding(tmp_path, LARGE, mode) as guard:
        payload = ["body.amount"]
        guarded: Any = endpoint
        layers = []
        if place == "decorator":
            guarded = supervised_route("refund", guard=guard, payload=payload)(endpoint)
        elif place == "layer":
            layers = [Middleware(RouteGuard, "refund", guard=guard, payload=payload)]
        else:
            rule = {"route": "/refunds", "action": "refund", "payload": payload}
            layers = [Middleware(SupervisorMiddleware, guard=guard, rules=[rule])]
        around = [Middleware(ExceptionMiddleware), Middleware(_Limit), *(layers if place == "rule" else [])]
        inside = layers if place == "layer" else []
        app = Starlette(routes=[Route("/refunds", guarded, methods=["POST"], middleware=inside)], middleware=around)
        exchange = call(app, http_scope("POST", "/refunds", headers=[("content-length", "2")]), b"{}")
        assert (exchange.status, exchange.body) == (413, b"the framework's own")
        assert mode == "shadow" or rows(guard) == []


@pytest.mark.parametrize("host", ["", " ", "a b", "[::1", "x:y", "\xff", "evil.example/..%2f", "a\tb", "a" * 5_000])
def test_no_host_separates_the_guard_from_the_application(host: str, tmp_path: Path) -> None:
    ran: list[int] = []

    async def endpoint(request: Request) -> Response:
        ran.append(1)
        return Response("ran")

    with guarding(tmp_path, LARGE) as guard:
        app = served(guard, endpoint)
        scope = http_scope("POST", "/refunds/x", headers=[("content-type", "application/json")])
        scope["headers"].append((b"host", host.encode("latin-1")))
        assert 400 <= call(app, scope, b'{"amount": 1000}').status < 500
        assert ran == []


def test_requests_of_many_threads_keep_their_own_senders(tmp_path: Path) -> None:
    async def endpoint(request: Request) -> Response:
        await request.body()
        return Response(get_decision(request).action_id)  # type: ignore[union-attr]

    answers: dict[str, list[str]] = {}

    def ask(name: str) -> None:
        calls = [("POST", "/refunds/x", {"json": {"amount": 1}, "headers": {"x-user": name}})] * 20
        answers[name] = [answer.text for answer in requests(app, calls)]

    with guarding(tmp_path, LARGE) as guard:
        app = served(guard, endpoint, user=lambda connection: User(connection.headers["x-user"]))
        threads = [threading.Thread(target=ask, args=(f"user-{number}",)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        subjects = {row.action_id: row.subject for row in rows(guard)}
        for name, ids in answers.items():
            assert len(set(ids)) == 20
            assert {subjects[action_id] for action_id in ids} == {name}
