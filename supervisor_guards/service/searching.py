"""What people's desks ask of the record: searches and sums, within what the caller may see."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, func, select

from supervisor_guards._desk import Choices, DecisionQuery, Page, ReviewQuery
from supervisor_guards.embedded import queue, search
from supervisor_guards.embedded.rows import Review, StoredDecision
from supervisor_guards.embedded.schema import decisions, reviews
from supervisor_guards.service import reading
from supervisor_guards.service.principals import Integration, Principal
from supervisor_guards.service.reading import own

Window = tuple[int, int]


def find_decisions(
    held: Connection, caller: Principal, query: DecisionQuery, limit: int, before: int | None, *, include_shadow: bool
) -> Page[StoredDecision]:
    """A page of what `query` finds, newest first, by an index or among 20,000 rows."""
    if query == DecisionQuery() and isinstance(caller, Integration):
        return reading.find_decisions(held, caller, limit, before=before, include_shadow=include_shadow)
    among = own(decisions, caller)
    if not include_shadow:
        among.append(decisions.c.enforced.is_(True))
    return search.find_decisions(held, query, limit, before, among)


def find_reviews(
    held: Connection, caller: Principal, query: ReviewQuery, limit: int, before: int | None, *, oldest_first: bool
) -> Page[Review]:
    """A page of what `query` finds, in the order in which they were asked for."""
    return search.find_reviews(held, query, limit, before, oldest_first, own(reviews, caller))


def find_queue(held: Connection, caller: Principal, query: ReviewQuery, limit: int, before: int | None) -> Page[Review]:
    """A page of the pending ones that `query` finds, the highest priority first, then the oldest."""
    return queue.find_queue(held, query, limit, before, own(reviews, caller))


def waiting(held: Connection, caller: Principal) -> int:
    """How many reviews are pending."""
    pending = select(func.count()).select_from(reviews).where(*own(reviews, caller), reviews.c.status == "pending")
    return int(held.execute(pending).scalar_one())


def choices(held: Connection, caller: Principal) -> Choices:
    """What decisions can be filtered by, as far as lately seen; an integration isn't told rules: they are shared."""
    found = search.choices(held, _app_id(caller))
    if isinstance(caller, Integration):
        may = tuple(name for name in found.action_types if caller.may(name))
        return msgspec.structs.replace(found, action_types=may)
    return found


def span(held: Connection, caller: Principal) -> Window | None:
    """When the first and the last decision were made."""
    return search.span(held, _app_id(caller))


def recorded(held: Connection, caller: Principal, windows: Sequence[Window], whole: Window | None) -> list[bool]:
    """Of each window whether decisions were recorded in it.

    `whole` is the caller's `span`. The roll-ups are in the order of time alone, so an integration is told which
    windows it reaches into.
    """
    if not isinstance(caller, Integration):
        return search.recorded(held, windows)
    return [whole is not None and since <= whole[1] and whole[0] < until for since, until in windows]


def _app_id(caller: Principal) -> str | None:
    return caller.id if isinstance(caller, Integration) else None
