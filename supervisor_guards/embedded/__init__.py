"""The embedded supervisor's parts: decision store, review queue, keys."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from supervisor_guards.embedded.evidence import Sealer
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["open_store"]


def open_store(url: str, *, sealer: Sealer | None = None, migrated_by: str | None = None) -> Store | MemoryStore:
    """Open the store at `url`: `sqlite:///PATH`, `postgresql://...`, or `memory:` (this process, bounded).

    The first to open it makes or upgrades the schema, unless `migrated_by` names the command that does: the
    tables are only checked then. `sealer` makes the evidence; without one the record is unsigned. Raises
    `ConfigurationError` for another URL, `StoreUnavailable` when the place can't be written, the server not be
    reached, or tables of another's making are missing.
    """
    # Imported on use: SQLAlchemy costs more than the rest of the package.
    if url == "memory:":
        from supervisor_guards.embedded.memory import MemoryStore

        return MemoryStore()
    from supervisor_guards.embedded.store import Store

    return Store(url, sealer=sealer, migrated_by=migrated_by)
