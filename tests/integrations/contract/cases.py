"""One case of the contract, and short ways to write the common kinds."""

from __future__ import annotations

import json
from typing import Any, NamedTuple


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
    subject: str | None = None
    own: str | None = None
    """Why frameworks may answer otherwise: then what must hold is that a guarded handler ran only after a decision
    with the payload that it saw. Which answer it is stands in the matrix."""


JSON = (("content-type", "application/json"),)
FORM = (("content-type", "application/x-www-form-urlencoded"),)
REFUND = "/refunds/o-1"


def amount(value: Any) -> bytes:
    """The body of a refund."""
    return json.dumps({"amount": value}).encode()


def allowed(name: str, body: bytes, **fields: Any) -> Case:
    """A refund that runs."""
    return Case(name, "POST", fields.pop("path", REFUND), body, **{"headers": JSON, **fields})


def refused(name: str, body: bytes, problem: str, *reasons: str, **fields: Any) -> Case:
    """A refund that doesn't."""
    values: dict[str, Any] = {"status": 403, "verdict": "deny", "headers": JSON, **fields}
    return Case(name, "POST", values.pop("path", REFUND), body, problem=problem, reasons=reasons, **values)


def unevaluated(name: str, method: str, path: str, status: int, ran: str | None = None, **fields: Any) -> Case:
    """A request that no rule is about."""
    return Case(name, method, path, status=status, verdict=None, ran=ran, **fields)


def note(name: str, body: bytes, verdict: str, *reasons: str, **fields: Any) -> Case:
    """A form."""
    values: dict[str, Any] = {"headers": FORM, "action": "note", "route": "POST /notes", "ran": "note", **fields}
    return Case(name, "POST", values.pop("path", "/notes"), body, verdict=verdict, reasons=reasons, **values)


def report(name: str, query: str, *reasons: str, **fields: Any) -> Case:
    """A request whose query is judged."""
    values: dict[str, Any] = {"action": "report", "route": "GET /reports/{name}", "ran": "report", **fields}
    values.setdefault("verdict", "deny" if reasons else "allow")
    return Case(name, values.pop("method", "GET"), f"/reports/sales{query}", reasons=reasons, **values)


def transfer(name: str, value: Any, sender: str | None, *reasons: str, **fields: Any) -> Case:
    """A request whose sender is judged."""
    values: dict[str, Any] = {"action": "transfer", "route": "POST /transfers", "ran": "transfer", **fields}
    values.setdefault("verdict", "deny" if reasons else "allow")
    headers = JSON if sender is None else (*JSON, ("x-user", sender))
    return Case(name, "POST", "/transfers", amount(value), headers, reasons=reasons, **values)


def export(name: str, body: bytes, verdict: str, *reasons: str, **fields: Any) -> Case:
    """A request judged by everything that it has."""
    values: dict[str, Any] = {
        "headers": JSON, "action": "export", "route": "POST /exports", "ran": "export", **fields,
    }  # fmt: skip
    return Case(name, "POST", values.pop("path", "/exports"), body, verdict=verdict, reasons=reasons, **values)
