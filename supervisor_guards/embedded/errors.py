"""What the store raises."""

from __future__ import annotations

from typing import Any

from supervisor_guards.errors import GuardError, SupervisorUnavailable

__all__ = ["ReviewNotFound", "ReviewResolved", "StoreUnavailable"]


class StoreUnavailable(SupervisorUnavailable):
    """The store can't be opened, read or written: a fault of the supervisor, so `on_unavailable` decides."""


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
