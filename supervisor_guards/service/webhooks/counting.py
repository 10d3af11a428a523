"""What is counted of deliveries: those that wait, and how the others ended, whichever process made them."""

from __future__ import annotations

from collections import Counter

import msgspec
from sqlalchemy import Connection, func, literal_column, select, text

from supervisor_guards.service.schema import deliveries, delivery_ends, subscriptions

__all__ = ["ENDS", "Counted", "add_ends", "counted"]

ENDS = ("delivered", "failed", "canceled")
_ADD = text(
    "INSERT INTO sv_delivery_ends (status, count) VALUES (:status, :count) "
    "ON CONFLICT (status) DO UPDATE SET count = sv_delivery_ends.count + excluded.count"
)


class Counted(msgspec.Struct, frozen=True):
    """`oldest_at` is when the oldest one that waits was made (microseconds); None where none waits."""

    pending: int
    oldest_at: int | None
    ends: dict[str, int]
    """How often a delivery ended so, since the service began: those that were deleted meanwhile, too."""


def add_ends(held: Connection, ends: Counter[str]) -> None:
    """Add deliveries that ended, by how. The last thing a transaction does with them."""
    # In one order, so that no two processes wait for each other.
    for status in sorted(ends):
        if ends[status]:
            held.execute(_ADD, {"status": status, "count": ends[status]})


def counted(held: Connection) -> Counted:
    """Found by way of the active webhooks, which are few: their deliveries have an index by state."""
    waiting = (deliveries.c.subscription_id == subscriptions.c.id, deliveries.c.status == literal_column("'pending'"))
    query = select(
        select(func.count()).where(*waiting).correlate(subscriptions).scalar_subquery(),
        select(func.min(deliveries.c.id)).where(*waiting).correlate(subscriptions).scalar_subquery(),
    ).where(subscriptions.c.disabled_at.is_(None))
    found = held.execute(query).all()
    oldest = min((row[1] for row in found if row[1] is not None), default=None)
    made = select(deliveries.c.created_at).where(deliveries.c.id == oldest)
    ends: dict[str, int] = dict.fromkeys(ENDS, 0)
    columns = delivery_ends.c.status, delivery_ends.c.count
    for status, count in held.execute(select(*columns).where(delivery_ends.c.status.in_(ENDS))):
        ends[status] = count
    return Counted(
        pending=sum(row[0] for row in found),
        oldest_at=None if oldest is None else held.execute(made).scalar(),
        ends=ends,
    )
