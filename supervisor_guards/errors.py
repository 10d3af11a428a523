"""The errors a caller can meet.

::

    GuardError
    ├── ConfigurationError          wrong settings; lists every fault
    ├── SupervisorBlocked           the action must not run
    │   ├── ReviewRejected          a person said no
    │   ├── ReviewTimedOut          nobody decided in time, which counts as deny
    │   ├── ApprovalInvalid         the approval is for something else, pending, rejected or expired
    │   ├── ApprovalUsed            the approval has already run once
    │   └── PayloadUnusable         the request's own content can't be judged
    ├── SupervisorReviewPending     queued for a person (on_review="fail_closed")
    └── SupervisorUnavailable       no verdict could be had, and the action is fail_closed

Each class carries `status_hint`, the HTTP status a web adapter answers with (RFC 9110), so no adapter
keeps a table of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

__all__ = [
    "ApprovalInvalid",
    "ApprovalUsed",
    "ConfigurationError",
    "GuardError",
    "PayloadUnusable",
    "ReviewRejected",
    "ReviewTimedOut",
    "SupervisorBlocked",
    "SupervisorReviewPending",
    "SupervisorUnavailable",
]


class GuardError(Exception):
    """Base of every error this package raises."""

    status_hint = 500


class ConfigurationError(GuardError):
    """Settings that can't work, all of them at once.

    `problems` holds one sentence per fault; each names the value, the setting and the choices.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("; ".join(self.problems))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.problems,)


class SupervisorBlocked(GuardError):
    """The action must not run; the guarded function was not called.

    `decision` is "deny" or "review", `reasons` the reasons of the rules that hit, `action_id` the audit
    reference, `threats` what the verdict listed (one mapping a threat).
    """

    status_hint = 403

    def __init__(
        self,
        decision: str,
        reasons: list[str],
        action_id: str | None = None,
        threats: list[dict[str, Any]] | None = None,
    ) -> None:
        self.decision = decision
        self.reasons = list(reasons)
        self.action_id = action_id
        self.threats = list(threats or [])
        super().__init__(self._sentence())

    def _sentence(self) -> str:
        reasons = ", ".join(self.reasons) or "no reason given"
        return f"supervisor blocked the action ({self.decision}): {reasons} [action {self.action_id}]"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.decision, self.reasons, self.action_id, self.threats)


class ReviewRejected(SupervisorBlocked):
    """A person rejected the action. Their notes, if any, are the last of `reasons`."""


class ReviewTimedOut(SupervisorBlocked):
    """Nobody decided within `review_timeout_seconds`; a timeout counts as deny."""


class ApprovalInvalid(SupervisorBlocked):
    """The approval can't be used: other content or subject, still pending, rejected, or expired."""


class ApprovalUsed(SupervisorBlocked):
    """The approval has run its one execution."""

    status_hint = 409


class PayloadUnusable(SupervisorBlocked):
    """What the request carries can't be judged, so it is refused whatever the failure policy says."""

    status_hint = 400


class SupervisorReviewPending(GuardError):
    """The action waits for a person (`on_review="fail_closed"`); the guarded function was not called."""

    status_hint = 403

    def __init__(self, action_id: str, reasons: list[str]) -> None:
        self.action_id = action_id
        self.reasons = list(reasons)
        super().__init__(f"review pending: {', '.join(self.reasons) or 'no reason given'} [action {action_id}]")

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.action_id, self.reasons)


class SupervisorUnavailable(GuardError):
    """No verdict could be had, and the action's failure policy is `fail_closed`."""

    status_hint = 503

    def __init__(self, message: str, action_id: str | None = None) -> None:
        self.action_id = action_id
        self.message = message
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.message, self.action_id)
