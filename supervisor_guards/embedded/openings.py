"""Decisions that wait for a person: stored in one transaction with the reviews they open, many at a time."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, insert

from supervisor_guards.embedded import queries, reviews, transitions
from supervisor_guards.embedded.ledger import Ledger
from supervisor_guards.embedded.rows import DecisionRow, Event, clean_text, with_case
from supervisor_guards.embedded.schema import reviews as review_table

__all__ = ["Opening", "Written", "append_all"]


class Opening(msgspec.Struct, frozen=True):
    """The review that a decision asks for. Times are microseconds since the epoch.

    `requester` is who asked, as far as the application said. Open reviews of the same since `same_since` are joined.
    """

    expires_at: int
    requester: str | None = None
    same_since: int | None = None


class Written(msgspec.Struct, frozen=True):
    """What became of a decision: the review it waits for, and whether it was stored now (else it was there)."""

    case_id: str | None
    fresh: bool


def append_all(
    held: Connection, ledger: Ledger, items: Sequence[tuple[DecisionRow, Opening | None]], now: int, *, look: bool
) -> list[Written]:
    """Append the decisions of one batch, those with an `Opening` with their reviews; what became of each, in order.

    Without `look` none of their action ids may be stored already: the database then refuses the whole batch.
    """
    known = queries.case_ids(held, [row.action_id for row, _ in items]) if look else {}
    written: list[Written] = []
    plain: list[DecisionRow] = []
    for row, opening in items:
        if row.action_id in known:
            written.append(Written(known[row.action_id], False))
            continue
        if opening is None:
            plain.append(row)
            known[row.action_id] = None
        else:
            known[row.action_id] = _append_with_review(held, ledger, row, opening, now)
        written.append(Written(known[row.action_id], True))
    if plain:
        ledger.append(held, plain)
    return written


def _append_with_review(held: Connection, ledger: Ledger, row: DecisionRow, opening: Opening, now: int) -> str:
    """The action id of the review that `row` waits for: an open one of the same, else its own."""
    who = clean_text(opening.requester) if opening.requester is not None else None
    case_id = reviews.same(held, row, who, now, opening.same_since)
    row = with_case(row, case_id or row.action_id)
    if case_id is not None:
        ledger.append(held, [row])
        return case_id
    opened = Event(action_id=row.action_id, time=row.time, kind="pending", actor=who, until=opening.expires_at)
    segment = ledger.append(held, [row], [opened])
    held.execute(insert(review_table), {**transitions.opened(row, opening.expires_at, who), "segment": segment})
    return row.action_id
