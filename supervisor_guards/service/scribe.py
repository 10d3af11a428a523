"""Commits decisions before they are answered, many to a transaction: whoever comes while one is written goes next."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence

import anyio.to_thread

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.openings import Opening, Written
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store

Item = tuple[DecisionRow, Opening | None]
_LARGEST = 2_000
"""Rows in one transaction."""
_WAITING = 20_000
"""Rows that may wait; beyond that callers are told to come back, instead of waiting without end."""


class Scribe:
    """One writer for one event loop.

    `told` hears of each transaction: its rows, its seconds, and the rows that wait for the next one.
    """

    def __init__(self, store: Store, told: Callable[[int, float, int], None] = lambda *_: None) -> None:
        self._store = store
        self._told = told
        self._waiting: list[tuple[Sequence[Item], asyncio.Future[list[Written]]]] = []
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

    async def write(self, items: Sequence[Item]) -> list[Written]:
        """What became of each item, once all of them are committed.

        Raises `StoreUnavailable` where the database failed, or too many wait already. A caller that is cancelled
        loses the answer, not the rows.
        """
        if self._rows + len(items) > _WAITING:
            raise StoreUnavailable(f"{self._rows} decisions wait to be written: the database is too slow for the load")
        done: asyncio.Future[list[Written]] = asyncio.get_running_loop().create_future()
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
        taken: list[tuple[Sequence[Item], asyncio.Future[list[Written]]]] = []
        rows = 0
        while self._waiting and (not taken or rows + len(self._waiting[0][0]) <= _LARGEST):
            group = self._waiting.pop(0)
            taken.append(group)
            rows += len(group[0])
        started = time.perf_counter()
        try:
            written = await anyio.to_thread.run_sync(
                self._store.write_all, [item for items, _ in taken for item in items]
            )
        except Exception as error:
            for _, done in taken:
                if not done.done():
                    done.set_exception(error)
        else:
            start = 0
            for items, done in taken:
                if not done.done():
                    done.set_result(written[start : start + len(items)])
                start += len(items)
        finally:
            self._rows -= rows
            self._told(rows, time.perf_counter() - started, self._rows)
