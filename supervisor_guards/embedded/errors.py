"""What the store raises."""

from __future__ import annotations

from supervisor_guards._desk import ReviewNotFound, ReviewResolved
from supervisor_guards.errors import SupervisorUnavailable

__all__ = ["ReviewNotFound", "ReviewResolved", "RowsRefused", "StoreUnavailable"]


class StoreUnavailable(SupervisorUnavailable):
    """The store can't be opened, read or written: a fault of the supervisor, so `on_unavailable` decides."""


class RowsRefused(StoreUnavailable):
    """The database takes no such values: nothing of the transaction is stored, and other rows may well be."""
