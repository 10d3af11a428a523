"""Batches into SQLite: one statement each.

The `sqlite3` module gives up the interpreter's lock several times in every `execute`, and beside a busy
thread each return costs up to the switch interval (5 ms). So a batch, its roll-ups, late results and drops
go in by a single multi-row INSERT into a temporary view whose triggers take it apart; it is its own
transaction, and BEGIN and COMMIT would have cost as much again.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from supervisor_guards.embedded.ledger import SEALED
from supervisor_guards.embedded.schema import BESIDE, conflict, names

_NAMES = ", ".join(SEALED)
_PADDING = (None,) * (len(SEALED) + 1)

# SQLite takes 32,766 parameters from 3.32 on, and 999 before.
_SIZES = (2, 9, 65, 501) if sqlite3.sqlite_version_info >= (3, 32) else (2, 9, 40)
"""Rows in a statement: few sizes, filled up with empty rows, so that the prepared statements are reused."""

DUPLICATE: tuple[type[Exception], ...] = (sqlite3.IntegrityError,)
TEXT: tuple[type[Exception], ...] = (UnicodeError,)
ERROR: tuple[type[Exception], ...] = (sqlite3.Error,)
REFUSED: tuple[type[Exception], ...] = (sqlite3.IntegrityError, sqlite3.DataError, OverflowError)
"""What is wrong with the values, not with the database. `sqlite3` itself refuses integers of more than 64 bits."""
GUESSES = True
"""A batch that names its segment needs no transaction: a taken number fails its one statement."""


def dead(connection: Connection) -> bool:
    """Whether `connection` can't be used any more: a file doesn't hang up."""
    return False


@contextmanager
def begin(connection: Connection) -> Iterator[None]:
    """A transaction that holds the write lock from its first statement on."""
    with connection.begin():
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        yield


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A read transaction: everything in it is read as of its first statement."""
    with connection.begin():
        connection.exec_driver_sql("BEGIN")
        yield


def prepare(held: Connection) -> None:
    """Give a writer's connection the view that `write` inserts into."""
    connection: Any = held.connection.driver_connection
    columns = ", ".join(f"NULL AS {name}" for name in SEALED)
    values = ", ".join(f"NEW.{name}" for name in SEALED)
    connection.execute(f"CREATE TEMP VIEW sg_batch AS SELECT NULL AS beside, {columns}")
    insert = f"INSERT INTO sg_decisions ({_NAMES}) VALUES ({values});"  # noqa: S608 - our own names
    connection.execute(
        "CREATE TEMP TRIGGER sg_batch_decision INSTEAD OF INSERT ON sg_batch "
        f"WHEN NEW.action_id IS NOT NULL BEGIN {insert} END"
    )
    steps = []
    for table in BESIDE:
        reads = ", ".join(f"json_extract(value, '$.{name}')" for name in names(table))
        # WHERE true: without it SQLite takes ON for the join's.
        steps.append(
            f"INSERT INTO {table.name} ({', '.join(names(table))}) SELECT {reads} "  # noqa: S608 - our own names
            f"FROM json_each(NEW.beside, '$.{table.name}') WHERE true{conflict(table)};"
        )
    connection.execute(
        "CREATE TEMP TRIGGER sg_batch_beside INSTEAD OF INSERT ON sg_batch WHEN NEW.beside IS NOT NULL "
        f"BEGIN {' '.join(steps)} END"
    )


@functools.cache
def _statement(size: int) -> str:
    row = f"({', '.join('?' * len(_PADDING))})"
    return f"INSERT INTO sg_batch (beside, {_NAMES}) VALUES {', '.join([row] * size)}"  # noqa: S608


def write(held: Connection, rows: Sequence[tuple[Any, ...]], beside: str, tables: Collection[str]) -> None:
    """Insert decision rows and `beside`: rows for `tables`, as JSON by table name. All or nothing.

    Raises one of `DUPLICATE` when an action id is there already.
    """
    connection: Any = held.connection.driver_connection
    largest = _SIZES[-1]
    if len(rows) < largest or connection.in_transaction:
        _insert(connection, rows, beside)
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        _insert(connection, rows, beside)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]], beside: str) -> None:
    largest = _SIZES[-1]
    rest: str | None = beside
    for start in range(0, max(len(rows), 1), largest - 1):
        chunk = rows[start : start + largest - 1]
        values: list[Any] = [rest, *_PADDING[1:]]
        rest = None
        for row in chunk:
            values.append(None)
            values += row
        size = next(size for size in _SIZES if size > len(chunk))
        values += _PADDING * (size - 1 - len(chunk))
        connection.execute(_statement(size), values)
