"""The contract of every web adapter: one table of requests, and what becomes of each of them.

An adapter's test builds `ROUTES` in its framework, with `RULES` over them, and runs `CASES` in shadow and in
enforce. Templates are written as `{name}`; an adapter that writes them otherwise translates them.
"""

from __future__ import annotations

import gzip
import json
from typing import Any, NamedTuple, Protocol

from tests.engine import rows

POLICY = """
name: refunds
version: 1
action: refund
rules:
  - id: hard-cap
    when: payload.amount > 10000
    action: deny
    reason: amount-exceeds-hard-cap
  - id: second-look
    when: payload.amount > 1000
    action: review
    reason: amount-needs-a-look
  - id: frozen-order
    when: payload.order_id == 'frozen'
    action: deny
    reason: order-is-frozen
---
name: cancels
version: 1
action: refund.cancel
rules:
  - id: not-the-first
    when: payload.order_id == 'o-1'
    action: deny
    reason: first-order-stays
---
name: reports
version: 1
action: report
rules:
  - id: deep-page
    when: payload.page > 100
    action: deny
    reason: page-too-deep
---
name: notes
version: 1
action: note
rules:
  - id: shouting
    when: payload.text == 'HELP'
    action: review
    reason: somebody-shouts
  - id: too-much
    when: payload.amount > 10
    action: deny
    reason: too-much
---
name: exports
version: 1
action: export
rules:
  - id: whole-body
    when: payload.body.all == True
    action: deny
    reason: exports-everything
  - id: query-poses
    when: payload.query.get('all') == 'yes'
    action: review
    reason: asks-by-query
"""

CAP = 4_096
"""`max_body_bytes` of the refund rule."""


class RouteOf(NamedTuple):
    """A route of the application under test: its handler reads the whole body, notes `name`, and answers 200."""

    name: str
    method: str
    template: str


ROUTES = (
    RouteOf("refund", "POST", "/refunds/{order_id}"),
    RouteOf("cancel", "DELETE", "/refunds/{order_id}"),
    RouteOf("report", "GET", "/reports/{name}"),
    RouteOf("note", "POST", "/notes"),
    RouteOf("export", "POST", "/exports"),
    RouteOf("free", "POST", "/free"),
    RouteOf("slashed", "POST", "/slashed/"),
    RouteOf("unknown", "POST", "/unknown"),
)

RULES: tuple[dict[str, Any], ...] = (
    {
        "route": "POST /refunds/{order_id}",
        "action": "refund",
        "payload": ["path.order_id", "body.amount"],
        "max_body_bytes": CAP,
    },
    {"route": "DELETE /refunds/{order_id}", "action": "refund.cancel", "payload": ["path.order_id"]},
    {"route": "GET /reports/{name}", "action": "report", "payload": ["query.page:integer"]},
    {"route": "POST /notes", "action": "note", "payload": ["form.text", "form.amount:number"]},
    {"route": "POST /exports", "action": "export"},
    {"route": "POST /unknown", "action": "no.such.action", "payload": ["body.x"]},
)


class Case(NamedTuple):
    """A request, and its answer in enforce.

    `problem` is the end of the problem's `type`, None where the application itself answers. `verdict` None means
    that nothing is evaluated. In shadow the application answers, and the row has the same verdict and reasons.
    """

    name: str
    method: str
    path: str
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    problem: str | None = None
    action: str = "refund"
    route: str = "POST /refunds/{order_id}"
    verdict: str | None = "allow"
    reasons: tuple[str, ...] = ()
    ran: str | None = "refund"
    """The handler that runs in shadow, and in enforce where there is no `problem`."""


JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
_REFUND = "/refunds/o-1"


def _amount(value: Any) -> bytes:
    return json.dumps({"amount": value}).encode()


def _refused(name: str, body: bytes, problem: str, *reasons: str, **fields: Any) -> Case:
    values: dict[str, Any] = {"status": 403, "verdict": "deny", "headers": JSON, **fields}
    return Case(name, "POST", _REFUND, body, problem=problem, reasons=reasons, **values)


def _unevaluated(name: str, method: str, path: str, status: int, ran: str | None = None, **fields: Any) -> Case:
    return Case(name, method, path, status=status, verdict=None, ran=ran, **fields)


def _note(name: str, body: bytes, verdict: str, *reasons: str, **fields: Any) -> Case:
    values: dict[str, Any] = {"headers": FORM, **fields}
    return Case(
        name,
        "POST",
        "/notes",
        body,
        action="note",
        route="POST /notes",
        verdict=verdict,
        reasons=reasons,
        ran="note",
        **values,
    )


UNREADABLE = ("rule-error:hard-cap", "rule-error:second-look")
CAPPED = "amount-exceeds-hard-cap"
CASES = (
    Case("allowed", "POST", _REFUND, _amount(10), JSON),
    _refused("denied", _amount(50_000), "denied", CAPPED),
    _refused("held", _amount(5_000), "approval-required", "amount-needs-a-look", verdict="review"),
    _refused("a path parameter", _amount(1), "denied", "order-is-frozen")._replace(path="/refunds/frozen"),
    _refused("a missing field", b"{}", "denied", "rule-error:hard-cap"),
    _refused("a field of another type", _amount("5"), "denied", "rule-error:hard-cap"),
    _refused("a query parameter is no body field", _amount(50_000), "denied", CAPPED)._replace(
        path=_REFUND + "?amount=1"
    ),
    _refused("JSON as text", _amount(50_000), "denied", CAPPED, headers=(("content-type", "text/plain"),)),
    _refused("JSON without a type", _amount(50_000), "denied", CAPPED, headers=()),
    _refused(
        "JSON of an API", _amount(50_000), "denied", CAPPED, headers=(("content-type", "application/vnd.api+json"),)
    ),
    _refused("JSON in UTF-16", _amount(50_000).decode().encode("utf-16"), "denied", CAPPED),
    _refused("JSON after a byte order mark", b"\xef\xbb\xbf" + _amount(50_000), "denied", CAPPED),
    _refused("broken JSON", b'{"amount": 1', "payload-unusable", "body-invalid", status=400),
    _refused("a name twice", b'{"amount": 50000, "amount": 1}', "ambiguous-payload", "ambiguous-payload", status=400),
    _refused(
        "compressed",
        gzip.compress(_amount(1), mtime=0),
        "unsupported-type",
        "body-encoded",
        status=415,
        headers=(*JSON, ("content-encoding", "gzip")),
    ),
    _refused("too large", _amount("x" * CAP), "payload-too-large", "body-too-large", status=413),
    _refused(
        "neither JSON nor a form",
        b"\x00\x01",
        "unsupported-type",
        "unsupported-type",
        status=415,
        headers=(("content-type", "application/octet-stream"),),
    ),
    _refused("not a number", b'{"amount": NaN}', "payload-unusable", *UNREADABLE, status=400),
    _refused("no body", b"", "payload-unusable", *UNREADABLE, status=400, headers=()),
    Case(
        "a route without a body",
        "DELETE",
        "/refunds/o-2",
        action="refund.cancel",
        route="DELETE /refunds/{order_id}",
        ran="cancel",
    ),
    Case(
        "denied by its path alone",
        "DELETE",
        "/refunds/o-1",
        status=403,
        problem="denied",
        action="refund.cancel",
        route="DELETE /refunds/{order_id}",
        verdict="deny",
        reasons=("first-order-stays",),
        ran="cancel",
    ),
    Case(
        "a query parameter", "GET", "/reports/sales?page=7", action="report", route="GET /reports/{name}", ran="report"
    ),
    Case(
        "HEAD runs what GET guards",
        "HEAD",
        "/reports/sales?page=700",
        status=403,
        problem="denied",
        action="report",
        route="HEAD /reports/{name}",
        verdict="deny",
        reasons=("page-too-deep",),
        ran="report",
    ),
    Case(
        "a failed cast",
        "GET",
        "/reports/sales?page=x",
        status=400,
        problem="payload-unusable",
        action="report",
        route="GET /reports/{name}",
        verdict="deny",
        reasons=("cast-failed:query.page:integer",),
        ran="report",
    ),
    _note("a form", b"text=hello&amount=1", "allow"),
    _note("a form held", b"text=HELP&amount=1", "review", "somebody-shouts", status=403, problem="approval-required"),
    _note("a form denied", b"text=hello&amount=50", "deny", "too-much", status=403, problem="denied"),
    Case(
        "a whole body",
        "POST",
        "/exports",
        b'{"all": true}',
        JSON,
        403,
        "denied",
        "export",
        "POST /exports",
        "deny",
        ("exports-everything",),
        "export",
    ),
    Case(
        "a query apart from the body",
        "POST",
        "/exports?all=yes",
        b'{"all": false}',
        JSON,
        403,
        "approval-required",
        "export",
        "POST /exports",
        "review",
        ("asks-by-query",),
        "export",
    ),
    Case(
        "an action without a policy",
        "POST",
        "/unknown",
        b'{"x": 1}',
        JSON,
        403,
        "denied",
        "no.such.action",
        "POST /unknown",
        "deny",
        ("no-policy",),
        "unknown",
    ),
    _unevaluated("an unguarded route", "POST", "/free", 200, "free"),
    _unevaluated("no route", "POST", "/nope", 404),
    _unevaluated("another method", "PUT", _REFUND, 405),
    _unevaluated("a redirect", "POST", "/slashed", 307),
)


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Harness(Protocol):
    """An application under test, its guard, and a client."""

    guard: Any
    ran: list[str]

    def send(self, case: Case) -> Answer:
        """The answer to the case's request."""
        ...

    def label(self, route: str) -> str:
        """How the framework writes the route `METHOD /template`."""
        ...


def check(harness: Harness, case: Case, mode: str) -> None:
    """Send the request of `case`, and compare answer, execution and record."""
    answer = harness.send(case)
    refused = mode == "enforce" and case.problem is not None
    expected = case.status if mode == "enforce" or case.problem is None else 200
    assert answer.status == expected, (answer, case)
    assert harness.ran == ([] if refused or case.ran is None else [case.ran])
    if refused:
        _check_problem(answer, case)
    elif case.problem is not None:
        assert not any(name.startswith("supervisor") for name in answer.headers)
    recorded = rows(harness.guard)
    if case.verdict is None:
        assert recorded == []
        return
    (row,) = recorded
    assert row.action_type == case.action
    assert row.route == harness.label(case.route)
    assert (row.would_have or row.outcome) == case.verdict
    assert row.reasons == case.reasons
    assert row.result == ("not-run" if refused else "returned")


def _check_problem(answer: Answer, case: Case) -> None:
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/problem+json"
    if case.method == "HEAD":
        assert answer.body == b""
        return
    problem = json.loads(answer.body)
    assert problem["type"].endswith("/" + str(case.problem))
    assert problem["status"] == case.status
    assert problem["action"] == case.action
    for reason in case.reasons:  # a policy's words are for operators
        assert reason not in problem.values()
