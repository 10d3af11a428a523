"""The configured decision store or service, as commands see it: they read one, and never make one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from supervisor_guards._cli import output
from supervisor_guards._config import GuardConfig
from supervisor_guards._desk import Page
from supervisor_guards.embedded import parts
from supervisor_guards.errors import ConfigurationError

if TYPE_CHECKING:
    from supervisor_guards.embedded.desk import ReviewDesk
    from supervisor_guards.embedded.store import Store
    from supervisor_guards.remote.desk import RemoteDesk

T = TypeVar("T")

SQLITE = "sqlite:///"
SERVICE_DATABASE = "service.db"


def store_file(config: GuardConfig) -> Path | None:
    """The SQLite file of the store; None where the store is on a server or in memory.

    Where no database is named: the embedded supervisor's, else the service's if only that is there.
    """
    if not config.database_url:
        folder = Path(config.state_dir).absolute()
        embedded, service = folder / parts.DATABASE, folder / SERVICE_DATABASE
        return service if service.is_file() and not embedded.is_file() else embedded
    if config.database_url.startswith("sqlite:"):
        from supervisor_guards.embedded import opening

        return Path(str(opening.parse(config.database_url).database))
    return None


def store_url(config: GuardConfig) -> str:
    """The store's URL."""
    return config.database_url or f"{SQLITE}{store_file(config)}"


def shown_url(url: str) -> str:
    """`url` without its password."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        return make_url(url).render_as_string(hide_password=True)
    except ArgumentError:
        return "(not a URL)"


def existing_store(config: GuardConfig) -> Store:
    """The configured store, opened. Ends the command where there is none yet, or none that can be read here."""
    if config.database_url == "memory:":
        output.fail(
            "SUPERVISOR_DATABASE_URL=memory: keeps decisions inside the application; set it to a database to list them"
        )
    if kept_by_service(config):
        output.fail(
            f"SUPERVISOR_BASE_URL={config.base_url}: the service keeps the decisions, and this reads a store; "
            "unset the variable to read the embedded store"
        )
    file = store_file(config)
    if file is not None and not file.is_file() and not (config.database_url and config.migrated_by):
        output.fail(
            f"no decision store yet: {file} isn't there; it is made at the first guarded call. Run this where the "
            "application runs, or name the store with SUPERVISOR_STATE_DIR or SUPERVISOR_DATABASE_URL"
        )
    from supervisor_guards.embedded.store import Store

    migrated_by = config.migrated_by if config.database_url else None
    store = Store(store_url(config), sealer=parts.sealer(config), migrated_by=migrated_by)
    return _as_service(store, config) if _is_service(store) else store


def _is_service(store: Store) -> bool:
    """Whether a service keeps its tables beside the record."""
    from sqlalchemy import select

    from supervisor_guards.embedded.schema import meta

    with store.reading() as held:
        return held.execute(select(meta.c.key).where(meta.c.key == "service")).first() is not None


def _as_service(store: Store, config: GuardConfig) -> Store:
    """`store`, opened so that what a command writes wakes the service's processes and webhooks."""
    store.close()
    try:
        from supervisor_guards.service.database import open_database
        from supervisor_guards.service.outbox import Outbox
    except ModuleNotFoundError as error:
        output.fail(f"the database belongs to a service, and that needs {error.name}: install the extra `service`")
    return open_database(store_url(config), parts.sealer(config), Outbox().within)


def kept_by_service(config: GuardConfig) -> bool:
    """Whether the record is a service's; a database that is named as well is read itself."""
    return bool(config.base_url) and not config.database_url


@contextmanager
def opened_desk(config: GuardConfig) -> Iterator[ReviewDesk | RemoteDesk]:
    """The desk at the service, or at the configured store. Raises `ConfigurationError` where it can't be asked."""
    if kept_by_service(config):
        from supervisor_guards.remote.client import RemoteSupervisor

        problems = config.service_problems()
        if problems:
            raise ConfigurationError(problems)
        with closing(RemoteSupervisor.from_config(config)) as supervisor:
            yield supervisor.desk()
        return
    from supervisor_guards.embedded.desk import ReviewDesk

    with closing(existing_store(config)) as store:
        yield ReviewDesk(store)


def following(find: Callable[[int | None], Page[T]]) -> Iterator[T]:
    """The rows of all pages; `find` gives the one from a cursor on, and is called as they are used up."""
    cursor = None
    while True:
        page = find(cursor)
        yield from page.rows
        cursor = page.cursor
        if cursor is None:
            return
