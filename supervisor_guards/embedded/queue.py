"""The queue of reviews: pending ones in the order in which people should look at them, by the index of that order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, ColumnElement, Connection, SmallInteger, literal, select, tuple_

from supervisor_guards._desk import Page, ReviewQuery
from supervisor_guards._records import queue_cursor, queue_place
from supervisor_guards.embedded import rows, search
from supervisor_guards.embedded.rows import Review
from supervisor_guards.embedded.schema import reviews

_ORDER = (reviews.c.priority, reviews.c.id)
_place = tuple_(*_ORDER)


def find_queue(
    connection: Connection,
    query: ReviewQuery,
    limit: int,
    cursor: int | None,
    among: Sequence[ColumnElement[bool]] = (),
) -> Page[Review]:
    """A page of the pending reviews that `query` finds, the highest priority first, then the oldest.

    `among` as with `find_decisions`. What isn't asked for by priority alone is looked for among 20,000 of them.
    """
    waiting = [reviews.c.status == "pending"]
    if query.priority is not None:
        waiting.append(search.has_priority(query.priority))
    if query.status == "pending":
        query = msgspec.structs.replace(query, status=None)  # said already, and nothing to look for
    filters = [*among, *search.review_filters(query)]
    if query.since is not None:
        filters.append(reviews.c.created_at >= query.since)
    if query.until is not None:
        filters.append(reviews.c.created_at < query.until)
    if query.text is not None:
        if cursor is None and (named := _read(connection, [*waiting, *filters, search.named(reviews, query.text)], 1)):
            return Page(tuple(case for case, _ in named))
        filters.append(search.review_text(query.text))
    if cursor is not None:
        waiting.append(_place > _at(*queue_place(cursor)))
    last = _last_looked_at(connection, waiting) if filters else None
    if last is not None:
        waiting.append(_place <= _at(*last))
    found = _read(connection, [*waiting, *filters], limit + 1)
    cases = tuple(case for case, _ in found[:limit])
    if len(found) > limit:
        return Page(cases, found[limit - 1][1])
    return Page(cases, None if last is None else queue_cursor(*last), complete=last is None)


def _last_looked_at(connection: Connection, waiting: Sequence[ColumnElement[bool]]) -> tuple[int, int] | None:
    """Where the reviews end that one page looks through; None where that is the end of the queue."""
    query = select(*_ORDER).where(*waiting).order_by(*_ORDER).offset(search.ROWS_LOOKED_THROUGH - 1).limit(1)
    row = connection.execute(query).first()
    return None if row is None else (row.priority, row.id)


def _at(place: int, row_id: int) -> ColumnElement[Any]:
    return tuple_(literal(place, SmallInteger), literal(row_id, BigInteger))


def _read(connection: Connection, conditions: Sequence[ColumnElement[bool]], limit: int) -> list[tuple[Review, int]]:
    """Reviews in the order of the queue, each with the cursor of its place."""
    query = select(reviews).where(*conditions).order_by(*_ORDER).limit(limit)
    found = connection.execute(query).mappings()
    return [(rows.review(dict(row)), queue_cursor(row["priority"], row["id"])) for row in found]
