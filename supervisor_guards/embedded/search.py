"""How a page of decisions or reviews is found: by an index, or by looking through a bounded number of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    ScalarSelect,
    Select,
    Table,
    case,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from supervisor_guards._desk import Choices, DecisionQuery, Page, ReviewQuery
from supervisor_guards._model import PRIORITIES
from supervisor_guards.embedded import queries, rows
from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.rows import Review, StoredDecision, clean_text
from supervisor_guards.embedded.schema import counts, decisions, reviews, rule_counts

T = TypeVar("T")

ROWS_LOOKED_THROUGH = 20_000
"""Of one page whose filters no index serves."""
ROLL_UPS_LOOKED_THROUGH = 10_000
_LAST_ID = 2**63 - 1
LATE_US = 600_000_000
"""How much later than its neighbours a row may have been made: it waited in a queue, or the clocks differ."""
_TEXT_LIMIT = 200


def find_decisions(
    connection: Connection,
    query: DecisionQuery,
    limit: int,
    cursor: int | None,
    among: Sequence[ColumnElement[bool]] = (),
) -> Page[StoredDecision]:
    """A page of what `query` finds, newest first; only of those for which the conditions of `among` hold.

    An application's own (`app_id`) are by an index where nothing else is asked for.
    """
    said = _said(query, "action_type", "route", "subject", "mode")
    rare = _said(query, "outcome", "would_have", "status")
    conditions = [*among, *(decisions.c[name] == value for name, value in said.items() if value is not None)]
    for name, value in rare.items():
        if value is not None:
            conditions += queries.equals(name, value)
    if query.rule is not None:
        conditions.append(queries.has_rule(connection, clean_text(query.rule)))
    if query.text is not None:
        columns = ("action_type", "route", "subject", "tenant", "rule_ids", "reasons")
        conditions.append(_contains(decisions, columns, query.text))
    filters = {**said, **rare, "rule": query.rule, "text": query.text}
    given = {name: value for name, value in filters.items() if value is not None}
    indexed = len(given) + len(among) <= 1 and all(
        name == "action_type" or (name in rare and value != queries.COMMON[name]) for name, value in given.items()
    )
    source = _Source(connection, decisions, decisions.c.time, queries.select_decisions(), rows.stored)
    if query.text is not None and cursor is None and (exact := source.named(query.text, conditions[:-1])):
        return Page(tuple(exact))
    return source.page(conditions, indexed, query.since, query.until, limit, cursor)


def find_reviews(
    connection: Connection,
    query: ReviewQuery,
    limit: int,
    cursor: int | None,
    oldest_first: bool,
    among: Sequence[ColumnElement[bool]] = (),
) -> Page[Review]:
    """A page of what `query` finds, newest first unless `oldest_first`; `among` as with `find_decisions`."""
    conditions = [*among, *review_filters(query)]
    if query.priority is not None:
        conditions.append(has_priority(query.priority))
    if query.text is not None:
        conditions.append(review_text(query.text))
    asked = len(conditions) - len(among)
    # With the status an application's own have an index, and without one they have none in the order of writing.
    indexed = (asked == 0 and not among) or (asked == 1 and query.status is not None and len(among) <= 1)
    source = _Source(connection, reviews, reviews.c.created_at, select(reviews), rows.review)
    if query.text is not None and cursor is None and (exact := source.named(query.text, conditions[:-1])):
        return Page(tuple(exact))
    return source.page(conditions, indexed, query.since, query.until, limit, cursor, oldest_first)


def review_filters(query: ReviewQuery) -> list[ColumnElement[bool]]:
    """What `query` compares with columns of a review, its priority and times excepted."""
    said = _said(query, "status", "action_type", "route", "subject")
    return [reviews.c[name] == value for name, value in said.items() if value is not None]


def review_text(text: str) -> ColumnElement[bool]:
    """That a review has `text` in it."""
    return _contains(reviews, ("action_type", "route", "subject", "requester", "approver", "reasons"), text)


def has_priority(priority: str) -> ColumnElement[bool]:
    """That a review has this priority; none has a word that is no priority."""
    return reviews.c.priority == (PRIORITIES.index(priority) if priority in PRIORITIES else -1)


def named(table: Table, action_id: str) -> ColumnElement[bool]:
    """That a row is of this very action."""
    return table.c.action_id == clean_text(action_id)


def choices(connection: Connection, app_id: str | None = None) -> Choices:
    """What the newest roll-ups hold: all of them, or an application's, whose rules they don't tell."""

    def newest(table: Table, *names: str) -> Sequence[Any]:
        lately = (
            select(*(table.c[name] for name in names))
            .order_by(table.c.minute.desc())
            .limit(ROLL_UPS_LOOKED_THROUGH)
            .subquery()
        )
        query = select(*lately.c).distinct()
        if app_id is not None:
            query = query.where(lately.c.app_id == app_id)
        return connection.execute(query).all()

    kinds = newest(counts, "app_id", "action_type", "route")
    rules = newest(rule_counts, "rule_id") if app_id is None else ()
    return Choices(
        tuple(sorted({row.action_type for row in kinds})),
        tuple(sorted({row.route for row in kinds} - {""})),
        tuple(sorted({row.rule_id for row in rules})),
    )


def span(connection: Connection, app_id: str | None = None) -> tuple[int, int] | None:
    """When the first and the last stored decision were made: of all, or of an application's."""
    first, last = (connection.execute(_made_at_end(app_id, newest=newest)).scalar() for newest in (False, True))
    return None if first is None or last is None else (min(first, last), max(first, last))


def of_application(app_id: str, before: int | None = None) -> list[ColumnElement[bool]]:
    """That a decision is an application's own, and older than `before`, a row's id; to be ordered by `app_id`, `id`.

    In words that leave one index with that order: where its decisions are all old, PostgreSQL would go through
    everybody's newer ones.
    """
    place = tuple_(decisions.c.app_id, decisions.c.id)
    return [place > (app_id, 0), place < (app_id, before or _LAST_ID)]


def _made_at_end(app_id: str | None, *, newest: bool) -> Select[Any]:
    order: list[ColumnElement[Any]] = [decisions.c.id]
    query = select(decisions.c.time).where(decisions.c.id > 0)  # SQLite then seeks the end
    if app_id is not None:
        query = query.where(*of_application(app_id))
        order.insert(0, decisions.c.app_id)
    return query.order_by(*(column.desc() if newest else column for column in order)).limit(1)


def recorded(connection: Connection, windows: Sequence[tuple[int, int]]) -> list[bool]:
    """Of each window whether roll-ups are in it: one look into the index for each."""
    minute = counts.c.minute
    looks = [
        exists().where(minute >= since // MINUTE_US, minute < -(-until // MINUTE_US)).select_from(counts)
        for since, until in windows
    ]
    return [bool(found) for found in connection.execute(select(*looks)).one()] if looks else []


class _Source:
    """A table whose `id` grows in the order of writing, and `made`, about as the id does."""

    def __init__(
        self,
        connection: Connection,
        table: Table,
        made: ColumnElement[int],
        rows_of: Select[Any],
        make: Callable[[dict[str, Any]], T],
    ) -> None:
        self._connection = connection
        self._table = table
        self._id: ColumnElement[int] = table.c.id
        self._made = made
        self._rows_of = rows_of
        self._make = make

    def named(self, action_id: str, conditions: Sequence[ColumnElement[bool]]) -> list[Any]:
        """The row of this very id, if the conditions hold."""
        query = self._rows_of.where(named(self._table, action_id), *conditions)
        return self._read(query)

    def page(
        self,
        conditions: list[ColumnElement[bool]],
        indexed: bool,
        since: int | None,
        until: int | None,
        limit: int,
        cursor: int | None,
        oldest_first: bool = False,
    ) -> Page[Any]:
        """At most `limit` rows from `cursor` on."""
        low, high = 0, None
        if not indexed or since is not None or until is not None:
            low, high = self._ends(since, until)
        if cursor is not None and oldest_first:
            low = max(low, cursor + 1)
        elif cursor is not None:
            high = cursor if high is None else min(high, cursor)
        # An id is never used twice, so this many ids are at most this many rows.
        whole = low, high
        if not indexed and high is not None:
            if oldest_first:
                high = min(high, low + ROWS_LOOKED_THROUGH)
            else:
                low = max(low, high - ROWS_LOOKED_THROUGH)
        query = self._rows_of.where(*conditions, self._id >= low)
        if high is not None:
            query = query.where(self._id < high)
        if since is not None:
            query = query.where(self._made >= since)
        if until is not None:
            query = query.where(self._made < until)
        found = self._read(query.order_by(self._id if oldest_first else self._id.desc()).limit(limit + 1))
        if len(found) > limit:
            return Page(tuple(found[:limit]), found[limit - 1].id)
        if (low, high) != whole:
            return Page(tuple(found), high - 1 if oldest_first and high is not None else low, complete=False)
        return Page(tuple(found))

    def _ends(self, since: int | None, until: int | None) -> tuple[int, int]:
        """The ids from which on, and before which, every row of the window is; one statement."""
        first, last = self._end(func.min), self._end(func.max) + 1
        low = first if since is None else self._first_made(since - LATE_US, "since")
        high = last if until is None else self._first_made(until + LATE_US, "until")
        found = self._connection.execute(select(low, high)).one()
        return found[0], found[1]

    def _end(self, of: Any) -> ColumnElement[int]:
        return func.coalesce(select(of(self._id)).scalar_subquery(), literal(0))

    def _first_made(self, moment: int, name: str) -> ScalarSelect[int]:
        """The id from which on rows were made at `moment` or later, by halving: no index by time is kept."""
        start = select(self._end(func.min).label("low"), (self._end(func.max) + 1).label("high"))
        seek = start.cte(f"{name}_at", recursive=True)
        middle = (seek.c.low + seek.c.high) // 2
        probe = self._table.alias(f"{name}_probe")
        made = select(probe.c[self._made.key or ""]).where(probe.c.id >= middle).order_by(probe.c.id).limit(1)
        earlier = made.correlate(seek).scalar_subquery() < moment
        seek = seek.union_all(
            select(case((earlier, middle + 1), else_=seek.c.low), case((earlier, seek.c.high), else_=middle)).where(
                seek.c.low < seek.c.high
            )
        )
        return select(seek.c.low).where(seek.c.low >= seek.c.high).scalar_subquery()

    def _read(self, query: Select[Any]) -> list[Any]:
        return [self._make(dict(row)) for row in self._connection.execute(query).mappings()]


def _said(query: DecisionQuery | ReviewQuery, *names: str) -> dict[str, str | None]:
    """Fields of `query` as texts that a database takes."""
    values = {name: getattr(query, name) for name in names}
    return {name: value if value is None else clean_text(value) for name, value in values.items()}


def _contains(table: Table, columns: Sequence[str], text: str) -> ColumnElement[bool]:
    sought = clean_text(text)[:_TEXT_LIMIT]
    return or_(
        table.c.action_id.istartswith(sought, autoescape=True),
        *(table.c[name].icontains(sought, autoescape=True) for name in columns),
    )
