"""How many actions each integration may have judged in a minute, over all processes of the service.

Processes claim quota from the store in blocks of a twentieth of the limit, and count within a block by themselves: a
write for every block, not for every action. So never more than the limit is granted in a minute (of the clock, UTC);
and a process that has claimed more than it uses keeps up to a twentieth of the limit from the others until the
minute is over.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

import anyio.to_thread
from sqlalchemy import Connection

from supervisor_guards.embedded.rows import Event
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import windows
from supervisor_guards.service.principals import Integration

__all__ = ["Limiter"]

MINUTE = 60_000_000
"""Microseconds."""
BLOCKS = 20
_KEPT = 10_000


class _Quota:
    """What one process has of one integration's quota in one minute."""

    def __init__(self, window: int) -> None:
        self.window = window
        self.left = 0
        self.exhausted = False
        """Whether the store has nothing left in this minute."""
        self.claiming = asyncio.Lock()


class Limiter:
    """The rate limits of one process, on its event loop. `per_minute` is for integrations without one of their own."""

    def __init__(self, store: Store, per_minute: int, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._per_minute = per_minute
        self._clock = clock
        self._quotas: dict[str, _Quota] = {}
        self._swept = 0

    def limit(self, integration: Integration) -> int:
        """Actions a minute; 0 is no limit."""
        return self._per_minute if integration.per_minute is None else integration.per_minute

    async def take(self, integration: Integration, count: int = 1) -> int:
        """0 where `integration` may have `count` more actions judged now; else the seconds until it may try again.

        All or nothing. A count above the limit takes a whole minute's quota. Raises `StoreUnavailable`.
        """
        limit = self.limit(integration)
        if not limit:
            return 0
        count = min(count, limit)
        while True:
            now = int(self._clock() * 1_000_000)
            window = windows.window_of(now, MINUTE)
            quota = self._quotas.get(integration.id)
            if quota is None or quota.window != window:
                quota = self._fresh(integration.id, window)
            if quota.left >= count:
                quota.left -= count
                return 0
            if quota.exhausted:
                return math.ceil((window + MINUTE - now) / 1_000_000)
            async with quota.claiming:
                if quota.left < count and not quota.exhausted:
                    await self._claim(integration.id, quota, count, limit)

    async def _claim(self, integration_id: str, quota: _Quota, count: int, limit: int) -> None:
        wanted = max(count - quota.left, limit // BLOCKS)
        subject = f"rate:{integration_id}"

        def work(held: Connection, _note: Callable[[Event], None]) -> int:
            granted = max(0, min(wanted, limit - windows.counted(held, subject, quota.window)))
            if granted:
                windows.add(held, subject, quota.window, granted)
            if self._swept != quota.window:
                self._swept = quota.window
                windows.sweep(held, quota.window)
            return granted

        granted = await anyio.to_thread.run_sync(self._store.transact, work)
        quota.left += granted
        quota.exhausted = granted < wanted

    def _fresh(self, integration_id: str, window: int) -> _Quota:
        if len(self._quotas) >= _KEPT:
            self._quotas = {name: one for name, one in self._quotas.items() if one.window == window}
        made = self._quotas[integration_id] = _Quota(window)
        return made
