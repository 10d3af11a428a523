"""Reviews in the database. What may follow what is in `transitions`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from supervisor_guards.embedded import rows
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.evidence import same as same_hash
from supervisor_guards.embedded.rows import DecisionRow, Event, Review
from supervisor_guards.embedded.schema import events, reviews
from supervisor_guards.embedded.transitions import OPEN, Claim, Resolution, already, refusal, settled
from supervisor_guards.errors import ApprovalInvalid, ApprovalUsed, SupervisorBlocked

_NAMED = 500
"""Cases named in one statement: SQLite before 3.32 takes 999 parameters."""


def find(connection: Connection, action_id: str, *, lock: bool = False) -> Review | None:
    """The review of `action_id`, held against other writers until the transaction ends if `lock`."""
    query = select(reviews).where(reviews.c.action_id == action_id)
    row = connection.execute(query.with_for_update() if lock else query).mappings().first()
    return rows.review(dict(row)) if row else None


def same(connection: Connection, row: DecisionRow, requester: str | None, now: int, since: int | None) -> str | None:
    """The action id of an open review of the same thing by the same people, made since then; None without."""
    if since is None or not row.digest:
        return None
    alike = {name: getattr(row, name) for name in ("app_id", "digest", "action_type", "route", "subject", "tenant")}
    query = (
        select(reviews.c.action_id)
        .where(*(reviews.c[name].is_not_distinct_from(value) for name, value in alike.items()))
        .where(reviews.c.requester.is_not_distinct_from(requester))
        .where(reviews.c.status.in_(OPEN), reviews.c.created_at > since, reviews.c.expires_at > now)
        .order_by(reviews.c.id.desc())
        .limit(1)
    )
    return connection.execute(query).scalar()


def expire(connection: Connection, now: int, action_id: str) -> bool:
    """Turn this case into an expired one, if it is open past its time; whether it was."""
    due = [reviews.c.action_id == action_id, reviews.c.status.in_(OPEN), reviews.c.expires_at <= now]
    return connection.execute(update(reviews).where(*due).values(_expired())).rowcount > 0


def expire_some(connection: Connection, now: int, most: int) -> list[str]:
    """Turn up to `most` cases that are open past their time into expired ones; their action ids."""
    over: list[str] = []
    for status in OPEN:
        # One state at a time and in the order of its index, of which no more is then read than is taken.
        due = select(reviews.c.action_id).where(reviews.c.status == status, reviews.c.expires_at <= now)
        longest = due.order_by(reviews.c.expires_at).limit(most - len(over)).with_for_update()
        # Two statements: RETURNING needs SQLite 3.35.
        over += connection.execute(longest).scalars()
    for start in range(0, len(over), _NAMED):
        named = reviews.c.action_id.in_(over[start : start + _NAMED])
        connection.execute(update(reviews).where(named).values(_expired()))
    return over


def any_due(connection: Connection, now: int) -> bool:
    """Whether a review is open past its time."""
    due = and_(reviews.c.status.in_(OPEN), reviews.c.expires_at <= now)
    return connection.execute(select(reviews.c.id).where(due).limit(1)).first() is not None


def _expired() -> dict[str, Any]:
    return {"status": "expired", "resolved_at": func.coalesce(reviews.c.resolved_at, reviews.c.expires_at)}


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


def redeem(connection: Connection, action_id: str, claim: Claim, now: int, sealer: Sealer) -> SupervisorBlocked | None:
    """Use up an approval; what refuses, if it can't be. The row is locked, so of many callers one wins."""
    review = find(connection, action_id, lock=True)
    error = refusal(review, action_id, claim, now)
    if error is None and not _approved(connection, action_id, sealer):
        error = ApprovalInvalid("deny", ["approval-not-authentic"], action_id)
    if error is None:
        approved = and_(reviews.c.action_id == action_id, reviews.c.status == "approved")
        values = {"status": "used", "used_at": now}
        if connection.execute(update(reviews).where(approved).values(values)).rowcount != 1:
            error = ApprovalUsed("deny", ["used"], action_id)
    return error


def _approved(connection: Connection, action_id: str, sealer: Sealer) -> bool:
    """Whether the record holds an approval made with our key: an edited status alone opens nothing."""
    columns = [events.c[name] for name in (*Event.__struct_fields__, "segment", "mac")]
    query = select(*columns).where(events.c.action_id == action_id, events.c.kind == "approved")
    found: Sequence[Any] = connection.execute(query).all()
    return any(same_hash(sealer.event(row[-2], row[:-2]), row[-1]) for row in found)


def mark_executed(connection: Connection, action_id: str, now: int) -> tuple[bool, Review]:
    """Note that the action ran without waiting: nothing is left to redeem. A used approval stays used.

    Whether that changed anything, and the review.
    """
    unused = and_(reviews.c.action_id == action_id, reviews.c.status.not_in(("used", "executed")))
    changed = connection.execute(update(reviews).where(unused).values(status="executed", used_at=now)).rowcount
    review = find(connection, action_id)
    if review is None:
        raise ReviewNotFound(action_id)
    return changed > 0, review
