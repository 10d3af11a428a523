"""What the tests of policies share: documents, and what is done with them over the API."""

from __future__ import annotations

import itertools
import json
from typing import Any

import httpx

from supervisor_guards.embedded.rows import DecisionRow, now_us

_numbers = itertools.count(1)


def new_action() -> str:
    """An action type that no other test judges."""
    return f"action{next(_numbers)}"


def document(action: str, version: object = 1, *, cap: int = 100, more: str = "", name: str | None = None) -> str:
    """A document that denies above `cap`; `more` is appended."""
    return f"""\
# Limits of {action}.
name: {name or action}.base
version: {version}
action: {action}
rules:
  - id: cap
    when: "payload['amount'] > {cap}"
    action: deny
    reason: amount-exceeds-cap
    explanation: Over the cap.
{more}"""


def stored(admin: httpx.Client, source: str, *, promote: bool = False, status: int = 201) -> dict[str, Any]:
    """The version that `source` became."""
    answer = admin.post("/v1/policies", json={"yaml_source": source, "promote": promote})
    assert answer.status_code == status, answer.text
    return answer.json()  # type: ignore[no-any-return]


def decision(http: httpx.Client, action: str, amount: int, **fields: Any) -> dict[str, Any]:
    """What the service says to a call; nothing is stored."""
    asked = {"action_type": action, "payload": {"amount": amount}, **fields}
    return http.post("/v1/actions/evaluate?dry_run=true", json=asked).raise_for_status().json()  # type: ignore[no-any-return]


def row(action: str, amount: object, **fields: Any) -> DecisionRow:
    """A recorded decision on a payload of that amount: allowed and enforced, just now, unless `fields` say else."""
    values: dict[str, Any] = {
        "action_id": f"row-{next(_numbers)}", "time": now_us(), "app_id": "shop", "action_type": action,
        "mode": "enforce", "enforced": True, "outcome": "allow", "status": "evaluated",
        "policy_name": f"{action}.base", "policy_version": f"{action}.base@v1", "latency_us": 1,
        "payload": json.dumps({"amount": amount}),
    }  # fmt: skip
    return DecisionRow(**{**values, **fields})
