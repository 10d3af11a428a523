"""What the record holds, as people and programs read it. Times are whole microseconds since the epoch, UTC."""

from __future__ import annotations

import msgspec

from supervisor_guards._model import Hit, Mode, Result, ReviewState, ReviewStatus, Status


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


def clean_text(text: str) -> str:
    """`text` without what a database refuses: NUL (PostgreSQL) and lone surrogates (both)."""
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")
