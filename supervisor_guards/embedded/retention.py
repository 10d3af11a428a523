"""Deletes the old end of the record, whole segments at a time, and leaves a signed tombstone in their place."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, delete, func, insert, select

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.schema import decisions, drops, events, reviews, segments, tombstones
from supervisor_guards.embedded.transitions import OPEN

DAY_US = 86_400_000_000


def purge(connection: Connection, before: int, batch: int, now: int, sealer: Sealer) -> int:
    """Delete segments written before then, oldest first, of about `batch` rows; how many rows went.

    It stops at a segment whose review is still open. Roll-ups stay. Within a transaction.
    """
    old = _old_segments(connection, before, batch)
    connection.execute(delete(drops).where(drops.c.time < before))
    if not old:
        return 0
    last, head = old[-1].segment, old[-1].head
    gone = {table: sum(getattr(row, table.name[3:]) for row in old) for table in (decisions, events)}
    rows = sum(_delete_oldest(connection, table, last, count) for table, count in gone.items())
    rows += connection.execute(delete(reviews).where(reviews.c.segment <= last)).rowcount
    connection.execute(delete(segments).where(segments.c.segment <= last))
    _leave_tombstone(connection, (last, head, now, gone[decisions], gone[events], sealer.key_id), sealer)
    return rows


def _old_segments(connection: Connection, before: int, batch: int) -> list[Any]:
    open_review = select(func.min(reviews.c.segment)).where(reviews.c.status.in_(OPEN))
    stop = connection.execute(open_review).scalar()
    query = select(segments).order_by(segments.c.segment).limit(batch)
    found: list[Any] = []
    rows = 0
    for row in connection.execute(query):
        rows += row.decisions + row.events
        if row.time >= before or (stop is not None and row.segment >= stop) or (found and rows > batch):
            break
        found.append(row)
    return found


def _delete_oldest(connection: Connection, table: Table, last: int, count: int) -> int:
    """Delete the rows of segments up to `last`, of which there are `count`: found by number, not by a scan."""
    oldest = select(table.c.id).order_by(table.c.id).limit(count)
    return connection.execute(delete(table).where(table.c.id.in_(oldest), table.c.segment <= last)).rowcount


def _leave_tombstone(connection: Connection, values: tuple[int, str, int, int, int, str], sealer: Sealer) -> None:
    """Say what is gone. The tombstones of one day become one."""
    segment, head, now, gone_decisions, gone_events, key_id = values
    newest = connection.execute(select(tombstones).order_by(tombstones.c.segment.desc()).limit(1)).first()
    if newest is not None and newest.key_id == key_id and newest.time // DAY_US == now // DAY_US:
        connection.execute(delete(tombstones).where(tombstones.c.segment == newest.segment))
        gone_decisions += newest.decisions
        gone_events += newest.events
    content = (segment, head, now, gone_decisions, gone_events, key_id)
    connection.execute(insert(tombstones).values((*content, sealer.tombstone(content))))
