"""From what an application asks to the row that is stored and the answer it gets. No I/O."""

from __future__ import annotations

import hashlib
import time
from typing import Annotated, Any, Literal

import msgspec

from supervisor_guards._binding import published_view
from supervisor_guards._ids import new_action_id
from supervisor_guards._model import Action, Entry, Outcome, Snapshot, Verdict
from supervisor_guards._redaction import Redactor
from supervisor_guards.embedded.openings import Opening
from supervisor_guards.embedded.recording import RowMaker
from supervisor_guards.embedded.rows import DecisionRow, StoredDecision
from supervisor_guards.policy.engine import PolicySet
from supervisor_guards.service.principals import Integration

__all__ = ["PASSES", "Asked", "Judged", "Terms", "answer_of", "judge", "not_evaluated", "stored_answer"]

PASSES = "passes-policy-and-risk"
"""Version 1's reason of an allow."""

_encode = msgspec.json.Encoder(order="sorted").encode


class Asked(msgspec.Struct):
    """The body of `POST /v1/actions/evaluate`, and an item of a batch. Unknown fields are ignored.

    From `id` on, the fields are ours: they come from a client that found them in `GET /v1/capabilities`.
    """

    action_type: str
    payload: dict[str, Any]
    shadow: bool = False
    agent_context: dict[str, Any] | None = None
    id: str | None = None
    digest: str | None = None
    subject: str | None = None
    route: str | None = None
    tenant: str | None = None
    request: dict[str, Any] | None = None
    call: tuple[str, ...] | None = None
    approval: tuple[str, ...] | None = None
    proceeds: bool = False
    mode: Literal["shadow", "sample", "enforce"] | None = None
    enforced: bool | None = None
    """Of a call that is told about afterwards (`shadow`): whether it was enforced."""
    time: Annotated[float, msgspec.Meta(ge=0)] | None = None
    """When it was asked, in seconds since the epoch; never later than it is told."""
    sample_bucket: Annotated[int, msgspec.Meta(ge=0, lt=100)] | None = None
    status: Literal["evaluated", "unavailable", "unknown"] | None = None
    """Of a call that is told about afterwards: `unavailable` where no verdict could be had in time."""
    result: Literal["returned", "raised", "not-run"] | None = None


class Judged(msgspec.Struct, frozen=True):
    """A verdict, the row that records it, and the review that it opens."""

    verdict: Verdict
    row: DecisionRow
    opening: Opening | None


class Terms(msgspec.Struct, frozen=True):
    """What holds for every action: how long reviews are open and joined, in microseconds; and the digest's key."""

    expires_us: int
    window_us: int
    key: bytes
    redactor: Redactor


def judge(asked: Asked, integration: Integration, policies: PolicySet, terms: Terms) -> Judged:
    """The policies' verdict on `asked`, and what is to be stored. Raises nothing that a payload can cause."""
    now = time.time()
    started = time.perf_counter_ns()
    body = _encode(asked.payload)
    seen = asked.payload
    if asked.call is not None and policies.reads_call(asked.action_type):
        seen = published_view(asked.payload, asked.call)
    verdict = policies.evaluate(
        asked.action_type,
        seen,
        asked.agent_context or {},
        asked.request or {},
        marked=bool(asked.agent_context or asked.request) or b'"__' in body,
    )
    mode = asked.mode or ("shadow" if asked.shadow else "enforce")
    action = Action(
        action_id=asked.id or new_action_id(now),
        action_type=asked.action_type,
        snapshot=Snapshot(body),
        time=now if asked.time is None else min(asked.time, now),
        mode=mode,
        enforced=not asked.shadow if asked.enforced is None else asked.enforced,
        context=asked.agent_context,
        subject=asked.subject,
        route=asked.route,
        request=asked.request,
        sample_bucket=asked.sample_bucket,
        proceeds=asked.proceeds,
        approval=asked.approval,
        tenant=asked.tenant,
    )
    entry = Entry(
        action,
        verdict,
        outcome=_outcome(asked, verdict),
        status=asked.status or "evaluated",
        latency_us=(time.perf_counter_ns() - started) // 1_000,
        result=asked.result,
    )
    maker = RowMaker(terms.redactor, integration.id)
    # A client of ours that sends none had a payload too large to be told from another: nothing can be approved then.
    ours = asked.id is not None
    digest = asked.digest if ours else _digest(terms.key, integration.id, asked.action_type, body)
    row = maker.row(entry, asked.payload, digest)
    opening = None
    if not asked.shadow and verdict.outcome is Outcome.REVIEW and asked.approval is None:
        requester = maker.redacted(dict(asked.agent_context or {})).get("user_id")
        known = str(requester) if type(requester) in (str, int) else None
        # Who joins a review runs by its approval: only for clients that use approvals up, and so run once.
        since = row.time - terms.window_us if terms.window_us and ours and not asked.proceeds else None
        opening = Opening(row.time + terms.expires_us, known, since)
    return Judged(verdict, row, opening)


def _outcome(asked: Asked, verdict: Verdict) -> Outcome:
    """What the caller gets, or got."""
    if not asked.shadow:
        return verdict.outcome
    return Outcome.DENY if asked.enforced and asked.result == "not-run" else Outcome.ALLOW


def answer_of(judged: Judged, asked: Asked, case_id: str | None = None, *, dry_run: bool = False) -> dict[str, Any]:
    """The answer to who asked. `case_id` is the review it waits for, where an earlier one of the same is open."""
    verdict = judged.verdict
    shadow = asked.shadow and not dry_run
    reasons = list(verdict.reasons) or [PASSES]
    return {
        "action_id": "dry-run" if dry_run else case_id or judged.row.action_id,
        "decision": "allow" if shadow else verdict.outcome.value,
        "reasons": [] if shadow else reasons,
        "risk_score": 0,
        "policy_version": verdict.policy_version or "",
        "threat_level": "none",
        "threats": [],
        "shadow_would_have": verdict.outcome.value if shadow else None,
        "id": judged.row.action_id,
        "would_have": {
            "decision": verdict.outcome.value,
            "reasons": reasons,
            "rule_ids": list(verdict.rule_ids),
        },
        "unusable": verdict.unusable,
    }


def not_evaluated(asked_id: str | None, why: str) -> dict[str, Any]:
    """The answer to a shadow call that could not be judged: it runs, and nothing is stored of it.

    A version 1 client raises into its application for any error, in shadow as well.
    """
    action_id = asked_id or new_action_id(time.time())
    return {
        "action_id": action_id,
        "decision": "allow",
        "reasons": [f"not evaluated: {why}"],
        "risk_score": 0,
        "policy_version": "",
        "threat_level": "none",
        "threats": [],
        "shadow_would_have": None,
        "id": action_id,
        "would_have": None,
        "unusable": False,
    }


def stored_answer(row: StoredDecision) -> dict[str, Any]:
    """The answer that an earlier request with the same id was given: a retry gets it again."""
    verdict = row.outcome if row.enforced else row.would_have or "allow"
    reasons = list(row.reasons) or [PASSES]
    return {
        "action_id": row.case_id or row.action_id,
        "decision": row.outcome,
        "reasons": reasons if row.enforced else [],
        "risk_score": 0,
        "policy_version": row.policy_version or "",
        "threat_level": "none",
        "threats": [],
        "shadow_would_have": None if row.enforced else verdict,
        "id": row.action_id,
        "would_have": {
            "decision": verdict,
            "reasons": reasons,
            "rule_ids": list(row.rule_ids),
        },
        "unusable": any(hit.action == "deny" and hit.reason.startswith("rule-error:") for hit in row.hits),
    }


def _digest(key: bytes, integration_id: str, action_type: str, body: bytes) -> str:
    """The digest of what a client without digests sent: keyed BLAKE2b (RFC 7693) of who, what, and the content.

    Neither an id nor an action type holds a NUL.
    """
    keyed = hashlib.blake2b(
        f"{integration_id}\0{action_type}\0".encode("utf-8", "surrogatepass"), key=key, digest_size=32
    )
    keyed.update(body)
    return keyed.hexdigest()
