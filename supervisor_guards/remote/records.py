"""Decisions and reviews as a service lists them, turned into what a desk shows. No I/O.

Version 1 tells less than a service of ours: what it leaves out is None, or stands as said here.
"""

from __future__ import annotations

import datetime
from typing import Any

import msgspec

from supervisor_guards._model import PRIORITIES, Hit, Mode, Result, ReviewPriority, ReviewStatus, Status
from supervisor_guards._records import Review, StoredDecision
from supervisor_guards.remote import wire

NEVER = 253_370_764_800_000_000
"""When a review of a plain service expires: the year 9999."""
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
_MICROSECOND = datetime.timedelta(microseconds=1)


class _Hit(msgspec.Struct):
    rule_id: str
    action: Any
    reason: str
    explanation: str | None = None
    priority: Any = None


class _WouldHave(msgspec.Struct):
    reasons: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()


class _Decision(msgspec.Struct):
    action_id: str
    action_type: str
    decision: str
    created_at: datetime.datetime
    reasons: tuple[str, ...] = ()
    shadow: bool = False
    shadow_would_have: str | None = None
    would_have: _WouldHave | None = None
    hits: tuple[_Hit, ...] = ()
    policy_version: str | None = None
    policy_name: str | None = None
    policy_hash: str | None = None
    sample_bucket: int | None = None
    latency_ms: float = 0
    latency_us: int | None = None
    payload: msgspec.Raw = msgspec.Raw(b"null")
    agent_context: msgspec.Raw = msgspec.Raw(b"null")
    mode: Mode | None = None
    status: Status = "evaluated"
    route: str | None = None
    subject: str | None = None
    tenant: str | None = None
    result: Result | None = None
    review_id: str | None = None
    integration_id: str = ""


class _Case(msgspec.Struct):
    id: str
    action_id: str
    action_type: str
    status: ReviewStatus
    created_at: datetime.datetime
    action_payload: msgspec.Raw = msgspec.Raw(b"null")
    policy_hits: tuple[_Hit, ...] = ()
    state: ReviewStatus | None = None
    expires_at: datetime.datetime | None = None
    resolved_at: datetime.datetime | None = None
    used_at: datetime.datetime | None = None
    approver: str | None = None
    approver_notes: str | None = None
    priority: Any = None
    reasons: tuple[str, ...] | None = None
    subject: str | None = None
    requester: str | None = None
    route: str | None = None
    tenant: str | None = None
    integration_id: str = ""


class Case(msgspec.Struct, frozen=True):
    """A review, and the id that the service's addresses have for it."""

    id: str
    review: Review


class Sums(msgspec.Struct, frozen=True):
    """What `GET /v1/desk` answers."""

    waiting: int
    action_types: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    span: tuple[int, int] | None = None
    recorded: tuple[bool, ...] = ()


_read_decision = msgspec.json.Decoder(_Decision).decode
_read_decisions = msgspec.json.Decoder(list[_Decision]).decode
_read_case = msgspec.json.Decoder(_Case).decode
_read_cases = msgspec.json.Decoder(list[_Case]).decode
_read_sums = msgspec.json.Decoder(Sums).decode


def decision(body: bytes) -> StoredDecision:
    """One decision. Raises `Fault`."""
    return _stored(wire.decoded(_read_decision, body))


def decisions(body: bytes) -> list[StoredDecision]:
    """A list of them. Raises `Fault`."""
    return [_stored(one) for one in wire.decoded(_read_decisions, body)]


def case(body: bytes) -> Case:
    """One review case. Raises `Fault`."""
    return _reviewed(wire.decoded(_read_case, body))


def cases(body: bytes) -> list[Case]:
    """A list of them. Raises `Fault`."""
    return [_reviewed(one) for one in wire.decoded(_read_cases, body)]


def sums(body: bytes) -> Sums:
    """The service's sums. Raises `Fault`."""
    found: Sums = wire.decoded(_read_sums, body)
    return found


def _stored(item: _Decision) -> StoredDecision:
    """The row's number stays at the service: what grows here is the time."""
    made = _moment(item.created_at)
    return StoredDecision(
        id=made,
        action_id=item.action_id,
        time=made,
        app_id=item.integration_id,
        action_type=item.action_type,
        route=item.route,
        subject=item.subject,
        tenant=item.tenant,
        mode=item.mode or ("shadow" if item.shadow else "enforce"),
        enforced=not item.shadow,
        outcome=item.decision,
        would_have=item.shadow_would_have if item.shadow else None,
        status=item.status,
        reasons=item.reasons if item.would_have is None else item.would_have.reasons,
        rule_ids=() if item.would_have is None else item.would_have.rule_ids,
        hits=tuple(Hit(one.rule_id, one.action, one.reason, one.explanation or "", _word(one)) for one in item.hits),
        policy_name=item.policy_name,
        policy_version=item.policy_version or None,
        policy_hash=item.policy_hash,
        sample_bucket=item.sample_bucket,
        payload=_text(item.payload),
        context=_text(item.agent_context),
        latency_us=round(item.latency_ms * 1_000) if item.latency_us is None else item.latency_us,
        result=item.result,
        case_id=item.review_id,
    )


def _reviewed(item: _Case) -> Case:
    made = _moment(item.created_at)
    reasons = tuple(one.reason for one in item.policy_hits) if item.reasons is None else item.reasons
    return Case(
        item.id,
        Review(
            id=made,
            action_id=item.action_id,
            app_id=item.integration_id,
            created_at=made,
            expires_at=NEVER if item.expires_at is None else _moment(item.expires_at),
            status=item.state or item.status,
            digest=None,
            subject=item.subject,
            tenant=item.tenant,
            requester=item.requester,
            action_type=item.action_type,
            route=item.route,
            payload=_text(item.action_payload),
            reasons=reasons,
            priority=_word(item) or "normal",
            approver=item.approver,
            notes=item.approver_notes,
            resolved_at=None if item.resolved_at is None else _moment(item.resolved_at),
            used_at=None if item.used_at is None else _moment(item.used_at),
        ),
    )


def _word(item: _Hit | _Case) -> ReviewPriority | None:
    """The priority, where it is one of ours."""
    return next((known for known in PRIORITIES if known == item.priority), None)


def _moment(at: datetime.datetime) -> int:
    known = at if at.tzinfo is not None else at.replace(tzinfo=datetime.timezone.utc)
    return (known - _EPOCH) // _MICROSECOND


def _text(value: msgspec.Raw) -> str | None:
    """JSON text as the service wrote it."""
    text = bytes(value).decode("utf-8", "replace")
    return None if text == "null" else text
