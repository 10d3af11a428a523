"""The application of the contract: its routes, the rules over them, and the policy."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

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
---
name: transfers
version: 1
action: transfer
rules:
  - id: known-sender
    when: payload.state != 'known'
    action: deny
    reason: sender-is-not-known
  - id: large
    when: payload.amount > 1000
    action: review
    reason: large-transfer
---
name: items
version: 1
action: item.delete
rules:
  - id: tenth
    when: payload.number == 10
    action: deny
    reason: tenth-item-stays
"""

CAP = 4_096
"""`max_body_bytes` of the refund rule."""


class RouteOf(NamedTuple):
    """A route of the application under test. Its handler reads what `reads` says, notes a `Seen`, and answers 200."""

    name: str
    method: str
    template: str
    reads: Literal["json", "form", "nothing"] = "json"


ROUTES = (
    RouteOf("refund", "POST", "/refunds/{order_id}"),
    RouteOf("cancel", "DELETE", "/refunds/{order_id}", "nothing"),
    RouteOf("report", "GET", "/reports/{name}", "nothing"),
    RouteOf("note", "POST", "/notes", "form"),
    RouteOf("export", "POST", "/exports"),
    RouteOf("transfer", "POST", "/transfers"),
    RouteOf("item", "DELETE", "/items/{number:int}", "nothing"),
    RouteOf("free", "POST", "/free"),
    RouteOf("slashed", "POST", "/slashed/", "nothing"),
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
    {"route": "POST /transfers", "action": "transfer", "payload": ["user.state", "user.id", "body.amount"]},
    {"route": "DELETE /items/{number:int}", "action": "item.delete", "payload": ["path.number"]},
    {"route": "POST /unknown", "action": "no.such.action", "payload": ["body.x"]},
)

ACTIONS = {one.name: rule for one in ROUTES for rule in RULES if rule["route"] == f"{one.method} {one.template}"}
"""The rule over each guarded handler."""

SENDER = "x-user"
"""The header that says who sent the request: a user's id, `?` for a sender not known yet, absent for nobody."""
