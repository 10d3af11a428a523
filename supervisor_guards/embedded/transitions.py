"""What may happen to a review: pending, then one resolution; approved, then one redemption. No I/O."""

from __future__ import annotations

import hmac
from datetime import datetime, timezone
from typing import Any, Literal

import msgspec

from supervisor_guards._records import place_of, priority_of
from supervisor_guards.embedded import rows
from supervisor_guards.embedded.errors import ReviewResolved
from supervisor_guards.embedded.rows import DecisionRow, Review
from supervisor_guards.errors import ApprovalInvalid, ApprovalUsed, SupervisorBlocked

Resolution = Literal["approved", "rejected", "abandoned"]
RESOLUTIONS: tuple[Resolution, ...] = ("approved", "rejected", "abandoned")

FINAL = ("rejected", "expired", "abandoned", "used", "executed")
"""What nothing follows: these a purge may take."""


def check_resolution(status: str) -> None:
    """Raises `ValueError` for what no reviewer can decide."""
    if status not in RESOLUTIONS:
        raise ValueError(f"resolution {status!r}: choose one of {', '.join(RESOLUTIONS)}")


def opened(row: DecisionRow, expires_at: int, requester: str | None) -> dict[str, Any]:
    """The pending review of `row`, as a database row without its id."""
    return {
        "action_id": row.action_id, "app_id": row.app_id, "created_at": row.time,
        "expires_at": expires_at, "status": "pending",
        "digest": row.digest, "subject": row.subject, "tenant": row.tenant, "requester": requester,
        "action_type": row.action_type, "route": row.route, "payload": row.payload,
        "reasons": rows.as_json(row.reasons), "priority": place_of(priority_of(row.hits)),
    }  # fmt: skip


OPEN = ("pending", "approved")
"""What a repeated request joins, and what keeps a purge away."""


def same(review: Review, row: DecisionRow, requester: str | None, since: int | None) -> bool:
    """Whether `row` asks for what `review` decides: the same content by the same people, not long ago."""
    return (
        since is not None
        and bool(row.digest)
        and review.status in OPEN
        and review.created_at > since
        and (review.app_id, review.digest) == (row.app_id, row.digest)
        and (review.action_type, review.route) == (row.action_type, row.route)
        and (review.subject, review.tenant, review.requester) == (row.subject, row.tenant, requester)
    )


def lapsed(review: Review, now: int) -> bool:
    """Whether nobody decided in time, or used the approval."""
    return review.status in OPEN and review.expires_at <= now


def already(review: Review) -> ReviewResolved:
    """The error for who comes second."""
    when = None
    if review.resolved_at is not None:
        moment = datetime.fromtimestamp(review.resolved_at / 1_000_000, timezone.utc)
        when = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return ReviewResolved(review.action_id, review.status, review.approver, when)


class Claim(msgspec.Struct, frozen=True):
    """What wants to use up an approval. An `action_type` of None is not compared.

    Nor are subject, route and tenant where all three are None: no request is being served, as when a worker runs
    later what a request had asked for. The program that runs it then answers for whose it is.
    """

    digest: str
    subject: str | None = None
    action_type: str | None = None
    route: str | None = None
    tenant: str | None = None
    app_id: str | None = None
    """Whose approval it must be, where one store serves several applications; None isn't compared."""

    @property
    def in_request(self) -> bool:
        """Whether an adapter knows whose request this is."""
        return (self.subject, self.route, self.tenant) != (None, None, None)


def refusal(review: Review | None, action_id: str, claim: Claim, now: int) -> SupervisorBlocked | None:
    """Why an approval can't be redeemed; None when it can.

    Whose and what for comes first: a stranger who has the id alone doesn't learn how the review ended.
    """
    if review is None or (claim.app_id is not None and claim.app_id != review.app_id):
        return ApprovalInvalid("deny", ["not-found"], action_id)
    if claim.in_request:
        for name in ("subject", "tenant", "route"):
            if getattr(review, name) != getattr(claim, name):
                return ApprovalInvalid("deny", [f"other-{name}"], action_id)
    if claim.action_type is not None and review.action_type != claim.action_type:
        return ApprovalInvalid("deny", ["other-action"], action_id)
    if review.digest is None or not hmac.compare_digest(review.digest.encode(), claim.digest.encode()):
        return ApprovalInvalid("deny", ["other-content"], action_id)
    if review.status == "used":
        return ApprovalUsed("deny", ["used"], action_id)
    if review.status == "executed":
        return ApprovalUsed("deny", ["already-executed"], action_id)
    if review.status == "approved" and review.expires_at > now:
        return None
    return ApprovalInvalid("deny", [settled(review, now).status], action_id)


def settled(review: Review, now: int) -> Review:
    """`review`, expired if its time is over, whether or not that has been stored."""
    if not lapsed(review, now):
        return review
    resolved_at = review.expires_at if review.resolved_at is None else review.resolved_at
    return rows.replace(review, status="expired", resolved_at=resolved_at)
