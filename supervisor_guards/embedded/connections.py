"""The connections of a store: one that writes, a pool that reads, none that crosses a fork.

SQLite keeps its file locks in a table of the process, which a child inherits without having the locks: even
a new connection in the child would go unprotected (https://sqlite.org/howtocorrupt.html, 2.6). So a fork
waits for what is under way and finds no SQLite connection open; both sides open theirs again when they need
one. A PostgreSQL connection is merely left to the parent.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from supervisor_guards.embedded import opening, sqlite
from supervisor_guards.embedded.errors import RowsRefused, StoreUnavailable

T = TypeVar("T")


class _Live:
    """The connections of one process."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.writer: Connection | None = None


class Connections:
    """Opens the store at `url`, making it current, and hands out connections to threads of any process.

    Where the command `migrated_by` makes it current, it is only checked. `driver` is the module that writes batches
    into this kind of database: `sqlite` or `postgresql`.
    """

    def __init__(self, url: str, migrated_by: str | None = None) -> None:
        self._url = opening.parse(url)
        self.driver = _driver(self._url.get_backend_name())
        self._closed = False
        self._reset()
        with self._failing():
            if migrated_by is None:
                opening.prepare(self._url)
            else:
                opening.survey(self._url, migrated_by)
        _all.add(self)

    def _reset(self) -> None:
        self._live: _Live | None = None
        self._orphaned = False
        self._lock = threading.RLock()
        """Held by who writes."""
        self._gate = threading.Condition()
        """Guards the three below and `_live`, never for longer than a glance."""
        self._readers = 0
        self._forking = False

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection of the pool, for one short read."""
        with self._gate:
            self._gate.wait_for(lambda: not self._forking)
            self._readers += 1
        try:
            with self._failing(), self._opened().engine.connect() as held:
                yield held
        finally:
            with self._gate:
                self._readers -= 1
                self._gate.notify_all()

    def write(self, work: Callable[[Connection], T]) -> T:
        """What `work` returns, given the writer's connection, which no other thread has meanwhile."""
        with self._lock, self._failing():
            try:
                return work(self._writer())
            except (SQLAlchemyError, *self.driver.ERROR):
                live = self._live
                if live is None or live.writer is None or not self.driver.dead(live.writer):
                    raise
                live.writer.invalidate()
                live.writer.close()
                live.writer = None
            # The server hung up since the last time, as in its restart; what we do is keyed by action id.
            return work(self._writer())

    def close(self) -> None:
        """Release the connections; idempotent."""
        with self._lock:
            self._closed = True
            self._release()

    def before_fork(self) -> None:
        """Wait until nobody reads or writes, and close what a child must not have."""
        if self.driver is sqlite:
            self._lock.acquire()
            with self._gate:
                self._forking = True
                self._gate.wait_for(lambda: not self._readers)
            self._release()

    def after_fork_in_parent(self) -> None:
        """Let the others go on."""
        if self.driver is sqlite:
            with self._gate:
                self._forking = False
                self._gate.notify_all()
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Start afresh."""
        live = self._live
        self._reset()
        if live is not None:
            # Not closed: that would end the parent's session, or worse.
            _inherited.append(live)
            self._orphaned = self.driver is sqlite

    def _release(self) -> None:
        with self._gate:
            live, self._live = self._live, None
        if live is not None:
            if live.writer is not None:
                live.writer.close()
            live.engine.dispose()

    @property
    def _place(self) -> str:
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, *self.driver.ERROR, *self.driver.REFUSED) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(cause, self.driver.REFUSED):
                raise RowsRefused(f"the decision store {self._place} takes no such values: {cause}") from error
            raise StoreUnavailable(f"the decision store {self._place} failed: {cause}") from error

    def _opened(self) -> _Live:
        with self._gate:
            if self._closed:
                raise StoreUnavailable(f"the decision store {self._place} is closed")
            if self._orphaned:
                raise StoreUnavailable(
                    f"the decision store {self._place} was open when this process was forked by something "
                    "that doesn't run Python's fork hooks: open it after the fork (uWSGI: lazy-apps = true)"
                )
            if self._live is None:
                self._live = _Live(opening.connect(self._url))
            return self._live

    def _writer(self) -> Connection:
        live = self._opened()
        if live.writer is None:
            held = live.engine.connect()
            try:
                self.driver.prepare(held)
            except BaseException:
                held.close()
                raise
            live.writer = held
        return live.writer


def _driver(backend: str) -> ModuleType:
    if backend == "sqlite":
        return sqlite
    try:
        from supervisor_guards.embedded import postgresql
    except ModuleNotFoundError as error:
        raise opening.needs_psycopg(error) from error
    return postgresql


_all: weakref.WeakSet[Connections] = weakref.WeakSet()
_inherited: list[_Live] = []


_at_fork: list[Connections] = []
_held = False
"""Whether `_before_fork` ran for the fork under way: another thread may import this module in its middle."""


def _before_fork() -> None:
    global _held
    opening.lock.acquire()
    _held = True
    _at_fork[:] = _all
    for connections in _at_fork:
        connections.before_fork()


def _after_fork_in_parent() -> None:
    global _held
    if not _held:
        return
    _held = False
    for connections in _at_fork:
        connections.after_fork_in_parent()
    _at_fork.clear()
    opening.lock.release()


def _after_fork_in_child() -> None:
    global _held
    _held = False
    _at_fork.clear()
    opening.renew_lock()
    for connections in list(_all):
        connections.after_fork_in_child()


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
