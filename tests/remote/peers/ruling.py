"""What a peer is asked, what a test lets it answer, and what it keeps of both."""

from __future__ import annotations

import datetime
import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

REASONS = {"allow": ("passes-policy-and-risk",), "deny": ("amount-exceeds-cap",), "review": ("amount-needs-a-look",)}


class Refused(Exception):
    """An HTTP error instead of an answer. A policy raises it to refuse one action."""

    def __init__(self, status: int, detail: Any, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


@dataclass(frozen=True)
class Asked:
    """The body of one evaluation. `id`, `digest`, `subject` and `route` are ours, None from a published client."""

    action_type: str
    payload: dict[str, Any]
    shadow: bool
    dry_run: bool
    agent_context: dict[str, Any] | None
    integration: str
    """The token's `sub`."""
    id: str | None = None
    digest: str | None = None
    subject: str | None = None
    route: str | None = None
    batched: bool = False
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The whole body."""


@dataclass(frozen=True)
class Ruling:
    """A policy's word."""

    decision: str
    reasons: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()


Policy: TypeAlias = Callable[[Asked], "Ruling | str"]


@dataclass
class Case:
    """A review case. Its id is its own, not the action's."""

    asked: Asked
    action_id: str
    ruling: Ruling
    created_at: str
    order: int
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    status: str = "pending"
    resolved_at: str | None = None
    resolved_order: int = 0
    approver: str | None = None
    notes: str | None = None
    used: bool = False
    expired: bool = False

    def item(self) -> dict[str, Any]:
        rules = zip(self.ruling.rule_ids, self.ruling.reasons, strict=False)
        hits = [{"rule_id": rule, "action": "review", "reason": reason, "explanation": ""} for rule, reason in rules]
        return {
            "id": self.id,
            "action_id": self.action_id,
            "status": self.status,
            "action_payload": self.asked.payload,
            "action_type": self.asked.action_type,
            "risk_score": 0,
            "policy_hits": hits,
            "created_at": self.created_at,
            "resolved_at": self.resolved_at,
            "approver": self.approver,
            "approver_notes": self.notes,
            "priority": self.asked.payload.get("priority", "normal"),
            "assigned_to": None,
        }


def now() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parsed(body: bytes) -> Any:
    """The JSON of `body`. NaN, and a name twice in one object, are no JSON here."""
    try:
        return json.loads(body, parse_constant=_no_json, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise Refused(422, [{"loc": ["body"], "msg": f"not JSON: {error}", "type": "json_invalid"}]) from None


def asked(body: Any, integration: str, *, dry_run: bool = False, batched: bool = False, ours: bool = False) -> Asked:
    """The evaluation in `body`, checked. Raises `Refused` 422 with what is wrong."""
    if not isinstance(body, dict):
        raise Refused(422, [{"loc": ["body"], "msg": "not an object", "type": "dict_type"}])
    kinds: dict[str, type | tuple[type, ...]] = {"action_type": str, "payload": dict}
    optional: dict[str, type | tuple[type, ...]] = {"shadow": bool, "agent_context": dict}
    if ours:
        optional |= dict.fromkeys(("id", "digest", "subject", "route"), (str, type(None)))
    missing = [
        {"loc": ["body", name], "msg": "field required", "type": "missing"} for name in kinds if name not in body
    ]
    wrong = [
        {"loc": ["body", name], "msg": f"not a {kind}", "type": "type"}
        for name, kind in {**kinds, **optional}.items()
        if name in body and not isinstance(body[name], kind)
    ]
    if missing or wrong:
        raise Refused(422, missing + wrong)
    own = {name: body.get(name) for name in ("id", "digest", "subject", "route")} if ours else {}
    return Asked(
        body["action_type"],
        body["payload"],
        body.get("shadow", False),
        dry_run,
        body.get("agent_context"),
        integration,
        batched=batched,
        fields=body,
        **own,
    )


def ruled(policy: Policy, question: Asked) -> Ruling:
    word = policy(question)
    ruling = word if isinstance(word, Ruling) else Ruling(word)
    return ruling if ruling.reasons else Ruling(ruling.decision, REASONS.get(ruling.decision, ()), ruling.rule_ids)


def _no_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a name occurs twice in one object")
    return value
