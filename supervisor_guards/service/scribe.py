"""Commits decisions before they are answered, many to a transaction: whoever comes while one is written goes next."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Sequence

import anyio.to_thread

from supervisor_guards.embedded.errors import RowsRefused, StoreUnavailable
from supervisor_guards.embedded.openings import Opening, Written
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store

logger = logging.getLogger("supervisor_guards")

Item = tuple[DecisionRow, Opening | None]
Fate = Written | Exception
"""What became of an item: an error is its own fault, and costs no other."""
_LARGEST = 2_000
"""Rows in one transaction."""
_WAITING = 20_000
"""Rows that may wait; beyond that callers are told to come back, instead of waiting without end."""


class Scribe:
    """One writer for one event loop.

    `told` hears of each group that was written: its rows, its seconds, and the rows that wait for the next one.
    """

    def __init__(self, store: Store, told: Callable[[int, float, int], None] = lambda *_: None) -> None:
        self._store = store
        self._told = told
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[list[Fate]]]] = []
        self._rows = 0
        self._work = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to write."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Write what waits, then end."""
        while self._waiting or self._rows:
            await asyncio.sleep(0.01)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def write(self, items: Sequence[Item]) -> list[Fate]:
        """What became of each item, once all of them are committed that can be: `RowsRefused` for what the database
        takes from nobody.

        Raises `StoreUnavailable` where the database failed, or too many wait already. A caller that is cancelled
        loses the answer, not the rows.
        """
        if self._rows + len(items) > _WAITING:
            raise StoreUnavailable(f"{self._rows} decisions wait to be written: the database is too slow for the load")
        done: asyncio.Future[list[Fate]] = asyncio.get_running_loop().create_future()
        self._waiting.append((items, done))
        self._rows += len(items)
        self._work.set()
        return await done

    async def _run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._waiting:
                await self._write_some()

    async def _write_some(self) -> None:
        taken: list[tuple[Sequence[Item], asyncio.Future[list[Fate]]]] = []
        rows = 0
        while self._waiting and (not taken or rows + len(self._waiting[0][0]) <= _LARGEST):
            group = self._waiting.pop(0)
            taken.append(group)
            rows += len(group[0])
        started = time.perf_counter()
        fates: list[Fate]
        try:
            fates = await anyio.to_thread.run_sync(self._stored, [item for items, _ in taken for item in items])
        except Exception as error:  # no thread can be started
            fates = [error for _ in range(rows)]
        finally:
            self._rows -= rows
        start = 0
        for items, done in taken:
            _settle(done, fates[start : start + len(items)])
            start += len(items)
        try:
            self._told(rows, time.perf_counter() - started, self._rows)
        except Exception as error:  # as where a full disk takes no figures: decisions go on
            logger.error("a commit of %d decisions can't be counted", rows, exc_info=error)

    def _stored(self, items: Sequence[Item]) -> list[Fate]:
        """Store them in one transaction. Where one of them can't be, by halves, so that it fails alone."""
        try:
            return list(self._store.write_all(items))
        except Exception as error:
            if len(items) == 1 or _lost(error):
                return [error for _ in items]
        middle = len(items) // 2
        return self._stored(items[:middle]) + self._stored(items[middle:])


def _lost(error: Fate) -> bool:
    """Whether the database failed, whatever it was given."""
    return isinstance(error, StoreUnavailable) and not isinstance(error, RowsRefused)


def _settle(done: asyncio.Future[list[Fate]], fates: list[Fate]) -> None:
    if done.done():
        return
    lost = next((fate for fate in fates if isinstance(fate, Exception) and _lost(fate)), None)
    if lost is None:
        done.set_result(fates)
    else:
        # Some may be stored: who asks again with the same ids is told what became of them.
        done.set_exception(lost)
