"""Batches into PostgreSQL: COPY for the rows, one upsert for each table beside them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection, text

from supervisor_guards.embedded.ledger import SEALED
from supervisor_guards.embedded.schema import BESIDE, conflict, names

# Any constant will do, if other programs don't use it too.
_WRITE_LOCK = 0x7367_0002

_COPY = f"COPY sg_decisions ({', '.join(SEALED)}) FROM STDIN"


DUPLICATE: tuple[type[Exception], ...] = (psycopg.errors.UniqueViolation,)
TEXT: tuple[type[Exception], ...] = (UnicodeError, psycopg.DataError)
ERROR: tuple[type[Exception], ...] = (psycopg.Error,)
REFUSED: tuple[type[Exception], ...] = (
    psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded,
)  # fmt: skip
"""What is wrong with the values, not with the database; the last is for what no index can hold."""
GUESSES = False


def dead(connection: Connection) -> bool:
    """Whether the server hung up."""
    if connection.invalidated:  # SQLAlchemy saw it in a statement of its own
        return True
    driver: Any = connection.connection.driver_connection
    return bool(driver.closed)


@contextmanager
def begin(connection: Connection) -> Iterator[None]:
    """A transaction after which the next writer's begins.

    So the ids of decisions become visible in their order (a reader that follows them misses none), and two
    processes never wait for each other's roll-ups.
    """
    with connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _WRITE_LOCK})
        yield


@contextmanager
def snapshot(connection: Connection) -> Iterator[None]:
    """A read transaction: everything in it is read as of its first statement."""
    with connection.begin():
        connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        yield


def prepare(held: Connection) -> None:
    """Nothing to prepare."""


def write(held: Connection, rows: Sequence[tuple[Any, ...]], beside: str, tables: Collection[str]) -> None:
    """Insert decision rows and `beside`: rows for `tables`, as JSON by table name. Within a transaction.

    Raises one of `DUPLICATE` when an action id is there already.
    """
    driver: Any = held.connection.driver_connection
    with driver.cursor() as cursor:
        if rows:
            with cursor.copy(_COPY) as copy:
                for row in rows:
                    copy.write_row(row)
        for table in BESIDE:
            if table.name in tables:
                columns = ", ".join(names(table))
                cursor.execute(
                    f"INSERT INTO {table.name} ({columns}) SELECT {columns} "  # noqa: S608 - our own names
                    f"FROM json_populate_recordset(NULL::{table.name}, %s::json -> '{table.name}')"
                    f"{conflict(table)}",
                    (beside,),
                )
