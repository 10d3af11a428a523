"""In shadow an application answers as without a guard; and whatever happens, decisions belong to their request."""

from __future__ import annotations

import concurrent.futures
import json
import threading
from pathlib import Path
from typing import Any

import pytest
from flask import (
    Flask,
    Response,
    abort,
    copy_current_request_context,
    g,
    request,
    send_file,
    session,
    stream_with_context,
)
from itsdangerous import TimestampSigner

from supervisor_guards import Guard
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards_flask import SupervisorGuards, User, get_decision
from supervisor_guards_flask.signals import action_denied, action_evaluated, review_requested, review_resolved
from tests.engine import FakeSupervisor, rows, settings
from tests.integrations.flask_client import contract_app, guarded, guards, send

JSON = [("content-type", "application/json")]
POLICY = """
name: all
version: 1
action: export
rules:
  - id: never
    when: payload.get('amount') == -1
    action: deny
    reason: never
"""
RULES = [{"route": name, "action": "refund", "payload": ["query.amount:number"]} for name in (
    "plain", "stream", "context", "file", "error", "http_error", "session", "early", "late", "empty",
)]  # fmt: skip


def application(closed: list[str]) -> Flask:
    app = Flask("shadowed", static_folder=None)
    app.secret_key = "test"

    def parts() -> Any:
        try:
            yield b"one"
            yield b"two"
        finally:
            closed.append("parts")

    def early() -> Any:
        yield b"one"
        raise LookupError("in the middle")

    views: dict[str, Any] = {
        "plain": lambda: ("plain", 201, {"x-own": "1"}),
        "stream": lambda: Response(parts(), mimetype="text/event-stream"),
        "context": lambda: Response(stream_with_context(request.full_path for _ in range(2))),
        "file": lambda: send_file(__file__, mimetype="text/plain", conditional=True),
        "error": lambda: 1 / 0,
        "http_error": lambda: abort(418),
        "session": lambda: (session.update(x=1), "ok")[1],
        "early": lambda: Response(early()),
        "late": lambda: Response(iter([b""])),
        "empty": lambda: ("", 204),
    }
    for name, view in views.items():
        app.add_url_rule(f"/{name}", name, view, methods=["GET", "POST"])
    return app


def whole(app: Flask, method: str, path: str) -> tuple[Any, ...]:
    """Status, headers and bytes of an answer; an error in the middle of it too."""
    client = app.test_client()
    response = client.open(path, method=method)
    try:
        parts = [bytes(part) for part in response.response]  # type: ignore[union-attr]
    except LookupError as error:
        parts = [repr(error).encode()]
    finally:
        response.close()
    headers = [pair for pair in response.headers if pair[0] != "Date"]
    return response.status, headers, b"".join(parts)


def hanging(action: Any) -> Any:
    raise RuntimeError("the supervisor is broken")


@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "OPTIONS", "PUT"])
@pytest.mark.parametrize("supervisor", ["denies", "raises"])
@pytest.mark.parametrize("name", [rule["route"] for rule in RULES])
def test_answers_are_the_same_byte_for_byte(
    name: str, supervisor: str, method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A signed session carries the second at which it was signed.
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda signer: 1_700_000_000)
    closed: list[str] = []
    bare, app = application(closed), application(closed)
    app.config["SUPERVISOR_GUARDS"] = {"RULES": RULES}
    fake = FakeSupervisor(judge=hanging) if supervisor == "raises" else None
    guard = Guard(settings(tmp_path, "shadow"), fake)
    SupervisorGuards(app, guard=guard)
    try:
        assert whole(app, method, f"/{name}?amount=20000") == whole(bare, method, f"/{name}?amount=20000")
        assert len(closed) % 2 == 0
    finally:
        guard.close()


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("plain", "returned"), ("stream", "returned"), ("context", "returned"), ("file", "returned"),
        ("error", "raised"), ("http_error", "returned"), ("early", "raised"), ("late", "returned"),
        ("empty", "returned"),
    ],
)  # fmt: skip
def test_the_record_says_how_it_ended(name: str, result: str, mode: str, tmp_path: Path) -> None:
    app = application([])
    rule = {"route": name, "action": "export", "payload": ["query.amount:number"]}
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[rule])) as guard:
        whole(app, "GET", f"/{name}?amount=1")
        (row,) = rows(guard)
        assert row.result == result


@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_a_client_that_leaves_in_the_middle_is_recorded(mode: str, tmp_path: Path) -> None:
    """The server closes the answer then; until it does, the result is open."""
    closed: list[str] = []
    app = application(closed)
    rule = {"route": "stream", "action": "export", "payload": ["query.a"]}
    with guarded(app, guards(tmp_path, mode, POLICY, RULES=[rule])) as guard:
        response = app.test_client().get("/stream")
        parts = iter(response.response)
        assert next(parts) == b"one"
        (row,) = rows(guard)
        assert row.result is None
        response.close()
        assert closed == ["parts"]
        assert [row.result for row in rows(guard)] == ["raised"]


def test_an_error_that_nobody_handles_is_recorded(tmp_path: Path) -> None:
    """Also one that no handler is meant for, as a worker's timeout."""

    class Timeout(BaseException):
        pass

    def view() -> str:
        raise Timeout

    for mode in ("shadow", "enforce"):
        app = Flask("timeouts")
        app.add_url_rule("/", "view", view, methods=["POST"])
        rule = {"route": "view", "action": "export", "payload": ["query.a"]}
        with guarded(app, guards(tmp_path / mode, mode, POLICY, RULES=[rule])) as guard:
            with pytest.raises(Timeout):
                send(app, "POST", "/")
            assert [row.result for row in rows(guard)] == ["raised"]


def test_nested_requests_and_copied_contexts_have_nothing_of_it(tmp_path: Path) -> None:
    inner, outer = Flask("inner"), Flask("outer")
    seen: dict[str, Any] = {}

    @inner.post("/")
    def within() -> str:
        seen["inner"] = get_decision(request)
        return "inner"

    @outer.post("/")
    def around() -> str:
        g.supervisor_guards = "the application's own"
        inner.test_client().post("/").close()

        @copy_current_request_context
        def copied() -> None:
            seen["copied"] = get_decision(request)

        thread = threading.Thread(target=copied)
        thread.start()
        thread.join()
        decision = get_decision(request)
        seen["outer"] = decision and decision.action_type
        return "outer"

    rule = {"action": "export", "payload": ["query.a"]}
    with guarded(outer, guards(tmp_path / "outer", policy=POLICY, RULES=[{**rule, "route": "around"}])) as guard:
        assert send(outer, "POST", "/").text == "outer"
        assert seen == {"inner": None, "copied": None, "outer": "export"}
        with guarded(Flask("unused"), guards(tmp_path / "unused", RULES=[])):
            pass
        assert [row.result for row in rows(guard)] == ["returned"]


def test_an_application_inside_that_gets_the_environ_is_asked_anew(tmp_path: Path) -> None:
    ran: list[str] = []
    inner, outer = contract_app(ran), Flask("outer")

    @outer.post("/refunds/<order_id>")
    def forward(order_id: str) -> Any:
        return Response.from_app(inner, request.environ)

    with guarded(inner, guards(tmp_path / "inner")), guarded(outer, guards(tmp_path / "outer", RULES=[
        {"route": "forward", "action": "export", "payload": ["path.order_id"]}
    ])):  # fmt: skip
        assert send(outer, "POST", "/refunds/o-1", b'{"amount": 20000}', JSON).status_code == 403
        assert ran == []


def test_decisions_belong_to_their_requests(tmp_path: Path) -> None:
    app = Flask("mixed")
    app.add_url_rule("/<name>", "view", lambda name: get_decision(request).action_id, methods=["POST"])  # type: ignore[union-attr]
    rule = {"route": "view", "action": "export", "payload": ["path.name", "query.q"]}
    resolver = lambda request: User(request.headers["x-user"])  # noqa: E731
    with guarded(app, guards(tmp_path, policy=POLICY, RULES=[rule], USER_RESOLVER=resolver)) as guard:

        def ask(number: int) -> tuple[str, str]:
            answer = send(app, "POST", f"/n{number}?q={number}", headers=[("x-user", f"u{number}")])
            return answer.text, f"{number}"

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            asked = dict(pool.map(ask, range(300)))
        for row in rows(guard):
            number = asked[row.action_id]
            assert (row.subject, json.loads(row.payload)) == (f"u{number}", {"name": f"n{number}", "q": number})
        assert len(asked) == 300


def test_signals_tell_of_decisions_and_reviews(tmp_path: Path) -> None:
    """Once each, with the application; a receiver that raises changes nothing."""
    app, heard, ended = contract_app([]), list[tuple[str, str]](), threading.Event()

    def receiver(name: str) -> Any:
        def hear(sender: Flask, event: Any) -> None:
            assert sender is app
            heard.append((name, event.action_type))
            if name == "resolved":
                ended.set()
            raise RuntimeError("the receiver's own failure")

        return hear

    signals = {"evaluated": action_evaluated, "denied": action_denied, "review": review_requested,
               "resolved": review_resolved}  # fmt: skip
    receivers = {name: receiver(name) for name in signals}
    for name, signal in signals.items():
        signal.connect(receivers[name], app)
    with guarded(app, guards(tmp_path)) as guard:
        for amount, status in ((1, 200), (20_000, 403), (2_000, 403)):
            body = json.dumps({"amount": amount}).encode()
            answer = send(app, "POST", "/refunds/o-1", body, JSON)
            assert answer.status_code == status
        assert guard.flush()
        assert sorted(name for name, _ in heard) == ["denied", "evaluated", "evaluated", "evaluated", "review"]
        action_id = answer.json["instance"].rpartition(":")[2]  # type: ignore[index]
        ReviewDesk(guard.supervisor.store).resolve(action_id, "rejected", None, Principal("dana"))
        assert ended.wait(30)
        assert guard.stats().hook_errors == 0
