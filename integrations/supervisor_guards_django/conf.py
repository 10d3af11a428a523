"""The dict `SUPERVISOR_GUARDS` of a project's settings, read on first use and again whenever tests override it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from typing import Any

import anyio.to_thread
from django.conf import settings
from django.core.signals import setting_changed
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created

from supervisor_guards import Guard, GuardConfig, get_guard
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import SETTING, WebSettings, provide_guard, read_settings
from supervisor_guards_django import databases
from supervisor_guards_django.signals import announce

logger = logging.getLogger("supervisor_guards")


@dataclasses.dataclass(frozen=True)
class Settings(WebSettings):
    """What the dict says. `alias` is the database that has the supervisor's tables; None where none has them."""

    alias: str | None = None


_current: Settings | None = None


def current() -> Settings:
    """The settings in use."""
    global _current
    found = _current
    if found is None:
        found = _current = read(getattr(settings, SETTING, None))
    return found


def read(written: Any) -> Settings:
    """What `written`, the dict, says; its `DATABASE` may be an alias of the project's databases. Raises nothing."""
    database = written.get("DATABASE") if isinstance(written, Mapping) else None
    is_url = isinstance(database, str) and "://" in database
    if database is None or is_url:
        found = read_settings(written)
    else:
        found = read_settings({key: value for key, value in written.items() if key != "DATABASE"})
        url = databases.MEMORY if database == databases.MEMORY else None
        config = dataclasses.replace(found.config, database_url=url)
        if not isinstance(database, str):
            fault = (
                f"DATABASE={database!r}: give an alias of DATABASES, or a URL such as 'sqlite:////srv/supervisor.db'"
            )
            config = dataclasses.replace(config, faults=(*config.faults, fault))
        found = dataclasses.replace(found, config=config)
    values = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)}
    return Settings(**values, alias=databases.alias_of(written) if isinstance(written, Mapping) else None)


def engine_config() -> GuardConfig:
    """What the engine gets: the settings, and the URL of the alias as it is now, password and all.

    Raises `ConfigurationError` where the alias can't be used.
    """
    found = current()
    if found.alias is None:
        return found.config
    url = databases.store_url(found.alias)
    return dataclasses.replace(found.config, database_url=url, migrated_by=databases.migration(found.alias))


def guard() -> Guard:
    """The guard of these settings, or the one that `configure` made.

    Raises `ConfigurationError` where it can't be made and more than shadow is asked for.
    """
    provide()
    return get_guard()


async def aguard() -> Guard:
    """`guard` for async callers: making it opens policy and store, once, off the event loop."""
    global _warm
    if not _warm:
        await anyio.to_thread.run_sync(guard)
        _warm = True
    return guard()


def provide() -> None:
    """Let the default guard come from these settings: the plain decorators then use them too."""
    global _providing
    if not _providing:
        _providing = True
        provide_guard(_make, _written)


def renew() -> None:
    """Close the guard that was made here, once all its rows are stored; the next use makes another."""
    global _store, _warm
    _store, _warm = None, False
    if _providing:
        provide_guard(_make, _written)


def withdraw() -> None:
    """Let the default guard come from the environment again: for tests of several frameworks in one process."""
    global _providing, _warm, _store
    _providing = _warm = False
    _store = None
    provide_guard(None)


_providing = False
_warm = False
_store: str | None = None
"""The URL of the alias as it was when the guard was made."""


def _written() -> GuardConfig:
    return current().config


def _make() -> Guard:
    global _store
    config = current().config
    problems = config.problems()
    try:
        config = engine_config()
    except ConfigurationError as error:
        problems += error.problems
    if problems and config.enforcement_mode == "shadow" and not config.enforces:
        logger.error("running in shadow on defaults; mend %s: %s", SETTING, "; ".join(problems))
        config = GuardConfig(
            app_id=config.app_id,
            policy=config.policy,
            database_url=config.database_url,
            migrated_by=config.migrated_by,
            state_dir=config.state_dir,
            shadow_only=tuple(problems),
        )
    elif problems:
        raise ConfigurationError(problems)
    else:
        config.warn()
    alias = current().alias
    if alias is not None and config.database_url == databases.MEMORY:
        logger.info("the database %r is in memory: decisions are kept beside it, and models don't show them", alias)
    made = Guard(config)
    made.add_hook(announce)
    _store = config.database_url if alias is not None else None
    return made


def _changed(*, setting: str, **kwargs: Any) -> None:
    global _current
    if setting == SETTING:
        _current = None
        renew()


def _connected(*, connection: Any, **kwargs: Any) -> None:
    """Let go of a database that a test runner is about to drop or copy, or has put another one in the place of."""
    alias = current().alias if _store is not None else None
    if alias is None:
        return
    # Without a database, Django connects only to make, copy and drop some; PostgreSQL wants nobody else in them.
    if connection.alias == NO_DB_ALIAS or (connection.alias == alias and _store_now(alias) != _store):
        renew()


def _store_now(alias: str) -> str | None:
    try:
        return databases.store_url(alias)
    except ConfigurationError:
        return None  # who makes the next guard is told


setting_changed.connect(_changed, dispatch_uid="supervisor_guards_django.conf")
connection_created.connect(_connected, dispatch_uid="supervisor_guards_django.conf")
