"""Reviews in the database. What may follow what is in `transitions`."""

from __future__ import annotations

from sqlalchemy import Connection, and_, select, update

from supervisor_guards.embedded import rows
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.rows import Review
from supervisor_guards.embedded.schema import reviews
from supervisor_guards.embedded.transitions import Resolution, already, refusal, settled
from supervisor_guards.errors import ApprovalUsed


def find(connection: Connection, action_id: str, *, lock: bool = False) -> Review | None:
    """The review of `action_id`, held against other writers until the transaction ends if `lock`."""
    query = select(reviews).where(reviews.c.action_id == action_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return rows.review(dict(row)) if row else None


def expire(connection: Connection, now: int, action_id: str | None = None) -> None:
    """Turn what is pending past its time into expired: one case, or all."""
    due = and_(reviews.c.status == "pending", reviews.c.expires_at <= now)
    if action_id is not None:
        due = and_(due, reviews.c.action_id == action_id)
    connection.execute(update(reviews).where(due).values(status="expired", resolved_at=reviews.c.expires_at))


def resolve(
    connection: Connection,
    action_id: str,
    status: Resolution,
    approver: str,
    notes: str | None,
    now: int,
    valid_until: int | None,
) -> Review:
    """Decide a pending case, in one conditional UPDATE."""
    values: dict[str, object] = {
        "status": status, "approver": approver, "notes": notes, "resolved_at": now,
    }  # fmt: skip
    if valid_until is not None:
        values["expires_at"] = valid_until
    pending = and_(reviews.c.action_id == action_id, reviews.c.status == "pending", reviews.c.expires_at > now)
    won = connection.execute(update(reviews).where(pending).values(values)).rowcount
    review = find(connection, action_id)
    if review is None:
        raise ReviewNotFound(action_id)
    if not won:
        raise already(settled(review, now))
    return review


def redeem(connection: Connection, action_id: str, digest: str, subject: str | None, now: int) -> None:
    """Use up an approval. The row is locked from look to UPDATE, so of many callers one wins."""
    review = find(connection, action_id, lock=True)
    error = refusal(review, action_id, digest, subject, now)
    if error is None:
        approved = and_(reviews.c.action_id == action_id, reviews.c.status == "approved")
        values = {"status": "used", "used_at": now}
        if connection.execute(update(reviews).where(approved).values(values)).rowcount == 1:
            return
        error = ApprovalUsed("deny", ["used"], action_id)
    raise error


def mark_executed(connection: Connection, action_id: str, now: int) -> Review:
    """Note that the action ran without waiting: nothing is left to redeem. A used approval stays used."""
    unused = and_(reviews.c.action_id == action_id, reviews.c.status.not_in(("used", "executed")))
    connection.execute(update(reviews).where(unused).values(status="executed", used_at=now))
    review = find(connection, action_id)
    if review is None:
        raise ReviewNotFound(action_id)
    return review
