"""What the record holds, as people and programs read it. Times are whole microseconds since the epoch, UTC."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from supervisor_guards._model import (
    PRIORITIES,
    Hit,
    Mode,
    Result,
    ReviewPriority,
    ReviewState,
    ReviewStatus,
    Status,
)

_PLACES = {priority: place for place, priority in enumerate(PRIORITIES)}
_CURSOR_BITS = 56
"""Of a place in the queue for the number of the row."""


class DecisionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One decision to be stored. `payload` and `context` are redacted JSON text."""

    action_id: str
    time: int
    app_id: str = ""
    action_type: str
    route: str | None = None
    subject: str | None = None
    tenant: str | None = None
    mode: Mode
    enforced: bool
    outcome: str
    """What the caller got: allow, review or deny."""
    would_have: str | None = None
    """What enforce would have answered; None when this was enforced, or when it isn't known."""
    status: Status = "evaluated"
    reasons: tuple[str, ...] = ()
    rule_ids: tuple[str, ...] = ()
    hits: tuple[Hit, ...] = ()
    policy_name: str | None = None
    policy_version: str | None = None
    policy_hash: str | None = None
    sample_bucket: int | None = None
    payload: str | None = None
    context: str | None = None
    digest: str | None = None
    latency_us: int = 0
    result: Result | None = None
    """None where it wasn't known yet; it then follows through `write(results=...)`."""
    case_id: str | None = None
    """The review this decision waits for: its own, or an earlier one of the same content."""


class StoredDecision(DecisionRow, frozen=True, kw_only=True):
    """A decision as read. `id` grows in the order of writing and is the paging cursor."""

    id: int


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """A review case. `id` grows in the order of writing and is the paging cursor."""

    id: int
    action_id: str
    app_id: str = ""
    created_at: int
    expires_at: int
    status: ReviewStatus
    digest: str | None
    subject: str | None
    tenant: str | None = None
    requester: str | None
    """The context's user id: who asked, as far as the application said."""
    action_type: str
    route: str | None
    payload: str | None
    reasons: tuple[str, ...]
    priority: ReviewPriority = "normal"
    """The highest of the rules that asked for it."""
    approver: str | None = None
    notes: str | None = None
    resolved_at: int | None = None
    used_at: int | None = None
    segment: int = 0
    """The segment of the evidence chain that opened it."""

    @property
    def state(self) -> ReviewState:
        """The part a waiting caller needs."""
        return ReviewState(self.action_id, self.status, self.approver, self.notes)


def place_of(priority: str | None) -> int:
    """Where the word stands in `PRIORITIES`; that of normal for None and for a word that isn't one of them."""
    return _PLACES.get(priority, _PLACES["normal"])  # type: ignore[call-overload, no-any-return]


def priority_of(hits: Sequence[Hit]) -> ReviewPriority:
    """The priority of a review for which `hits` ask: the highest of theirs, normal where none has one."""
    places = [place_of(hit.priority) for hit in hits if hit.action == "review"]
    return PRIORITIES[min(places)] if places else "normal"


def queue_cursor(place: int, row_id: int) -> int:
    """Where a page of the queue ended: by priority, then in the order of writing."""
    return place << _CURSOR_BITS | row_id


def queue_place(cursor: int) -> tuple[int, int]:
    """The place of a priority and the number of a row that `queue_cursor` was made of."""
    return cursor >> _CURSOR_BITS, cursor & ((1 << _CURSOR_BITS) - 1)


def clean_text(text: str) -> str:
    """`text` without what a database refuses: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
