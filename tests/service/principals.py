"""Who may what: every endpoint of the service against everybody who may call it, as data.

A new endpoint gets its row in `ROWS`; `test_principals` fails until it has one. A row's cells are the statuses that
each of `CALLERS` gets, for things that belong to the integration `own`: what stands in braces in the path is made anew
for each cell (`needs` says in which state).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from tests.service.serving import body, new_name, payload

CALLERS = ("nobody", "own", "other", "viewer", "reviewer", "administrator", "token", "admin")
"""No credentials; the integration whose things they are, and another; people who are signed in, by role; a reviewer's
token for a program; the administrator's token."""
PASSWORD = "correct horse battery staple"


@dataclasses.dataclass(frozen=True)
class Row:
    """One endpoint."""

    method: str
    path: str
    cells: dict[str, int]
    needs: str = ""
    """What the path names: a decision, a review, an approved review, an integration, a person, a token."""
    json: Callable[[], dict[str, Any]] | None = None
    """The body; `{action_id}` in a text is that of what was made."""

    @property
    def public(self) -> bool:
        """Whether it answers nobody."""
        return self.cells["nobody"] < 400


def cells(*statuses: int) -> dict[str, int]:
    """In the order of `CALLERS`."""
    return dict(zip(CALLERS, statuses, strict=True))


PUBLIC = cells(200, 200, 200, 200, 200, 200, 200, 200)
APPLICATIONS = cells(401, 200, 200, 401, 401, 401, 403, 401)
"""Any integration, in its own name. Nothing but a bearer token counts here, as in version 1."""
ITS_OWN = cells(401, 200, 404, 401, 401, 401, 403, 401)
"""The integration whose thing it is."""
EVERYBODY = cells(401, 200, 200, 200, 200, 200, 200, 200)
"""Integrations see theirs in it, people see all."""
SEEN = cells(401, 200, 404, 200, 200, 200, 200, 200)
"""The integration whose thing it is, and people."""
REVIEWERS = cells(401, 403, 404, 403, 200, 200, 200, 200)
ADMINISTRATORS = cells(401, 403, 403, 403, 403, 200, 403, 200)
ADMINISTRATORS_MAKE = cells(401, 403, 403, 403, 403, 201, 403, 201)
ADMINISTRATORS_SEND = cells(401, 403, 403, 403, 403, 202, 403, 202)
ADMINISTRATORS_MISS = cells(401, 403, 403, 403, 403, 422, 403, 422)
"""They may, and what they ask for can't be."""
PEOPLE = cells(401, 403, 403, 200, 200, 200, 200, 200)
SIGNED_IN = cells(401, 403, 403, 200, 200, 200, 403, 403)
"""People who sit at a browser."""
SIGNED_IN_MAKE = cells(401, 403, 403, 201, 201, 201, 403, 403)


def _integration() -> dict[str, Any]:
    return {"name": new_name("made"), "scopes": ["refund"]}


def _person() -> dict[str, Any]:
    return {"name": new_name("person"), "role": "reviewer"}


ROWS = [
    Row("GET", "/healthz", PUBLIC),
    Row("GET", "/readyz", PUBLIC),
    Row("GET", "/openapi.json", PUBLIC),
    Row("GET", "/metrics", cells(200, 403, 403, 200, 200, 200, 200, 200)),
    Row("GET", "/v1/metrics/summary", EVERYBODY),
    Row("GET", "/v1/metrics/enforcement", EVERYBODY),
    Row("GET", "/v1/decisions/export", ADMINISTRATORS),
    Row("GET", "/v1/capabilities", PUBLIC),
    Row("GET", "/v1/action-types", PUBLIC),
    # actions
    Row("POST", "/v1/actions/evaluate", APPLICATIONS, json=lambda: body(1)),
    Row("POST", "/v1/actions/evaluate/batch", APPLICATIONS, json=lambda: {"items": [body(1)]}),
    Row("POST", "/v1/actions/results", APPLICATIONS, json=lambda: {"items": [{"id": "none", "result": "returned"}]}),
    Row("POST", "/v1/actions/{action_id}/result", ITS_OWN, "decision", lambda: {"result": "returned"}),
    # decisions
    Row("GET", "/v1/actions/recent", EVERYBODY, "decision"),
    Row("GET", "/v1/decisions/{action_id}", SEEN, "decision"),
    Row("GET", "/v1/decisions/{action_id}/evidence", SEEN, "decision"),
    # desks
    Row("GET", "/v1/desk", EVERYBODY, "review"),
    # reviews
    Row("GET", "/v1/review-cases", EVERYBODY, "review"),
    Row("GET", "/v1/review-cases/{case_id}", SEEN, "review"),
    Row("POST", "/v1/review-cases/{case_id}/resolve", REVIEWERS, "review", lambda: {"decision": "approved"}),
    Row("POST", "/v1/review-cases/{case_id}/abandon", REVIEWERS, "review"),
    Row("POST", "/v1/approvals/{action_id}/redeem", ITS_OWN, "approved", lambda: {"digest": "{action_id}"}),
    # integrations
    Row("POST", "/v1/integrations", ADMINISTRATORS_MAKE, json=_integration),
    Row("GET", "/v1/integrations", ADMINISTRATORS),
    Row("PATCH", "/v1/integrations/{integration_id}", ADMINISTRATORS, "integration", lambda: {"scopes": ["payment"]}),
    Row("POST", "/v1/integrations/{integration_id}/rotate-secret", ADMINISTRATORS, "integration"),
    Row("POST", "/v1/integrations/{integration_id}/revoke", ADMINISTRATORS, "integration"),
    # people
    Row("POST", "/v1/people", ADMINISTRATORS_MAKE, json=_person),
    Row("GET", "/v1/people", ADMINISTRATORS),
    Row("GET", "/v1/people/{person_id}", ADMINISTRATORS, "person"),
    Row("PATCH", "/v1/people/{person_id}", ADMINISTRATORS, "person", lambda: {"role": "administrator"}),
    Row("POST", "/v1/people/{person_id}/password", ADMINISTRATORS, "person", lambda: {"password": None}),
    Row("POST", "/v1/people/{person_id}/disable", ADMINISTRATORS, "person"),
    Row("POST", "/v1/people/{person_id}/enable", ADMINISTRATORS, "person"),
    # sessions, and tokens of people
    Row("POST", "/v1/session", PUBLIC, json=lambda: {"name": "principals-viewer", "password": PASSWORD}),
    Row("GET", "/v1/session", PEOPLE),
    Row("DELETE", "/v1/session", SIGNED_IN),
    Row("POST", "/v1/session/end", SIGNED_IN),
    Row("POST", "/v1/session/password", SIGNED_IN, json=lambda: {"current": PASSWORD, "new": PASSWORD}),
    Row("GET", "/v1/tokens", PEOPLE),
    Row("POST", "/v1/tokens", SIGNED_IN_MAKE, json=lambda: {"label": "desk"}),
    # policies
    Row("POST", "/v1/policies", ADMINISTRATORS_MAKE, json=lambda: {"yaml_source": document()}),
    Row("GET", "/v1/policies", PEOPLE),
    Row("GET", "/v1/policies/bundle", EVERYBODY),
    Row("GET", "/v1/policies/{policy_id}", PEOPLE, "policy"),
    Row("POST", "/v1/policies/{policy_id}/promote", ADMINISTRATORS, "policy"),
    Row("POST", "/v1/policies/{policy_id}/deactivate", ADMINISTRATORS, "promoted"),
    Row("POST", "/v1/policies/{policy_id}/test", PEOPLE, "policy", lambda: {"payload": {}}),
    Row("GET", "/v1/policies/{policy_id}/diff?against={policy_id}", PEOPLE, "policy"),
    Row("GET", "/v1/policies/{policy_id}/replay", PEOPLE, "policy"),
    Row("POST", "/v1/policies/{policy_id}/replay", PEOPLE, "policy"),
    # webhooks
    Row("POST", "/v1/webhooks", ADMINISTRATORS_MISS, json=lambda: {"url": "https://127.0.0.1/"}),
    Row("GET", "/v1/webhooks", ADMINISTRATORS),
    Row("GET", "/v1/webhooks/{webhook_id}", ADMINISTRATORS, "webhook"),
    Row("POST", "/v1/webhooks/{webhook_id}/rotate-secret", ADMINISTRATORS, "webhook"),
    Row("POST", "/v1/webhooks/{webhook_id}/disable", ADMINISTRATORS, "webhook"),
    Row("POST", "/v1/webhooks/{webhook_id}/test", ADMINISTRATORS_SEND, "webhook"),
    Row("GET", "/v1/webhooks/{webhook_id}/deliveries", ADMINISTRATORS, "webhook"),
    Row("GET", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}", ADMINISTRATORS, "delivery"),
    Row("POST", "/v1/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", ADMINISTRATORS_SEND, "delivery"),
    Row(
        "POST", "/v1/tokens/{token_id}/revoke", cells(401, 403, 403, 404, 404, 200, 404, 200), "token"
    ),
]  # fmt: skip


def document() -> str:
    """A policy for an action type that nobody asks for."""
    name = new_name("principals.")
    rule = "id: a\n    when: payload.x\n    action: deny\n    reason: a"
    return f"name: {name}\nversion: 1\naction: {name}\nrules:\n  - {rule}\n"


def question(needs: str) -> dict[str, Any]:
    """What `own` asks, for a path that names a decision or a review; no two are equal."""
    number = new_name("q")
    return {
        "action_type": "refund",
        "payload": payload(1 if needs == "decision" else 50, number=number),
        "id": number,
        "digest": number,
    }
