"""The roll-ups of long windows, remembered by blocks: a month of minutes takes seconds to add up, and hardly changes.

What is over is read once; what was written late into it (a queue, a process that was away) is found when a block is
read again, which happens in turn, a few at a time. A request reads for a moment at most; the rest follows on a thread.
"""

from __future__ import annotations

import threading
import time
import weakref
from typing import TYPE_CHECKING

from supervisor_guards.embedded.figures import Span

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["Sums", "sums_of"]

_AT_ONCE = 4
"""Blocks that one statement adds up."""
_BUDGET_SECONDS = 0.06
_OPEN_MINUTES = 20
"""After its end a block is still being written: queues, clocks."""
_STALE_SECONDS = 600.0
_RENEWED = 2
_KEPT = 31 * 8


class Sums:
    """The blocks of `block` minutes of one store, for one process."""

    def __init__(self, store: Store | MemoryStore, block: int) -> None:
        self._store = weakref.ref(store)
        self._block = block
        self._blocks: dict[int, tuple[float, Span]] = {}
        self._lock = threading.Lock()
        self._filling = False

    def spans(self, first: int, now: int) -> tuple[list[Span], int]:
        """What there is from the minute `first`, where a block begins, to `now`; and from which minute on it is whole.

        The newest is read first; what this call had no time for is there at a later one.
        """
        store = self._store()
        assert store is not None, "who asks holds it"
        closed = (now - _OPEN_MINUTES) // self._block * self._block
        found = store.spans(closed, now + 1, self._block)
        deadline = time.monotonic() + _BUDGET_SECONDS
        missing = self._missing(first, closed)
        while missing and time.monotonic() < deadline:
            self._read(store, missing)
            missing = self._missing(first, closed)
        if missing:
            self._fill_later(first, closed)
        else:
            self._renew(store, first, closed)
        whole = max(missing) + self._block if missing else first
        with self._lock:
            kept = [self._blocks[minute][1] for minute in range(whole, closed, self._block) if minute in self._blocks]
        return [*kept, *found], whole

    def _missing(self, first: int, closed: int) -> list[int]:
        """Blocks not read yet, the newest first."""
        with self._lock:
            return [
                minute for minute in range(closed - self._block, first - 1, -self._block) if minute not in self._blocks
            ]

    def _read(self, store: Store | MemoryStore, wanted: list[int]) -> None:
        """Read the first of `wanted` and those that follow upon it, in one statement."""
        end = wanted[0] + self._block
        start = wanted[0]
        for minute in wanted[1:_AT_ONCE]:
            if minute != start - self._block:
                break
            start = minute
        read = {span.minute: span for span in store.spans(start, end, self._block)}
        moment = time.monotonic()
        with self._lock:
            for minute in range(start, end, self._block):
                self._blocks[minute] = (moment, read.get(minute, Span(minute)))
            for minute in sorted(self._blocks)[:-_KEPT]:
                del self._blocks[minute]

    def _renew(self, store: Store | MemoryStore, first: int, closed: int) -> None:
        """Read a few of the blocks again that were read longest ago."""
        with self._lock:
            aged = sorted((read, minute) for minute, (read, _) in self._blocks.items() if first <= minute < closed)
        stale = [minute for read, minute in aged if time.monotonic() - read > _STALE_SECONDS]
        for minute in stale[:_RENEWED]:
            self._read(store, [minute])

    def _fill_later(self, first: int, closed: int) -> None:
        with self._lock:
            if self._filling:
                return
            self._filling = True
        threading.Thread(
            target=self._fill, args=(first, closed), name="supervisor-console-sums", daemon=True
        ).start()  # fmt: skip

    def _fill(self, first: int, closed: int) -> None:
        """On a thread: until nothing is missing, or the store fails or is gone; the next request begins anew."""
        try:
            while (store := self._store()) is not None and (missing := self._missing(first, closed)):
                self._read(store, missing)
        except Exception:  # noqa: S110  (the request that reads the same says so)
            pass
        finally:
            self._filling = False


_known: weakref.WeakKeyDictionary[Store | MemoryStore, dict[int, Sums]] = weakref.WeakKeyDictionary()


def sums_of(store: Store | MemoryStore, block: int) -> Sums:
    """The sums of `store` by `block` minutes, the same for everybody in this process."""
    found = _known.setdefault(store, {})
    return found.setdefault(block, Sums(store, block))
