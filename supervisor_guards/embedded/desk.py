"""The people's side of reviews: who may decide what, checked in one place for every desk there is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from supervisor_guards._desk import (
    Choices,
    DecisionQuery,
    NotAReviewer,
    OwnAction,
    Page,
    Principal,
    ReviewQuery,
    check_may_review,
    own_name,
)
from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.rows import Review, StoredDecision, clean_text

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["NotAReviewer", "OwnAction", "Principal", "ReviewDesk"]


class ReviewDesk:
    """Reads and decides the reviews of `store`. Every method raises `StoreUnavailable` when that fails."""

    read_only: str | None = None

    def __init__(self, store: Store | MemoryStore) -> None:
        self._store = store

    def find_decisions(self, query: DecisionQuery, limit: int = 50, cursor: int | None = None) -> Page[StoredDecision]:
        """A page of what `query` finds, newest first; the next one is from its `cursor` on."""
        return self._store.find_decisions(query, limit, cursor)

    def find_reviews(
        self, query: ReviewQuery, limit: int = 50, cursor: int | None = None, *, oldest_first: bool = False
    ) -> Page[Review]:
        """A page of what `query` finds, newest first unless `oldest_first`; the next one is from its `cursor` on."""
        return self._store.find_reviews(query, limit, cursor, oldest_first)

    def queue(self, query: ReviewQuery, limit: int = 50, cursor: int | None = None) -> Page[Review]:
        """A page of the pending reviews that `query` finds: the highest priority first, then the oldest."""
        return self._store.queue(query, limit, cursor)

    def choices(self) -> Choices:
        """What there is to filter decisions by: what the newest roll-ups hold."""
        return self._store.choices()

    def span(self) -> tuple[int, int] | None:
        """When the first and the last stored decision were made, in microseconds; None where there is none."""
        return self._store.span()

    def recorded(self, windows: Sequence[tuple[int, int]]) -> list[bool]:
        """Of each window (from, before; microseconds, in whole minutes) whether decisions were recorded in it."""
        return self._store.recorded(windows)

    def reviews(
        self, status: str | None = None, limit: int = 100, before: int | None = None, after: int | None = None
    ) -> list[Review]:
        """A page of reviews, newest first; the next page is `before` the last one's `id`.

        With `after`, oldest first: `after=0` gives those that wait longest.
        """
        return self._store.reviews(status, limit, before, after)

    def waiting(self) -> int:
        """How many reviews are pending."""
        return self._store.waiting()

    def reviews_named(self, prefix: str, limit: int = 100) -> list[Review]:
        """Reviews whose action id begins with `prefix`."""
        return self._store.reviews_named(clean_text(prefix), limit)

    def review(self, action_id: str) -> Review:
        """The whole case. Raises `ReviewNotFound`."""
        return self._store.case(clean_text(action_id))

    def decision(self, action_id: str) -> StoredDecision | None:
        """The decision that a review belongs to; None where it was purged."""
        return self._store.decision(clean_text(action_id))

    def decisions(
        self,
        limit: int = 100,
        before: int | None = None,
        after: int | None = None,
        *,
        rule: str | None = None,
        **filters: Any,
    ) -> list[StoredDecision]:
        """A page of decisions, newest first; with `after`, oldest first. Filters as those of `Store`."""
        return self._store.decisions(limit, before, after, rule=rule, **filters)

    def resolve(
        self,
        action_id: str,
        decision: Literal["approved", "rejected"],
        notes: str | None,
        reviewer: Principal,
    ) -> ReviewState:
        """Approve or reject a pending review, once. `notes` reach the caller that waits.

        Raises `OwnAction` for an approval by who asked, `NotAReviewer`, `ReviewResolved` (who was first, or
        that it expired, and when), `ReviewNotFound`, and `ValueError` for another decision.
        """
        if decision not in ("approved", "rejected"):
            raise ValueError(f"decision {decision!r}: choose approved or rejected")
        check_may_review(reviewer, action_id)
        if decision == "approved":
            self._check_not_own(action_id, reviewer)
        return self._store.resolve(clean_text(action_id), decision, reviewer.name, notes)

    def abandon(self, action_id: str, reviewer: Principal, notes: str | None = None) -> ReviewState:
        """Close a pending review that nobody needs any more; its action can't run.

        Raises `NotAReviewer`, `ReviewResolved`, `ReviewNotFound`.
        """
        check_may_review(reviewer, action_id)
        return self._store.resolve(clean_text(action_id), "abandoned", reviewer.name, notes)

    def _check_not_own(self, action_id: str, reviewer: Principal) -> None:
        """Needs no transaction with the approval: who asked never changes."""
        name = own_name(self.review(action_id), reviewer)
        if name is not None:
            raise OwnAction(name, action_id)
