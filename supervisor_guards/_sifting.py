"""What the database is searched for, among rows in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any, TypeVar

from supervisor_guards._desk import DecisionQuery, Page, ReviewQuery
from supervisor_guards._records import Review, StoredDecision, place_of, queue_cursor, queue_place

Row = TypeVar("Row", StoredDecision, Review)

_SAME = ("action_type", "route", "subject", "mode", "outcome", "would_have", "status", "priority")
_TEXTS = ("action_type", "route", "subject", "tenant", "requester", "approver")


def page(
    found: Sequence[Row], query: DecisionQuery | ReviewQuery, limit: int, cursor: int | None, oldest_first: bool
) -> Page[Row]:
    """A page of those of `found`, oldest first, that `query` finds."""
    ordered: Iterable[Row] = found if oldest_first else reversed(found)
    if cursor is not None:
        ordered = (row for row in ordered if (row.id > cursor if oldest_first else row.id < cursor))
    rows = tuple(islice((row for row in ordered if matches(row, query)), limit + 1))
    return Page(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)


def queue(found: Iterable[Review], query: ReviewQuery, limit: int, cursor: int | None) -> Page[Review]:
    """A page of the pending ones of `found` that `query` finds, the highest priority first, then the oldest."""
    after = (-1, 0) if cursor is None else queue_place(cursor)
    waiting = (case for case in queued(found) if _place(case) > after and matches(case, query))
    rows = tuple(islice(waiting, limit + 1))
    return Page(rows[:limit], queue_cursor(*_place(rows[limit - 1])) if len(rows) > limit else None)


def queued(found: Iterable[Review]) -> list[Review]:
    """The pending ones of `found`, in the order of the queue."""
    return sorted((case for case in found if case.status == "pending"), key=_place)


def _place(case: Review) -> tuple[int, int]:
    return place_of(case.priority), case.id


def matches(row: StoredDecision | Review, query: DecisionQuery | ReviewQuery) -> bool:
    """Whether `query` finds `row`."""
    made = row.time if isinstance(row, StoredDecision) else row.created_at
    rules = row.rule_ids if isinstance(row, StoredDecision) else ()
    rule = query.rule if isinstance(query, DecisionQuery) else None
    return (
        all(_same(getattr(query, name, None), getattr(row, name, None)) for name in _SAME)
        and (rule is None or rule in rules)
        and (query.since is None or made >= query.since)
        and (query.until is None or made < query.until)
        and (query.text is None or _holds(row, rules, query.text.lower()))
    )


def _same(wanted: Any, value: Any) -> bool:
    return wanted is None or wanted == value


def _holds(row: StoredDecision | Review, rules: Sequence[str], text: str) -> bool:
    texts = (getattr(row, name, None) or "" for name in _TEXTS)
    return row.action_id.lower().startswith(text) or any(text in one.lower() for one in (*texts, *rules, *row.reasons))
