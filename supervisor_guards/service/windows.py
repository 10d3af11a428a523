"""Counts that every process shares: so many of something in each stretch of time. Within a transaction of the store."""

from __future__ import annotations

from sqlalchemy import Connection, delete, select, text, update

from supervisor_guards.service.schema import windows as table

__all__ = ["add", "counted", "forget", "sweep", "take_back", "window_of"]

_ADD = text(
    'INSERT INTO sv_windows (subject, "window", count) VALUES (:subject, :window, :count) '
    'ON CONFLICT (subject, "window") DO UPDATE SET count = sv_windows.count + excluded.count'
)
_KEPT_US = 3_600_000_000


def window_of(now: int, length: int) -> int:
    """The first microsecond of the window that `now` is in; `length` is in microseconds too."""
    return now - now % length


def counted(held: Connection, subject: str, window: int) -> int:
    """How many there are."""
    query = select(table.c.count).where(table.c.subject == subject, table.c.window == window)
    return held.execute(query).scalar() or 0


def add(held: Connection, subject: str, window: int, count: int) -> None:
    """So many more."""
    held.execute(_ADD, {"subject": subject, "window": window, "count": count})


def take_back(held: Connection, subject: str, window: int) -> None:
    """One less."""
    chosen = (table.c.subject == subject) & (table.c.window == window) & (table.c.count > 0)
    held.execute(update(table).where(chosen).values(count=table.c.count - 1))


def forget(held: Connection, subject: str, window: int) -> None:
    """None."""
    held.execute(delete(table).where(table.c.subject == subject, table.c.window == window))


def sweep(held: Connection, now: int) -> None:
    """Delete the windows of more than an hour ago."""
    held.execute(delete(table).where(table.c.window < now - _KEPT_US))
