"""How one process learns what another has written: PostgreSQL's NOTIFY, and on SQLite a look every few moments.

A waiting request sleeps on a topic. What wakes it may be about something else: it looks again and goes on sleeping.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import defaultdict
from typing import Any

import anyio
from sqlalchemy import Connection, text
from sqlalchemy.exc import SQLAlchemyError

from supervisor_guards.embedded import opening

logger = logging.getLogger("supervisor_guards")

CHANNEL = "sv_changes"
POLICIES = "policies"
REVIEWS = "reviews"
DECISIONS = "decisions"
DELIVERIES = "deliveries"
ACCESS = "access"
TOPICS = (POLICIES, REVIEWS, DECISIONS, DELIVERIES, ACCESS)
_LOOK_SECONDS = 0.2
_RETRY_SECONDS = 1.0


def tell(held: Connection, topic: str) -> None:
    """Let every process know, once this transaction is committed. SQLite needs no word: its file changes."""
    if held.dialect.name == "postgresql":
        held.execute(text("SELECT pg_notify(:channel, :topic)"), {"channel": CHANNEL, "topic": topic})


class Wakeups:
    """The sleepers of one process, and the thread that hears of changes for them."""

    def __init__(self, url: str) -> None:
        self._url = opening.parse(url)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changes: dict[str, int] = defaultdict(int)
        self._sleepers: dict[str, set[asyncio.Event]] = defaultdict(set)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.ending = False
        """Whether the process is about to end: nobody sleeps any more."""

    def start(self) -> None:
        """Begin to listen; called on the event loop whose tasks will sleep."""
        self._loop = asyncio.get_running_loop()
        listen = self._listen if self._url.get_backend_name() == "postgresql" else self._look
        self._thread = threading.Thread(target=listen, name="supervisor-service-wakeups", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Stop listening; idempotent."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5.0)

    def seen(self, topic: str) -> int:
        """How many changes of `topic` there were: to be remembered before one looks."""
        return self._changes[topic]

    def sleeping(self, topic: str) -> int:
        """How many sleep on `topic` now."""
        return len(self._sleepers[topic])

    async def sleep(self, topic: str, seen: int, seconds: float) -> bool:
        """Sleep until `topic` has changed since `seen`, at most `seconds`; whether it has.

        Nobody sleeps while the process ends (`ending`).
        """
        if self._changes[topic] != seen:
            return True
        if self.ending:
            return False
        woken = asyncio.Event()
        self._sleepers[topic].add(woken)
        try:
            # `asyncio.wait_for` forgets, before Python 3.12, that it was cancelled where `woken` was set meanwhile.
            with anyio.move_on_after(seconds):
                await woken.wait()
        finally:
            self._sleepers[topic].discard(woken)
        return woken.is_set()

    def changed(self, topic: str) -> None:
        """Wake those who sleep on `topic`; called on the event loop."""
        self._changes[topic] += 1
        for woken in self._sleepers[topic]:
            woken.set()

    def end(self) -> None:
        """Wake everybody: the process is about to end. Called from any thread, or by a signal's handler."""
        self.ending = True
        self._tell(*TOPICS)

    def _tell(self, *topics: str) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        for topic in topics:
            try:
                loop.call_soon_threadsafe(self.changed, topic)
            except RuntimeError:  # the loop was closed meanwhile
                return

    def _listen(self) -> None:
        """PostgreSQL: a connection of its own that hears every process's notifications."""
        import psycopg

        patience: dict[str, Any] = {**opening.patience(self._url)}
        target = self._url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self._stop.is_set():
            try:
                with psycopg.connect(target, autocommit=True, **patience) as connection:
                    connection.execute(f"LISTEN {CHANNEL}")
                    self._tell(*TOPICS)  # what was said before we listened is lost: let everybody look
                    while not self._stop.is_set():
                        for heard in connection.notifies(timeout=0.5):
                            self._tell(heard.payload)
            except psycopg.Error as error:
                logger.warning("no notifications from the database, trying again: %s", error)
                self._stop.wait(_RETRY_SECONDS)

    def _look(self) -> None:
        """SQLite: its counter of other connections' commits, read from the file's header."""
        engine = opening.connect(self._url)
        try:
            while not self._stop.is_set():
                try:
                    with engine.connect() as held:
                        self._look_at(held)
                except SQLAlchemyError as error:
                    logger.warning("can't see what other processes write, trying again: %s", error)
                    self._stop.wait(_RETRY_SECONDS)
        finally:
            engine.dispose()

    def _look_at(self, held: Connection) -> None:
        last: Any = None
        while not self._stop.wait(_LOOK_SECONDS):
            version = held.exec_driver_sql("PRAGMA data_version").scalar()
            if version != last:
                last = version
                self._tell(*TOPICS)
