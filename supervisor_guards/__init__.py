"""One check in front of risky actions: allow, deny or human review. Shadow mode by default.

>>> from supervisor_guards import supervised
>>> @supervised("refund")
... def refund(order_id: str, amount: int) -> str:
...     return f"refunded {amount} on {order_id}"
"""

from supervisor_guards._config import GuardConfig
from supervisor_guards._context import approved
from supervisor_guards._decorators import guarded, guarded_async, supervised, supervised_async
from supervisor_guards._events import Event, Hook
from supervisor_guards._guard import Guard
from supervisor_guards._model import Decision, Outcome
from supervisor_guards._stats import Stats
from supervisor_guards.config import configure, get_client, get_guard
from supervisor_guards.context import observe, observing
from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    ConfigurationError,
    GuardError,
    PayloadUnusable,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
)

__all__ = [
    "ApprovalInvalid",
    "ApprovalUsed",
    "ConfigurationError",
    "Decision",
    "Event",
    "Guard",
    "GuardConfig",
    "GuardError",
    "Hook",
    "Outcome",
    "PayloadUnusable",
    "ReviewRejected",
    "ReviewTimedOut",
    "Stats",
    "SupervisorBlocked",
    "SupervisorReviewPending",
    "SupervisorUnavailable",
    "approved",
    "configure",
    "get_client",
    "get_guard",
    "guarded",
    "guarded_async",
    "observe",
    "observing",
    "supervised",
    "supervised_async",
]
