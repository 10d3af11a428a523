"""What may happen to a review: pending, then one resolution; approved, then one redemption. No I/O."""

from __future__ import annotations

import hmac
from datetime import datetime, timezone
from typing import Any, Literal

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
        "action_id": row.action_id, "created_at": row.time, "expires_at": expires_at, "status": "pending",
        "digest": row.digest, "subject": row.subject, "requester": requester,
        "action_type": row.action_type, "route": row.route, "payload": row.payload,
        "reasons": rows.as_json(row.reasons),
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
        and (review.digest, review.action_type, review.route) == (row.digest, row.action_type, row.route)
        and (review.subject, review.requester) == (row.subject, requester)
    )


def lapsed(review: Review, now: int) -> bool:
    """Whether nobody decided in time."""
    return review.status == "pending" and review.expires_at <= now


def already(review: Review) -> ReviewResolved:
    """The error for who comes second."""
    when = None
    if review.resolved_at is not None:
        moment = datetime.fromtimestamp(review.resolved_at / 1_000_000, timezone.utc)
        when = moment.strftime("%Y-%m-%d %H:%M:%S UTC")
    return ReviewResolved(review.action_id, review.status, review.approver, when)


def refusal(
    review: Review | None, action_id: str, digest: str, subject: str | None, now: int
) -> SupervisorBlocked | None:
    """Why an approval can't be redeemed; None when it can.

    Whose and what for comes first: a stranger who has the id alone doesn't learn how the review ended.
    """
    if review is None:
        return ApprovalInvalid("deny", ["not-found"], action_id)
    if review.subject != subject:
        return ApprovalInvalid("deny", ["other-subject"], action_id)
    if review.digest is None or not hmac.compare_digest(review.digest.encode(), digest.encode()):
        return ApprovalInvalid("deny", ["other-content"], action_id)
    if review.status == "used":
        return ApprovalUsed("deny", ["used"], action_id)
    if review.status == "executed":
        return ApprovalUsed("deny", ["already-executed"], action_id)
    if review.status == "approved" and review.expires_at > now:
        return None
    over = review.expires_at <= now and review.status in ("pending", "approved")
    reason = "expired" if over else review.status
    return ApprovalInvalid("deny", [reason], action_id)


def settled(review: Review, now: int) -> Review:
    """`review`, expired if its time is over, whether or not that has been stored."""
    if not lapsed(review, now):
        return review
    return rows.replace(review, status="expired", resolved_at=review.expires_at)
