"""The people's side of reviews: who may decide what, checked in one place for every desk there is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import msgspec

from supervisor_guards._model import ReviewState
from supervisor_guards.embedded.rows import Review, StoredDecision, clean_text
from supervisor_guards.errors import GuardError

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["NotAReviewer", "OwnAction", "Principal", "ReviewDesk"]


class Principal(msgspec.Struct, frozen=True):
    """Who sits at the desk, as far as the program in front of it knows.

    `name` is what the record says. Raises `ValueError` for a blank one.
    """

    name: str
    may_review: bool = True
    known_as: tuple[str, ...] = ()
    """Other names of the same person; an action that one of them asked for is their own too."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise ValueError(f"reviewer {self.name!r}: name the person or token that decides")


class OwnAction(GuardError):
    """Nobody approves their own action: `reviewer` is its subject or asked for it."""

    status_hint = 403

    def __init__(self, reviewer: str, action_id: str) -> None:
        self.reviewer = reviewer
        self.action_id = action_id
        super().__init__(
            f"{reviewer!r} asked for this action, and nobody approves their own; somebody else can, "
            f"and {reviewer!r} can reject or abandon it [action {action_id}]"
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reviewer, self.action_id)


class NotAReviewer(GuardError):
    """`reviewer` may look at reviews, and decide none."""

    status_hint = 403

    def __init__(self, reviewer: str, action_id: str) -> None:
        self.reviewer = reviewer
        self.action_id = action_id
        super().__init__(f"{reviewer!r} may not decide reviews; a reviewer has to [action {action_id}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.reviewer, self.action_id)


class ReviewDesk:
    """Reads and decides the reviews of `store`. Every method raises `StoreUnavailable` when that fails."""

    def __init__(self, store: Store | MemoryStore) -> None:
        self._store = store

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
        return self._store.reviews_named(prefix, limit)

    def review(self, action_id: str) -> Review:
        """The whole case. Raises `ReviewNotFound`."""
        return self._store.case(action_id)

    def decision(self, action_id: str) -> StoredDecision | None:
        """The decision that a review belongs to; None where it was purged."""
        return self._store.decision(action_id)

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
        _check_may_review(reviewer, action_id)
        if decision == "approved":
            self._check_not_own(action_id, reviewer)
        return self._store.resolve(action_id, decision, reviewer.name, notes)

    def abandon(self, action_id: str, reviewer: Principal, notes: str | None = None) -> ReviewState:
        """Close a pending review that nobody needs any more; its action can't run.

        Raises `NotAReviewer`, `ReviewResolved`, `ReviewNotFound`.
        """
        _check_may_review(reviewer, action_id)
        return self._store.resolve(action_id, "abandoned", reviewer.name, notes)

    def _check_not_own(self, action_id: str, reviewer: Principal) -> None:
        """Needs no transaction with the approval: who asked never changes."""
        case = self.review(action_id)
        asked = {_folded(name) for name in (case.subject, case.requester) if name is not None}
        for name in (*reviewer.known_as, reviewer.name):
            if _folded(name) in asked:
                raise OwnAction(name, action_id)


def _check_may_review(reviewer: Principal, action_id: str) -> None:
    if not reviewer.may_review:
        raise NotAReviewer(reviewer.name, action_id)


def _folded(name: str) -> str:
    return clean_text(name).strip().casefold()
