"""Deliveries in the database: claimed by one process at a time, settled, listed, and sent again.

A delivery is pending until it is delivered, failed (every attempt was) or canceled (its subscription was disabled).
Who claims one writes a lease; where the process dies, the delivery is due again when that lapses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, func, literal_column, select, update

from supervisor_guards.service import wakeups
from supervisor_guards.service.schema import deliveries as table
from supervisor_guards.service.schema import subscriptions
from supervisor_guards.service.webhooks.counting import add_ends
from supervisor_guards.service.webhooks.subscriptions import Subscription

__all__ = [
    "STATUSES", "Claimed", "Delivery", "Settled", "again", "claim", "due", "find", "get", "new_delivery", "number_of",
    "purge", "settle",
]  # fmt: skip

STATUSES = ("pending", "delivered", "failed", "canceled")
PAGE = 100
_FIRST_PAUSE = 5_000_000
_LONGEST_PAUSE = 3_600_000_000
_PENDING = table.c.status == literal_column("'pending'")
"""Not a parameter: an index is for these alone, and SQLite has to see that when it plans."""
_COLUMNS = [column for column in table.c if column.name != "lease"]


class Delivery(msgspec.Struct, frozen=True):
    """A row. Times are in microseconds; `answer` is what came of the last attempt, at `answered_at`."""

    id: int
    subscription_id: str
    event: str
    action_id: str
    body: str
    status: str
    attempts: int
    next_at: int
    created_at: int
    answered_at: int | None
    answer: str | None

    @property
    def name(self) -> str:
        """What receivers know it by: the same for each attempt, and used for nothing else."""
        return f"{self.subscription_id}-{self.id}"


class Claimed(msgspec.Struct, frozen=True):
    """A delivery that this process is to make, under its `lease`."""

    delivery: Delivery
    subscription: Subscription
    lease: str


class Settled(msgspec.Struct, frozen=True):
    """What came of a claimed delivery; `answer` None gives it back untried."""

    claimed: Claimed
    answer: str | None
    accepted: bool
    at: int


def new_delivery(subscription_id: str, event: str, action_id: str, body: str, now: int) -> dict[str, Any]:
    """The row of a delivery that is due at once."""
    return {
        "subscription_id": subscription_id, "event": event, "action_id": action_id, "body": body,
        "status": "pending", "attempts": 0, "next_at": now, "created_at": now,
    }  # fmt: skip


def pause(attempts: int) -> int:
    """How long to wait after so many attempts, in microseconds: 5 s, doubling up to an hour."""
    return min(_FIRST_PAUSE << min(attempts - 1, 20), _LONGEST_PAUSE)


def due(held: Connection) -> dict[str, int]:
    """When the next delivery of each active subscription that has one is due."""
    first = (
        select(func.min(table.c.next_at))
        .where(table.c.subscription_id == subscriptions.c.id, _PENDING)
        .scalar_subquery()
    )
    query = select(subscriptions.c.id, first).where(subscriptions.c.disabled_at.is_(None))
    return {row[0]: row[1] for row in held.execute(query) if row[1] is not None}


def claim(held: Connection, subscription_id: str, limit: int, now: int, until: int, lease: str) -> list[Claimed]:
    """At most `limit` due deliveries, which nobody else gets before `until`. Within a transaction."""
    # A transaction of SQLite's holds the only write lock; PostgreSQL skips what another process is claiming.
    query = (
        select(*_COLUMNS)
        .where(table.c.subscription_id == subscription_id, _PENDING, table.c.next_at <= now)
        .order_by(table.c.next_at, table.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    )
    found = [Delivery(**row) for row in held.execute(query).mappings()]
    if not found:
        return []
    row = held.execute(select(subscriptions).where(subscriptions.c.id == subscription_id)).mappings().one()
    if row["disabled_at"] is not None:
        return []
    ids = [one.id for one in found]
    held.execute(update(table).where(table.c.id.in_(ids)).values(lease=lease, next_at=until))
    subscription = Subscription(**row)
    return [Claimed(one, subscription, lease) for one in found]


def settle(held: Connection, settled: Sequence[Settled], attempts: int) -> None:
    """Write down what came of them; what wasn't accepted is due again, unless it had `attempts`."""
    ends: Counter[str] = Counter()
    for one in settled:
        delivery = one.claimed.delivery
        mine = [table.c.id == delivery.id, _PENDING, table.c.lease == one.claimed.lease]
        if one.answer is None:
            held.execute(update(table).where(*mine).values(next_at=one.at, lease=None))
            wakeups.tell(held, wakeups.DELIVERIES)
            continue
        tried = delivery.attempts + 1
        values: dict[str, Any] = {
            "attempts": tried, "answered_at": one.at, "answer": one.answer, "lease": None,
        }  # fmt: skip
        if one.accepted:
            # Whatever happened to it meanwhile: the receiver has it.
            mine = mine[:1]
            values["status"] = "delivered"
        elif tried >= attempts:
            values["status"] = "failed"
        else:
            values["next_at"] = one.at + pause(tried)
        changed = held.execute(update(table).where(*mine).values(values)).rowcount
        if "status" in values:
            ends[values["status"]] += changed
    add_ends(held, ends)


def find(
    held: Connection, subscription_id: str, limit: int, before: int | None = None, status: str | None = None
) -> list[Delivery]:
    """A page of a subscription's deliveries, newest first; `before` is the last one's `id`."""
    query = select(*_COLUMNS).where(table.c.subscription_id == subscription_id).order_by(table.c.id.desc())
    if status is not None:
        query = query.where(table.c.status == status)
    if before is not None:
        query = query.where(table.c.id < before)
    return [Delivery(**row) for row in held.execute(query.limit(limit)).mappings()]


def get(held: Connection, subscription_id: str, delivery_id: int) -> Delivery:
    """One delivery. Raises `LookupError`."""
    query = select(*_COLUMNS).where(table.c.id == delivery_id, table.c.subscription_id == subscription_id)
    row = held.execute(query).mappings().first()
    if row is None:
        raise LookupError("delivery not found")
    return Delivery(**row)


def number_of(subscription: Subscription, name: str) -> int:
    """The `id` of the delivery of `subscription` that has this `name`. Raises `LookupError`."""
    owner, _, text = name.rpartition("-")
    if owner != subscription.id or not (text.isascii() and text.isdigit() and len(text) < 19):
        raise LookupError("delivery not found")
    return int(text)


def again(held: Connection, delivery: Delivery, now: int) -> None:
    """Make it due now, with all its attempts, whatever came of it. One that is being made stays as it is."""
    free = (table.c.id == delivery.id, table.c.lease.is_(None))
    held.execute(update(table).where(*free).values(status="pending", attempts=0, next_at=now))


def purge(held: Connection, before: int, limit: int) -> int:
    """Delete at most `limit` of the oldest deliveries that were made before then and aren't pending; how many."""
    oldest = select(table.c.id, table.c.status, table.c.created_at).order_by(table.c.id).limit(limit)
    gone = [row.id for row in held.execute(oldest) if row.created_at < before and row.status != "pending"]
    if gone:
        held.execute(delete(table).where(table.c.id.in_(gone)))
    return len(gone)
