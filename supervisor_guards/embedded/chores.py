"""What the background thread does for the store now and then: delete what is too old, write anchors."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from supervisor_guards._config import GuardConfig

if TYPE_CHECKING:
    from supervisor_guards.embedded.anchors import Anchors
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

logger = logging.getLogger("supervisor_guards")

_DAY_US = 86_400_000_000
_PURGE_SECONDS = 600.0
_BATCH = 1_000


class Chores:
    """Retention and anchors of one store. `retention_days` None keeps everything, `anchors` None writes none.

    `tend` is called about once a second and does little each time: one batch of deletions, one anchor.
    """

    def __init__(
        self,
        retention_days: float | None = None,
        anchors: Anchors | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._retention_days = retention_days
        self._anchors = anchors
        self._clock = clock
        self._next_purge = 0.0
        self._deleted = 0

    @classmethod
    def from_config(cls, config: GuardConfig) -> Chores:
        """The chores that `config` asks for."""
        anchors = None
        if config.anchor:
            from supervisor_guards.embedded.anchors import Anchors

            anchors = Anchors(config.anchor, config.anchor_interval_seconds)
        return cls(config.retention_days, anchors)

    def tend(self, store: Store | MemoryStore) -> None:
        """Do what is due."""
        if self._retention_days is not None and self._clock() >= self._next_purge:
            self._delete(store, self._retention_days)
        if self._anchors is not None:
            self._anchors.write_if_due(store)

    def finish(self, store: Store | MemoryStore) -> None:
        """Before the store closes: anchor what was written last."""
        if self._anchors is not None:
            self._anchors.finish(store)

    def _delete(self, store: Store | MemoryStore, days: float) -> None:
        gone = store.purge_some(int(time.time() * 1_000_000 - days * _DAY_US), _BATCH)
        self._deleted += gone
        if gone:
            return
        self._next_purge = self._clock() + _PURGE_SECONDS
        if self._deleted:
            logger.info("retention: deleted %d rows older than %g days; a signed tombstone stays", self._deleted, days)
        self._deleted = 0
