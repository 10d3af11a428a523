"""Opening a store: the schema is made or upgraded by whichever process comes first, the others wait."""

from __future__ import annotations

import random
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.folder import create, private_folder, unwritable
from supervisor_guards.embedded.schema import VERSION, metadata
from supervisor_guards.errors import ConfigurationError

BUSY_SECONDS = 30.0
"""How long a writer waits for other processes."""

_PATIENCE = {
    "connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}  # fmt: skip
"""When a server is given up whose machine or network is gone without a word (s; the last in ms): else a writer, and
all who wait for it, would wait for as long as the system tries on, which is a quarter of an hour to two hours."""

# Alembic keeps its context in a module, and closing a descriptor of a SQLite file ends this process's locks
# on it: one opening at a time, and none during a fork.
lock = threading.RLock()

# Any constant will do, if other programs don't use it too: "sg" and what it guards.
_UPGRADE_LOCK = 0x7367_0001


def renew_lock() -> None:
    """For a forked child: the lock may be held by a thread that it doesn't have."""
    global lock
    lock = threading.RLock()


def parse(url: str) -> URL:
    """`url` as the driver we use takes it; a relative SQLite path becomes absolute.

    Raises `ConfigurationError` for anything but `sqlite:///PATH` and `postgresql://...`.
    """
    choices = "use sqlite:///PATH, postgresql://USER:PASSWORD@HOST/DATABASE or memory:"
    try:
        parsed = make_url(url.replace("postgres://", "postgresql://", 1))
    except ArgumentError:
        raise ConfigurationError(f"store URL: not a URL; {choices}") from None
    if parsed.get_backend_name() == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "sqlite":
        raise ConfigurationError(f"store URL: unknown database {parsed.drivername!r}; {choices}")
    if not parsed.database or parsed.database == ":memory:":
        raise ConfigurationError(f"store URL {url!r}: a SQLite store needs a file; {choices}")
    return URL.create("sqlite", database=str(Path(parsed.database).absolute()))


def connect(url: URL) -> Engine:
    """An engine for `url`; nothing is opened yet."""
    if url.get_backend_name() == "sqlite":
        # Without the driver's own idea of transactions: a statement commits by itself unless we said BEGIN.
        arguments = {"timeout": BUSY_SECONDS, "isolation_level": None, "check_same_thread": False}
        engine = create_engine(url, connect_args=arguments)
        event.listen(engine, "connect", _configure)
        return engine
    return create_engine(url, connect_args=patience(url), pool_pre_ping=True)


def patience(url: URL) -> dict[str, int]:
    """What libpq is told about a PostgreSQL server that is gone without a word, but for what `url` says itself."""
    return {name: value for name, value in _PATIENCE.items() if name not in url.query}


def needs_psycopg(error: ModuleNotFoundError) -> ConfigurationError:
    """The error for a PostgreSQL URL without its driver."""
    return ConfigurationError(f"store URL: PostgreSQL needs {error.name}: install the extra `postgresql` or `service`")


def _configure(connection: sqlite3.Connection, _record: Any) -> None:
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA temp_store = MEMORY")


def prepare(url: URL) -> None:
    """Make the store current: its folder, file and schema.

    Raises `StoreUnavailable` when the place can't be written, another process holds it for `BUSY_SECONDS`,
    or a newer release made the schema.
    """
    with lock:
        if url.get_backend_name() == "sqlite":
            _prepare_sqlite(Path(str(url.database)), url)
        else:
            _prepare_postgresql(url)


def survey(url: URL, migrated_by: str) -> None:
    """Check a store whose tables are made and upgraded by the command `migrated_by`; nothing is made here.

    Raises `StoreUnavailable` naming that command where a table or column is missing, and when a newer release
    made the schema.
    """
    with lock:
        if url.get_backend_name() == "sqlite" and not Path(str(url.database)).is_file():
            raise StoreUnavailable(f"the decision store {url.database} isn't there: run {migrated_by}")
        engine = connect(url)
        try:
            with engine.connect() as held:
                missing = _missing(held)
                place = url.render_as_string(hide_password=True)
                if missing:
                    raise StoreUnavailable(f"the decision store {place} has no {', '.join(missing)}: run {migrated_by}")
                if url.get_backend_name() == "sqlite":
                    _check(held.exec_driver_sql("PRAGMA user_version").scalar_one(), place)
                    driver: Any = held.connection.driver_connection
                    _use_wal(driver)
                else:
                    _check(_postgresql_version(held), place)
        finally:
            engine.dispose()


def _missing(connection: Connection) -> list[str]:
    """The tables that aren't there, and columns that those don't have."""
    there = inspect(connection).get_multi_columns(filter_names=list(metadata.tables))
    found = {name: {column["name"] for column in columns} for (_, name), columns in there.items()}
    missing = [name for name in metadata.tables if name not in found]
    for name, columns in found.items():
        missing += [f"{name}.{column.name}" for column in metadata.tables[name].c if column.name not in columns]
    return missing


def _prepare_sqlite(path: Path, url: URL) -> None:
    private_folder(path.parent)
    try:
        create(path)  # mode 0600: SQLite gives -wal and -shm the mode of the file they belong to
    except FileExistsError:
        pass
    except OSError as error:
        raise unwritable(path, error) from error
    try:
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            # Almost every opening ends here, without having imported Alembic.
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            if version == VERSION:
                return
            _check(version, str(path))
            _use_wal(connection)
        finally:
            connection.close()
        engine = connect(url)
        try:
            with engine.connect() as held, held.begin():
                held.exec_driver_sql("BEGIN IMMEDIATE")
                if held.exec_driver_sql("PRAGMA user_version").scalar_one() != VERSION:
                    _upgrade(held)
                    held.exec_driver_sql(f"PRAGMA user_version = {VERSION}")
        finally:
            engine.dispose()
    except sqlite3.Error as error:
        raise StoreUnavailable(f"can't open the decision store {path}: {error}") from error


def _use_wal(connection: sqlite3.Connection) -> None:
    # SQLite doesn't wait for other connections here, whatever the timeout: it fails at once.
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(random.uniform(0.002, 0.02))  # noqa: S311 - spreads retries, guards nothing


def _prepare_postgresql(url: URL) -> None:
    engine = connect(url)
    try:
        with engine.connect() as held:
            if _postgresql_version(held) == VERSION:
                return
            held.rollback()
            with held.begin():
                held.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
                version = _postgresql_version(held)
                _check(version, url.render_as_string(hide_password=True))
                if version != VERSION:
                    _upgrade(held)
                    held.execute(
                        text(
                            "INSERT INTO sg_meta (key, value) VALUES ('schema', :version) "
                            "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
                        ),
                        {"version": str(VERSION)},
                    )
    finally:
        engine.dispose()


def _postgresql_version(connection: Connection) -> int:
    # to_regclass may answer from a catalogue older than the lock we waited for; pg_class may not.
    made = text("SELECT count(*) FROM pg_class WHERE relname = 'sg_meta' AND pg_table_is_visible(oid)")
    if not connection.execute(made).scalar_one():
        return 0
    return int(connection.execute(text("SELECT value FROM sg_meta WHERE key = 'schema'")).scalar() or 0)


def _check(version: int, place: str) -> None:
    if version > VERSION:
        raise StoreUnavailable(
            f"the decision store {place} has schema {version}, this release knows {VERSION}: upgrade "
            "supervisor-guards, or use another store"
        )


def _upgrade(connection: Connection) -> None:
    there = set(inspect(connection).get_table_names())
    if "sg_decisions" in there and "sg_alembic_version" not in there:
        raise StoreUnavailable(
            "the decision store's tables were made by another program's migrations (as Django's `manage.py migrate`), "
            "and aren't current: run those, and name their command in SUPERVISOR_MIGRATED_BY"
        )
    from alembic import command
    from alembic.config import Config

    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
