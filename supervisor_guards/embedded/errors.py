"""What the store raises."""

from __future__ import annotations

from supervisor_guards._desk import ReviewNotFound, ReviewResolved
from supervisor_guards.errors import SupervisorUnavailable

__all__ = ["ReviewNotFound", "ReviewResolved", "StoreUnavailable"]


class StoreUnavailable(SupervisorUnavailable):
    """The store can't be opened, read or written: a fault of the supervisor, so `on_unavailable` decides."""
