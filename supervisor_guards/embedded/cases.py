"""Whether each review stands where the record of its events says. Reads, never writes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, RowMapping, select

from supervisor_guards._records import place_of, priority_of
from supervisor_guards.embedded import rows
from supervisor_guards.embedded.rows import Event
from supervisor_guards.embedded.schema import decisions, events, reviews

_PAGE = 500
_COPIED = ("app_id", "digest", "subject", "tenant", "action_type", "route", "payload", "reasons")
"""What a review has from its decision."""


def case_findings(connection: Connection) -> Iterator[tuple[str, str]]:
    """(action id, what is wrong) of each review that its events and its decision don't bear out."""
    last = 0
    while True:
        page = select(reviews).where(reviews.c.id > last).order_by(reviews.c.id).limit(_PAGE)
        found = connection.execute(page).mappings().all()
        if not found:
            return
        last = found[-1]["id"]
        yield from _checked(connection, found)


def case_problem(connection: Connection, action_id: str) -> str | None:
    """What is wrong with the review of one action; None where nothing is, or where there is no review."""
    row = connection.execute(select(reviews).where(reviews.c.action_id == action_id)).mappings().first()
    return next((problem for _, problem in _checked(connection, [row])), None) if row else None


def _checked(connection: Connection, cases: Sequence[RowMapping]) -> Iterator[tuple[str, str]]:
    ids = [case["action_id"] for case in cases]
    happened = _events(connection, ids)
    decided = _decisions(connection, ids)
    for case in cases:
        action_id = case["action_id"]
        try:
            problem = _problem(case, happened[action_id], decided.get(action_id))
        except msgspec.DecodeError:
            problem = "it or its decision holds what nobody wrote"
        if problem is not None:
            yield action_id, problem


def _events(connection: Connection, action_ids: Sequence[str]) -> Mapping[str, list[Event]]:
    columns = [events.c[name] for name in Event.__struct_fields__]
    query = select(*columns).where(events.c.action_id.in_(action_ids)).order_by(events.c.id)
    found: dict[str, list[Event]] = defaultdict(list)
    for row in connection.execute(query).mappings():
        if row["kind"] not in (*rows.RESULTS, "refused"):
            found[row["action_id"]].append(Event(**row))
    return found


def _decisions(connection: Connection, action_ids: Sequence[str]) -> dict[str, Any]:
    columns = [decisions.c[name] for name in ("action_id", "time", "hits", *_COPIED)]
    query = select(*columns).where(decisions.c.action_id.in_(action_ids))
    return {row["action_id"]: row for row in connection.execute(query).mappings()}


def _problem(case: RowMapping, happened: Sequence[Event], decision: Mapping[str, Any] | None) -> str | None:
    review = rows.review(dict(case))
    if not happened or happened[0].kind != "pending" or decision is None:
        return "the record has no opening of it"
    for name in _COPIED:
        was = rows.reasons(decision["reasons"]) if name == "reasons" else decision[name]
        if getattr(review, name) != was:
            return f"its {name} is not that of the decision"
    if case["priority"] != place_of(priority_of(rows.hits(decision["hits"]))):
        return "its priority is not that of the rules that hit"
    opened, newest = happened[0], happened[-1]
    if review.status != newest.kind:
        return f"it is {review.status!r}, but the last thing recorded is {newest.kind!r}"
    resolved = next((event for event in happened if event.kind in ("approved", "rejected", "abandoned")), None)
    expired = any(event.kind == "expired" for event in happened)
    expected = {
        "requester": opened.actor,
        "created_at": opened.time,
        "expires_at": resolved.until if resolved is not None and resolved.until is not None else opened.until,
        "approver": resolved and resolved.actor,
        "notes": resolved and resolved.notes,
        "resolved_at": resolved.time if resolved is not None else opened.until if expired else None,
        "used_at": newest.time if newest.kind in ("used", "executed") else None,
    }
    for name, value in expected.items():
        if getattr(review, name) != value:
            return f"its {name} is not the one recorded"
    return None
