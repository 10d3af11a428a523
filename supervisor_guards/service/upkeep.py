"""What the service does by itself: the end of overdue reviews in every process, retention and anchors in one at a time.

That one is whichever holds the lease in the database.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from functools import partial

import anyio.to_thread
from sqlalchemy import Connection, delete, select

from supervisor_guards.embedded.anchors import Anchors
from supervisor_guards.embedded.chores import Chores
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.rows import Event, now_us
from supervisor_guards.embedded.schema import meta
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.config import ServiceConfig

logger = logging.getLogger("supervisor_guards")

__all__ = ["Upkeep"]

_KEY = "service-upkeep"
_LEASE_US = 30_000_000
_RENEWED_US = 10_000_000
_PAUSE_SECONDS = 1.0


class Upkeep:
    """The share of one process. A lease lapses when its process is gone; two that did the same would do no harm."""

    def __init__(self, store: Store, config: ServiceConfig, clock: Callable[[], int] = now_us) -> None:
        anchors = Anchors(config.anchor, config.anchor_interval_seconds) if config.anchor else None
        self._wanted = anchors is not None or config.retention_days is not None
        self._chores = Chores(config.retention_days, anchors)
        self._store = store
        self._clock = clock
        self._name = os.urandom(8).hex()
        self._until = 0

    @property
    def holds(self) -> bool:
        """Whether it is this process's turn."""
        return self._until > self._clock()

    async def run(self) -> None:
        """Do what is due, about once a second, until cancelled."""
        while True:
            try:
                # A thread that was cancelled half-way would go on beside the closing store.
                await asyncio.shield(asyncio.ensure_future(anyio.to_thread.run_sync(self.tend)))
            except StoreUnavailable as error:
                logger.error("overdue reviews, retention and anchors wait for the database: %s", error)
            except Exception as error:  # a fault of ours must not be the end of them
                logger.error("overdue reviews, retention or anchors failed, trying again", exc_info=error)
            await asyncio.sleep(_PAUSE_SECONDS)

    def tend(self) -> bool:
        """End what is overdue, and do a little of the rest if it is this process's turn; whether it was."""
        self._store.expire_due()  # who subscribed hears of it though nobody looks; any number of processes may
        if not self._wanted:
            return False
        now = self._clock()
        if self._until - now < _LEASE_US - _RENEWED_US:
            self._until = now + _LEASE_US if self._store.transact(partial(self._take, now)) else 0
        if not self._until:
            return False
        self._chores.tend(self._store)
        return True

    def finish(self) -> None:
        """Anchor what was written last, and let another process take over at once."""
        if not self._wanted or not self._until:
            return
        self._until = 0
        self._chores.finish(self._store)
        self._store.transact(self._leave)

    def _take(self, now: int, held: Connection, _note: Callable[[Event], None]) -> bool:
        found = held.execute(select(meta.c.value).where(meta.c.key == _KEY)).scalar()
        holder, _, until = (found or "").partition(" ")
        if holder not in ("", self._name) and int(until) > now:
            return False
        held.execute(delete(meta).where(meta.c.key == _KEY))
        held.execute(meta.insert().values(key=_KEY, value=f"{self._name} {now + _LEASE_US}"))
        return True

    def _leave(self, held: Connection, _note: Callable[[Event], None]) -> None:
        held.execute(delete(meta).where(meta.c.key == _KEY, meta.c.value.startswith(self._name)))
