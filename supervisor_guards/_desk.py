"""The people's side of the record: what a desk is, who sits at it, and what it answers. No I/O.

The embedded supervisor's desk is on its store; a remote supervisor has one of its own, by a reviewer's token.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from supervisor_guards._model import ReviewState
from supervisor_guards._records import Review, StoredDecision, clean_text
from supervisor_guards.errors import GuardError

T = TypeVar("T")


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


class DecisionQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which decisions to find; None filters nothing.

    `text` is a whole action id, or what an id begins with, or a part of the action type, route, subject, tenant,
    rule ids or reasons, in any case. `rule` is the id of one that hit. `since` (from then on) and `until` (before
    then) are microseconds since the epoch.
    """

    action_type: str | None = None
    route: str | None = None
    subject: str | None = None
    mode: str | None = None
    outcome: str | None = None
    would_have: str | None = None
    status: str | None = None
    rule: str | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None


class ReviewQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which reviews to find; None filters nothing. Fields as those of `DecisionQuery`; `status` is the review's.

    `priority` is low, normal, high or urgent.
    """

    status: str | None = None
    priority: str | None = None
    action_type: str | None = None
    route: str | None = None
    subject: str | None = None
    text: str | None = None
    since: int | None = None
    until: int | None = None


class Page(msgspec.Struct, Generic[T], frozen=True):
    """Some of what a query finds. `cursor` is where the next page begins; None at the end.

    `complete` is False where the page has fewer rows than asked for because enough was looked through: there may
    be more from `cursor` on.
    """

    rows: tuple[T, ...]
    cursor: int | None = None
    complete: bool = True


class Choices(msgspec.Struct, frozen=True):
    """What there is to filter by, as far as lately seen; sorted."""

    action_types: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


class Desk(Protocol):
    """Where people read decisions and decide reviews. Every method raises `SupervisorUnavailable` when it can't."""

    read_only: str | None
    """Why nobody can decide here; None where reviewers can."""

    def find_decisions(self, query: DecisionQuery, limit: int = 50, cursor: int | None = None) -> Page[StoredDecision]:
        """A page of what `query` finds, newest first."""
        ...

    def find_reviews(
        self, query: ReviewQuery, limit: int = 50, cursor: int | None = None, *, oldest_first: bool = False
    ) -> Page[Review]:
        """A page of what `query` finds, newest first unless `oldest_first`."""
        ...

    def queue(self, query: ReviewQuery, limit: int = 50, cursor: int | None = None) -> Page[Review]:
        """A page of the pending reviews that `query` finds, in the order in which people should look at them.

        The highest priority first, and of one priority the oldest.
        """
        ...

    def decision(self, action_id: str) -> StoredDecision | None:
        """One decision; None where there is none, or none any more."""
        ...

    def review(self, action_id: str) -> Review:
        """The whole case. Raises `ReviewNotFound`."""
        ...

    def waiting(self) -> int:
        """How many reviews are pending."""
        ...

    def choices(self) -> Choices:
        """What there is to filter decisions by."""
        ...

    def span(self) -> tuple[int, int] | None:
        """When the first and the last stored decision were made, in microseconds; None where there is none."""
        ...

    def recorded(self, windows: Sequence[tuple[int, int]]) -> list[bool]:
        """Of each window (from, before; microseconds, in whole minutes) whether decisions were recorded in it."""
        ...

    def resolve(
        self, action_id: str, decision: Literal["approved", "rejected"], notes: str | None, reviewer: Principal
    ) -> ReviewState:
        """Approve or reject a pending review, once. `notes` reach the caller that waits.

        Raises `OwnAction` for an approval by who asked, `NotAReviewer`, `ReviewResolved` (who was first, or
        that it expired, and when), `ReviewNotFound`, `ValueError` for another decision, and `NoDesk` where the
        desk is read-only.
        """
        ...

    def abandon(self, action_id: str, reviewer: Principal, notes: str | None = None) -> ReviewState:
        """Close a pending review that nobody needs any more; its action can't run.

        Raises `NotAReviewer`, `ReviewResolved`, `ReviewNotFound`, `NoDesk`.
        """
        ...


@runtime_checkable
class HasDesk(Protocol):
    """A supervisor that people can sit at."""

    def desk(self) -> Desk:
        """Its desk. Raises `NoDesk` where there is none just now, and why."""
        ...


class NoDesk(GuardError):
    """This supervisor's reviews and decisions can't be read, or not be decided, from here; the message says why."""

    status_hint = 501


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


class ReviewNotFound(GuardError, LookupError):
    """No review has this action id."""

    status_hint = 404

    def __init__(self, action_id: str) -> None:
        self.action_id = action_id
        super().__init__(f"no review of action {action_id!r} in this store; `reviews()` lists those there are")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.action_id,)


class ReviewResolved(GuardError):
    """Somebody, or the clock, was first: the review isn't pending any more.

    `status`, `approver` and `resolved_at` (text, UTC) say what was decided, by whom and when; `approver` is
    None where nobody decided (expired, executed), `resolved_at` where nothing was resolved (executed).
    """

    status_hint = 409

    def __init__(self, action_id: str, status: str, approver: str | None, resolved_at: str | None) -> None:
        self.action_id = action_id
        self.status = status
        self.approver = approver
        self.resolved_at = resolved_at
        by = f" by {approver}" if approver else ""
        at = f" at {resolved_at}" if resolved_at else ""
        super().__init__(f"review already {status}{by}{at} [action {action_id}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.action_id, self.status, self.approver, self.resolved_at)


def check_may_review(reviewer: Principal, action_id: str) -> None:
    """Raises `NotAReviewer`."""
    if not reviewer.may_review:
        raise NotAReviewer(reviewer.name, action_id)


def own_name(case: Review, reviewer: Principal) -> str | None:
    """The name by which `reviewer` asked for the action of `case`; None where somebody else did."""
    asked = {_folded(name) for name in (case.subject, case.requester) if name is not None}
    return next((name for name in (*reviewer.known_as, reviewer.name) if _folded(name) in asked), None)


def _folded(name: str) -> str:
    return clean_text(name).strip().casefold()
