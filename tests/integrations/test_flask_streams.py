"""Plain guards in an answer that is sent in parts: the request is over for Flask, and theirs all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, request, session, stream_with_context

from supervisor_guards import approved, guarded, supervised
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.errors import ApprovalInvalid, SupervisorReviewPending
from supervisor_guards_flask import User
from tests.engine import rows
from tests.integrations import flask_client
from tests.integrations.flask_client import guards

POLICY = """
name: all
version: 1
action: [refund, export]
rules:
  - {id: look, when: payload.amount > 100, action: review, reason: a-look}
"""
RULE = {"route": "ruled", "action": "export", "payload": ["amount=query.amount:integer"]}
APPROVAL = "supervisor-approval"


@supervised("refund")
def refund(amount: int) -> str:
    return "refunded"


def told(amount: int) -> str:
    """How a plain guard ended: what it returned, or that a person must look first."""
    try:
        return refund(amount)
    except SupervisorReviewPending as error:
        return error.action_id
    except ApprovalInvalid as error:
        return error.reasons[0]


def parts(amount: int, before: Any = None) -> Iterator[str]:
    yield "begun "
    if before is not None:
        before()
    yield told(amount)


def application(name: str = "streaming", before: Any = None) -> Flask:
    app = Flask(name)
    app.secret_key = "test"
    views: dict[str, Any] = {
        "plain": lambda: Response(parts(request.args.get("n", 500, int), before)),
        "ruled": lambda: Response(parts(500)),
        "context": lambda: Response(stream_with_context(parts(500))),
        "inline": lambda: Response(guarded("refund", {"amount": n}, lambda n=n: f"{n}") for n in (1, 2)),
        "session": lambda: Response(parts(session.get("n", 5))),
    }
    for endpoint, view in views.items():
        app.add_url_rule(f"/{endpoint}", endpoint, view, methods=["GET", "POST"])
    return app


def by_header(one: Any) -> User:
    return User(one.headers.get("x-user", "nobody"))


def body(app: Flask, path: str, headers: Any = (("x-user", "u-1"),)) -> str:
    """What a server sends: it takes the parts after Flask has left the request."""
    response = app.test_client().open(path, method="POST", headers=list(headers))
    with response:
        return b"".join(one if isinstance(one, bytes) else one.encode() for one in response.iter_encoded()).decode()


@pytest.mark.parametrize("name", ["plain", "context", "ruled"])
def test_a_guard_in_a_stream_knows_its_request_and_waits_for_nobody(name: str, tmp_path: Path) -> None:
    app = application()
    values = guards(tmp_path, policy=POLICY, RULES=[RULE], USER_RESOLVER=by_header)
    with flask_client.guarded(app, values) as guard:
        action_id = body(app, f"/{name}?amount=1").removeprefix("begun ")
        (row,) = [row for row in rows(guard) if row.action_type == "refund"]
        assert (row.action_id, row.outcome, row.result) == (action_id, "review", "not-run")
        assert (row.route, row.subject) == (f"POST /{name}", "u-1")


def test_it_uses_the_approval_that_the_request_brings(tmp_path: Path) -> None:
    app = application()
    with flask_client.guarded(app, guards(tmp_path, policy=POLICY, RULES=[], USER_RESOLVER=by_header)) as guard:
        action_id = body(app, "/plain").removeprefix("begun ")
        ReviewDesk(guard.supervisor.store).resolve(action_id, "approved", None, Principal("dana"))
        answers = [body(app, "/plain", [("x-user", user), (APPROVAL, action_id)]) for user in ("u-2", "u-1")]
        assert answers == ["begun other-subject", "begun refunded"]


def test_its_sender_is_whom_flask_knew(tmp_path: Path) -> None:
    """A resolver may need the request's context, which is gone once the parts are taken."""
    app = application()
    resolver = lambda one: User(request.headers["x-user"])  # noqa: E731
    with flask_client.guarded(app, guards(tmp_path, policy=POLICY, RULES=[], USER_RESOLVER=resolver)) as guard:
        body(app, "/plain")
        assert [row.subject for row in rows(guard)] == ["u-1"]


def test_a_request_that_is_made_inside_of_a_stream_is_its_own(tmp_path: Path) -> None:
    inner = application("inner")
    outer = application("outer", lambda: body(inner, "/plain", [("x-user", "u-2")]))
    values = {"policy": POLICY, "RULES": [], "USER_RESOLVER": by_header}
    with (
        flask_client.guarded(inner, guards(tmp_path / "inner", **values)) as inside,
        flask_client.guarded(outer, guards(tmp_path / "outer", **values)) as outside,
    ):
        body(outer, "/plain")
        assert [row.subject for row in rows(inside)] == ["u-2"]
        assert [row.subject for row in rows(outside)] == ["u-1"]


def test_between_two_parts_nothing_of_it_is_left(tmp_path: Path) -> None:
    one, other = application("one"), application("other")
    values = {"policy": POLICY, "RULES": [], "USER_RESOLVER": by_header}
    with (
        flask_client.guarded(one, guards(tmp_path / "one", **values)) as first,
        flask_client.guarded(other, guards(tmp_path / "other", **values)) as second,
    ):
        answers = [
            app.test_client().open("/plain", method="POST", headers=[("x-user", user)])
            for app, user in ((one, "u-1"), (other, "u-2"))
        ]
        taking = [iter(answer.response) for answer in answers]
        for _ in range(2):
            for taken in taking:
                next(taken)
        for answer in answers:
            answer.close()
        assert [[row.subject for row in rows(guard)] for guard in (first, second)] == [["u-1"], ["u-2"]]


def test_in_shadow_no_header_shows_that_the_sender_was_looked_up(tmp_path: Path) -> None:
    app, bare = application(), application()
    resolver = lambda one: User(str(session.get("user")))  # noqa: E731
    values = guards(tmp_path, "shadow", POLICY, RULES=[], USER_RESOLVER=resolver)
    with (
        flask_client.guarded(app, values),
        app.test_client().get("/plain") as answer,
        bare.test_client().get("/plain") as other,
    ):
        assert list(answer.headers) == list(other.headers)


def test_each_part_may_ask(tmp_path: Path) -> None:
    app = application()
    with flask_client.guarded(app, guards(tmp_path, policy=POLICY, RULES=[], USER_RESOLVER=by_header)) as guard:
        assert body(app, "/inline") == "12"
        assert [row.route for row in rows(guard)] == ["POST /inline"] * 2
        with approved():
            assert body(app, "/session") == "begun refunded"
