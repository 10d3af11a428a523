"""Refusals as responses or as exceptions for error handlers, approvals that are sent again, senders."""

from __future__ import annotations

import concurrent.futures
import json
from pathlib import Path
from typing import Any

import flask_login
import pytest
from flask import Flask, jsonify, request, session
from werkzeug.exceptions import Forbidden, HTTPException

from supervisor_guards import SupervisorBlocked, supervised
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards_flask import Refused, User, review_status
from tests.engine import rows
from tests.integrations import contract
from tests.integrations.flask_client import contract_app, guarded, guards, send

JSON = [("content-type", "application/json")]
STATUSES = {"denied": 403, "approval-required": 403, "ambiguous-payload": 400, "payload-too-large": 413,
            "unsupported-type": 415, "payload-unusable": 400}  # fmt: skip
REFUSED = [case for case in contract.SUBJECTS["Outcomes"] if case.problem in STATUSES and case.method == "POST"]


def who(request: Any) -> User | None:
    name = request.headers.get("x-user")
    return User(name) if name else None


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_a_handler_for_all_errors_leaves_answers_alone(case: contract.Case, tmp_path: Path) -> None:
    app = contract_app([])
    app.register_error_handler(HTTPException, lambda error: (jsonify(error=error.name), error.code))
    with guarded(app, guards(tmp_path)):
        answer = send(app, case.method, case.path, case.body, case.headers)
        assert answer.content_type == "application/problem+json"
        assert answer.json["type"].endswith("/" + str(case.problem))  # type: ignore[index]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.name)
def test_or_gets_them_where_the_settings_say_so(case: contract.Case, tmp_path: Path) -> None:
    """As Werkzeug's own exceptions, by status or class; without a handler the answer is what it was."""
    app, handled = contract_app([]), list[Any]()

    def handler(error: HTTPException) -> Any:
        handled.append(error)
        return jsonify(error=error.name), error.code

    with guarded(app, guards(tmp_path, RAISE_ERRORS=True)):
        bare = send(app, case.method, case.path, case.body, case.headers)
        assert (bare.status_code, bare.content_type) == (case.status, "application/problem+json")
        assert bare.headers["Cache-Control"] == "no-store"
        app.error_handler_spec[None][None][HTTPException] = handler
        answer = send(app, case.method, case.path, case.body, case.headers)
    (error,) = handled
    assert (answer.status_code, answer.json) == (case.status, {"error": error.name})
    assert isinstance(error, Refused)
    assert error.refusal.status == case.status
    assert not any(reason in (error.description or "") for reason in case.reasons)
    if case.status == 403:
        assert isinstance(error, Forbidden)


@pytest.mark.parametrize("raised", [False, True])
def test_what_a_plain_guard_refuses_inside_a_view_is_answered_alike(raised: bool, tmp_path: Path) -> None:
    app = Flask("inside")

    @supervised("refund")
    def pay(amount: int, order_id: str) -> str:
        return "paid"

    @app.post("/pay/<int:amount>")
    async def view(amount: int) -> str:
        return pay(amount, order_id="o-1")

    if raised:
        app.register_error_handler(403, lambda error: ("the application's own", 403))
    with guarded(app, guards(tmp_path, RULES=[], RAISE_ERRORS=raised)) as guard:
        assert send(app, "POST", "/pay/5").text == "paid"
        answer = send(app, "POST", "/pay/20000")
        assert answer.status_code == 403
        assert answer.text == "the application's own" if raised else answer.json["type"].endswith("/denied")  # type: ignore[index]
        assert {row.route for row in rows(guard)} == {"POST /pay/<int:amount>"}


def test_the_applications_own_handler_for_refusals_stands(tmp_path: Path) -> None:
    app = Flask("own")
    app.register_error_handler(SupervisorBlocked, lambda error: ("own", 418))

    @app.post("/pay")
    @supervised("refund", payload=lambda: {"amount": 20_000})
    def pay() -> str:
        return "paid"

    with guarded(app, guards(tmp_path, RULES=[])):
        assert send(app, "POST", "/pay").text == "own"


def test_a_browser_gets_a_page_and_head_no_body(tmp_path: Path) -> None:
    app = contract_app([])
    with guarded(app, guards(tmp_path)):
        page = send(app, "POST", "/refunds/o-1", b'{"amount": 20000}', [*JSON, ("accept", "text/html")])
        assert (page.status_code, page.mimetype) == (403, "text/html")
        assert b"This action is not allowed." in page.data
        assert b"20000" not in page.data
        head = send(app, "HEAD", "/reports/sales?page=700")
        assert (head.status_code, head.data) == (403, b"")


def test_an_approved_request_runs_once(tmp_path: Path) -> None:
    """For the one who asked, with what was approved, on the same route; the policy is asked again."""
    ran: list[str] = []
    app = contract_app(ran)
    app.register_blueprint(review_status(), url_prefix="/reviews")
    with guarded(app, guards(tmp_path, USER_RESOLVER=who, REVIEW_URL="/reviews/")) as guard:
        ann, bo = [*JSON, ("x-user", "ann")], [*JSON, ("x-user", "bo")]
        held = send(app, "POST", "/refunds/o-1", b'{"amount": 2000}', ann)
        again = send(app, "POST", "/refunds/o-1", b'{"amount": 2000}', ann)
        assert held.json is not None
        assert again.json == held.json  # the same review
        assert held.headers["Retry-After"] == "30"
        action_id = held.json["instance"].rpartition(":")[2]
        assert held.json["review_url"] == f"/reviews/{action_id}"
        status = send(app, "GET", held.json["review_url"], headers=ann)
        assert status.json == {"action_id": action_id, "status": "pending"}
        assert send(app, "GET", held.json["review_url"], headers=bo).status_code == 404
        assert send(app, "GET", "/reviews/none", headers=ann).status_code == 404
        approval = [("Supervisor-Approval", action_id)]
        assert problem(send(app, "POST", "/refunds/o-1", b'{"amount": 2000}', [*ann, *approval])) == "approval-required"
        ReviewDesk(guard.supervisor.store).resolve(action_id, "approved", None, Principal("dana"))
        for path, body, headers in (
            ("/refunds/o-1", b'{"amount": 2001}', ann),
            ("/refunds/o-1", b'{"amount": 2000}', bo),
            ("/refunds/o-2", b'{"amount": 2000}', ann),
        ):
            assert problem(send(app, "POST", path, body, [*headers, *approval])) == "approval-invalid"
        for wrong in ("x", f"{action_id},{action_id}", ",".join(f"abcdefgh{n}" for n in range(5)), ""):
            answer = send(app, "POST", "/refunds/o-1", b'{"amount": 2000}', [*ann, ("Supervisor-Approval", wrong)])
            assert problem(answer) == "approval-invalid"
        assert ran == []

        def resubmit(_: int) -> int:
            return send(app, "POST", "/refunds/o-1", b'{"amount": 2000}', [*ann, *approval]).status_code

        with concurrent.futures.ThreadPoolExecutor(10) as pool:
            statuses = sorted(pool.map(resubmit, range(50)))
        assert (statuses, ran) == ([200] + [409] * 49, ["refund"])


def test_nothing_a_client_sends_turns_the_guard_off(tmp_path: Path) -> None:
    ran: list[str] = []
    app = contract_app(ran)
    names = ["x-middleware-subrequest", "x-supervisor-mode", "supervisor-guards", "supervisor_guards", "x-internal",
             "x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-http-method-override"]  # fmt: skip
    with guarded(app, guards(tmp_path)):
        for name in names:
            for value in ("1", "shadow", "/free", "GET"):
                headers = [*JSON, (name, value), ("cookie", f"{name}={value}")]
                send(app, "POST", f"/refunds/o-1?{name}={value}", b'{"amount": 20000}', headers)
    assert ran == []


def problem(answer: Any) -> str:
    return str(answer.json["type"]).rpartition("/")[2]


def login_app() -> Flask:
    """With Flask-Login, as its users set it up: guarded before its manager is there."""
    app = contract_app([])
    app.secret_key = "test"
    manager = flask_login.LoginManager(app)

    class Account(flask_login.UserMixin):  # type: ignore[misc]
        def __init__(self, key: str) -> None:
            self.id = key

        def __str__(self) -> str:
            raise AssertionError("nobody asks for the text of a user")

    manager.user_loader(lambda key: Account(key) if key != "gone" else None)
    app.add_url_rule("/login/<key>", "login", lambda key: str(flask_login.login_user(Account(key))), methods=["POST"])
    return app


@pytest.mark.parametrize(("key", "state"), [("7", "known"), (None, "anonymous"), ("gone", "anonymous")])
@pytest.mark.parametrize("mode", ["shadow", "enforce"])
def test_the_sender_is_flask_logins_user(key: str | None, state: str, mode: str, tmp_path: Path) -> None:
    app = login_app()
    rule = {"route": "POST /free", "action": "export", "payload": ["user.id", "user.state"]}
    with guarded(app, guards(tmp_path, mode, RULES=[rule])) as guard:
        client = app.test_client()
        if key is not None:
            client.post(f"/login/{key}").close()
        answer = client.post("/free")
        answer.close()
        (row,) = rows(guard)
        assert json.loads(row.payload) == {"id": key if state == "known" else None, "state": state}
        assert row.subject == (key if state == "known" else None)
        bare = login_app().test_client().post("/free")
        bare.close()
        assert mode == "enforce" or answer.headers.get("Vary") == bare.headers.get("Vary")


def test_without_an_extension_for_senders_they_are_unknown(tmp_path: Path) -> None:
    rule = {"route": "POST /free", "action": "export", "payload": ["user.state"]}
    app = contract_app([])
    with guarded(app, guards(tmp_path, "shadow", RULES=[rule])) as guard:
        send(app, "POST", "/free")
        assert json.loads(rows(guard)[0].payload) == {"state": "unknown"}


@pytest.mark.parametrize("resolver", [lambda request: 1 / 0, lambda request: "ann"])
@pytest.mark.parametrize(("mode", "status"), [("shadow", 200), ("enforce", 400)])
def test_a_resolver_that_fails_refuses_in_enforce_only(resolver: Any, mode: str, status: int, tmp_path: Path) -> None:
    app = contract_app([])
    with guarded(app, guards(tmp_path, mode, USER_RESOLVER=resolver)):
        assert send(app, "POST", "/refunds/o-1", b'{"amount": 1}', JSON).status_code == status


def test_a_login_in_the_session_is_the_applications_matter(tmp_path: Path) -> None:
    """A resolver may use whatever the request has, before the view."""
    app = contract_app([])
    app.secret_key = "test"
    app.before_request(lambda: session.update(account=request.headers.get("x-user")))
    settings = guards(tmp_path, USER_RESOLVER=lambda request: User(session["account"]))
    with guarded(app, settings) as guard:
        send(app, "POST", "/refunds/o-1", b'{"amount": 1}', [*JSON, ("x-user", "ann")])
        assert rows(guard)[0].subject == "ann"


def test_what_a_client_sends_is_no_line_of_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither by path nor by name: one record each, without control characters."""
    app = contract_app([])
    with guarded(app, guards(tmp_path, USER_RESOLVER=who, RAISE_ERRORS=False)) as guard:
        for sent in ("a%0Ab", "a%1b[31mb", "a%E2%80%A8b", "a%0d%0aERROR b"):
            headers = [*JSON, ("x-user", "ann\u2028\x1b[31m".encode().decode("latin-1"))]
            assert send(app, "POST", f"/refunds/{sent}", b'{"amount": 20000}', headers).status_code in (403, 404)
        assert guard.flush()
    lines = [record.getMessage() for record in caplog.records if record.name == "supervisor_guards"]
    assert lines
    assert all(line.isprintable() for line in lines)
