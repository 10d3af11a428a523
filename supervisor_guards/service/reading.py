"""What the API's lists read: each by an index, in pages, and an application's own alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Table, and_, or_, select

from supervisor_guards._desk import Page
from supervisor_guards.embedded import queries, rows
from supervisor_guards.embedded.rows import Review, StoredDecision
from supervisor_guards.embedded.schema import decisions, reviews
from supervisor_guards.embedded.search import of_application
from supervisor_guards.service.principals import ANY_SCOPE, Integration, Principal

PAGE = 100
"""Reviews in one page, at most."""
RESOLVED = {"approved": ("approved", "used", "executed"), "rejected": ("rejected", "expired", "abandoned")}
"""Version 1 knows two ends of a review; ours are told under the one that an old client must take them for."""

STATES = ("pending", *(state for states in RESOLVED.values() for state in states))


def version_1_status(status: str) -> str:
    """The status as version 1 says it."""
    return next((known for known, ours in RESOLVED.items() if status in ours), "pending")


def find_reviews(
    held: Connection, caller: Principal, status: str | None, limit: int, before: tuple[int, int] | None = None
) -> list[Review]:
    """A page of reviews: pending ones by age, newest first; resolved ones by when they were, last first.

    People see all. `before` is (resolved_at or id, id) of the last one of the page before.
    """
    mine = own(reviews, caller)
    found: list[Review] = []
    if status is None or status == "pending":
        query = select(reviews).where(*mine).order_by(reviews.c.id.desc()).limit(limit)
        if before is not None:
            query = query.where(reviews.c.id < before[1])
        if status is None and not mine:
            return _reviews(held, query)
        # An application's own are in the order of writing state by state.
        for one in ("pending",) if status == "pending" else STATES:
            found += _reviews(held, query.where(reviews.c.status == one))
        return sorted(found, key=lambda one: one.id, reverse=True)[:limit]
    for one in RESOLVED.get(status, (status,)):
        query = select(reviews).where(*mine, reviews.c.status == one)
        if before is None or before[0]:
            found += _reviews(held, _by_time(query, before).limit(limit))
        if one == "executed" and len(found) < limit:
            # They ran without anybody's word: most have no time at which they were resolved, and come last.
            unheard = query.where(reviews.c.resolved_at.is_(None)).order_by(reviews.c.id.desc())
            if before is not None and not before[0]:
                unheard = unheard.where(reviews.c.id < before[1])
            found += _reviews(held, unheard.limit(limit))
    return sorted(found, key=lambda one: (one.resolved_at or 0, one.id), reverse=True)[:limit]


def _by_time(query: Any, before: tuple[int, int] | None) -> Any:
    if before is None:
        query = query.where(reviews.c.resolved_at.is_not(None))
    else:
        earlier = and_(reviews.c.resolved_at == before[0], reviews.c.id < before[1])
        query = query.where(or_(reviews.c.resolved_at < before[0], earlier))
    return query.order_by(reviews.c.resolved_at.desc(), reviews.c.id.desc())


def find_decisions(
    held: Connection,
    caller: Principal,
    limit: int,
    *,
    before: int | None = None,
    outcome: str | None = None,
    include_shadow: bool = True,
) -> Page[StoredDecision]:
    """A page of decisions, newest first; people see all. `before` is the last one's `id` of the page before."""
    query = queries.select_decisions()
    order = [decisions.c.id.desc()]
    if isinstance(caller, Integration):
        query = query.where(*of_application(caller.id, before), *_within(decisions, caller))
        order.insert(0, decisions.c.app_id.desc())
        if outcome is not None:
            query = query.where(decisions.c.outcome == outcome)
    elif outcome is not None:
        query = query.where(*queries.equals("outcome", outcome))
    if not include_shadow:
        query = query.where(decisions.c.enforced.is_(True))
    if before is not None:
        query = query.where(decisions.c.id < before)
    query = query.order_by(*order).limit(limit + 1)
    found = tuple(rows.stored(dict(row)) for row in held.execute(query).mappings())
    return Page(found[:limit], found[limit - 1].id if len(found) > limit else None)


def may_see(caller: Principal, app_id: str, action_type: str) -> bool:
    """Whether an action is the caller's to see: people see all, an integration its own, as far as its scopes go."""
    return not isinstance(caller, Integration) or (app_id == caller.id and caller.may(action_type))


def own(table: Table, caller: Principal) -> list[Any]:
    """What `may_see` says, as conditions of a query."""
    if not isinstance(caller, Integration):
        return []
    return [table.c.app_id == caller.id, *_within(table, caller)]


def _within(table: Table, caller: Integration) -> list[Any]:
    return [] if ANY_SCOPE in caller.scopes else [table.c.action_type.in_(caller.scopes)]


def decisions_of(held: Connection, action_ids: Sequence[str]) -> dict[str, StoredDecision]:
    """The decisions on these actions, by action id."""
    query = queries.select_decisions().where(decisions.c.action_id.in_(action_ids))
    found = [rows.stored(dict(row)) for row in held.execute(query).mappings()]
    return {one.action_id: one for one in found}


def _reviews(held: Connection, query: Any) -> list[Review]:
    return [rows.review(dict(row)) for row in held.execute(query).mappings()]
