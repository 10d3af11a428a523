"""Opening the service's database: the record's tables, and the service's own beside them."""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import Connection, text

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.ledger import Within
from supervisor_guards.embedded.store import Store
from supervisor_guards.service.schema import VERSION

_KEY = "service"


def open_database(url: str, sealer: Sealer, within: Within | None = None) -> Store:
    """The store at `url`, made current, with the service's tables. Several processes may open it at once.

    `within` is called in each transaction that adds to the record. Raises `ConfigurationError` for a URL that
    can't be used, and `StoreUnavailable` where the database can't be opened or a newer release made its schema.
    """
    store = Store(url, sealer=sealer, within=within)
    try:
        with store.reading() as held:
            current = _version(held) == VERSION
        if not current:
            # Writers wait for each other, so the second one finds everything done.
            store.transact(lambda held, _note: _upgrade(held))
    except BaseException:
        store.close()
        raise
    return store


def _version(held: Connection) -> int:
    found = held.execute(text("SELECT value FROM sg_meta WHERE key = :key"), {"key": _KEY}).scalar()
    return int(found or 0)


def _upgrade(held: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    version = _version(held)
    if version == VERSION:
        return
    if version > VERSION:
        raise StoreUnavailable(
            f"the service's tables have schema {version}, this release knows {VERSION}: upgrade supervisor-guards"
        )
    config = Config()
    folder = str(Path(__file__).with_name("migrations"))
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.attributes["connection"] = held
    command.upgrade(config, "head")
    held.execute(
        text(
            "INSERT INTO sg_meta (key, value) VALUES (:key, :version) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        ),
        {"key": _KEY, "version": str(VERSION)},
    )
