"""Who may use which connection: those of sync callers belong to one process, those of tasks to one event loop."""

from __future__ import annotations

import ssl
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import anyio
from anyio.lowlevel import RunVar

from supervisor_guards import _address
from supervisor_guards.remote.lines import Lines
from supervisor_guards.remote.reviews import WAITING
from supervisor_guards.remote.sockets import AsyncLine, Line, tls_context


class Pool:
    """The lines of one process, or of one event loop: for questions, and for those that the service keeps."""

    def __init__(self, open_line: Callable[[], Any], event: Callable[[], Any]) -> None:
        self.lines: Lines[Any] = Lines(open_line, event)
        self.waits: Lines[Any] = Lines(open_line, event, WAITING)
        self.keeper: Any = None

    def emptied(self) -> list[Any]:
        """The lines that nobody uses at the moment, to be closed."""
        return [*self.lines.emptied(), *self.waits.emptied()]

    def inherited(self) -> list[Any]:
        """The same in a forked child, where they stay."""
        return [*self.lines.inherited(), *self.waits.inherited()]


class Pools:
    """The pools of one supervisor. Nothing is opened before somebody asks; a forked child begins with none."""

    def __init__(self, address: _address.Address, ca_file: str | None) -> None:
        self._address = address
        self._ca_file = ca_file
        self._tls: ssl.SSLContext | None = None
        self._sync: Pool | None = None
        self._async: weakref.WeakSet[Pool] = weakref.WeakSet()
        self._reset()

    def here(self) -> Pool:
        """The one of this process, for sync callers."""
        pool = self._sync
        if pool is None:
            with self._lock:
                pool = self._sync = self._sync or Pool(self.open_line, threading.Event)
        return pool

    async def ahere(self) -> Pool:
        """The one of this event loop."""
        try:
            pools = _loops.get()
        except LookupError:
            pools = weakref.WeakKeyDictionary()
            _loops.set(pools)
        pool = pools.get(self)
        if pool is None:
            pool = pools[self] = Pool(partial(AsyncLine, self._address, self._context()), anyio.Event)
            # The event loop ends its asynchronous generators before it closes, and so the connections.
            pool.keeper = _until_closed(pool)
            self._async.add(pool)
            await anext(pool.keeper)
        return pool

    def open_line(self) -> Line:
        """A line of its own, for one thread."""
        return Line(self._address, self._context())

    def close(self) -> None:
        """Close the connections of sync callers; idempotent."""
        with self._lock:
            pool, self._sync = self._sync, None
        for line in pool.emptied() if pool is not None else ():
            line.close()

    async def aclose(self) -> None:
        """Close those of this event loop."""
        pool = _loops.get(weakref.WeakKeyDictionary()).pop(self, None)
        if pool is not None:
            await pool.keeper.aclose()

    def forget(self) -> None:
        """In a forked child: the parent's connections are the parent's; let go of them, and say nothing on them."""
        for line in self._sync.inherited() if self._sync is not None else ():
            line.forget()
        _parents.extend((self._sync, *self._async))
        self._reset()

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._sync = None
        self._async = weakref.WeakSet()

    def _context(self) -> ssl.SSLContext | None:
        if self._tls is None and self._address.tls:
            self._tls = tls_context(self._ca_file)
        return self._tls


async def _until_closed(pool: Pool) -> AsyncIterator[None]:
    try:
        yield
    finally:
        for line in pool.emptied():
            await line.aclose()


_loops: RunVar[weakref.WeakKeyDictionary[Pools, Pool]] = RunVar("supervisor_guards_lines")
_parents: list[Any] = []
"""In a forked child: what is the parent's, kept so that nothing closes it."""
