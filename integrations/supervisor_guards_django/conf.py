"""The dict `SUPERVISOR_GUARDS` of a project's settings, read on first use and again whenever tests override it."""

from __future__ import annotations

import dataclasses
import difflib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Literal

import anyio.to_thread
from django.conf import settings
from django.core.signals import setting_changed
from django.db.backends.base.base import NO_DB_ALIAS
from django.db.backends.signals import connection_created
from django.utils.module_loading import import_string

from supervisor_guards import Guard, GuardConfig, get_guard
from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import RouteRule, RouteRules, User, provide_guard
from supervisor_guards_django import databases
from supervisor_guards_django.signals import announce

logger = logging.getLogger("supervisor_guards")

SETTING = databases.SETTING
UserResolver = Callable[[Any], Any]
Unresolved = Literal["deny", "warn"]
OWN_KEYS = ("RULES", "USER_RESOLVER", "UNRESOLVED", "MAX_BODY_BYTES", "REVIEW_URL")
"""Keys of the adapter itself; the others are the fields of `GuardConfig`."""
UNKNOWN_KEY = "unknown setting "
"""How the engine's word on a key that nobody knows begins."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """What the dict says. `problems` has every fault: of keys, values, rules and dotted paths.

    `user_resolver` gets the request and returns a `supervisor_guards.web.User`, or None for anonymous; it may be
    a coroutine function under ASGI. None means Django's own authentication. `max_body_bytes` is for rules in the
    settings that don't say; None is the engine's default. `review_url` is where the project shows where a review
    stands. `alias` is the database that has the supervisor's tables; None where none of the project's has them.
    """

    config: GuardConfig
    rules: RouteRules
    rule_problems: tuple[str, ...] = ()
    resolver_problem: str | None = None
    own_problems: tuple[str, ...] = ()
    user_resolver: UserResolver | None = None
    unresolved: Unresolved = "deny"
    review_url: str | None = None
    alias: str | None = None

    @property
    def problems(self) -> tuple[str, ...]:
        """One sentence each; empty where these settings can work."""
        resolver = (self.resolver_problem,) if self.resolver_problem else ()
        return (*self.config.problems(), *self.own_problems, *resolver, *self.rule_problems)


_current: Settings | None = None


def current() -> Settings:
    """The settings in use."""
    global _current
    found = _current
    if found is None:
        found = _current = read(getattr(settings, SETTING, None))
    return found


def read(written: Any) -> Settings:
    """What `written`, the dict, says. Raises nothing."""
    if written is None:
        written = {}
    if not isinstance(written, Mapping):
        wrong = f"{SETTING}={written!r}: give a dict such as {{'MODE': 'shadow', 'RULES': [...]}}"
        return Settings(GuardConfig.load(), RouteRules(), own_problems=(wrong,))
    config = _config(written)
    problems: list[str] = []
    cap = _whole_number(written, "MAX_BODY_BYTES", problems)
    unresolved = written.get("UNRESOLVED", "deny")
    if unresolved not in ("deny", "warn"):
        problems.append(f"UNRESOLVED={unresolved!r}: choose one of deny, warn")
    review_url = written.get("REVIEW_URL")
    if review_url is not None and not isinstance(review_url, str):
        problems.append(f"REVIEW_URL={review_url!r}: give a path such as '/reviews'")
        review_url = None
    rules, rule_problems = _rules(written.get("RULES", ()), cap)
    resolver, resolver_problem = _resolver(written.get("USER_RESOLVER"))
    return Settings(
        config,
        rules,
        rule_problems,
        resolver_problem,
        tuple(problems),
        resolver,
        "warn" if unresolved == "warn" else "deny",
        review_url.rstrip("/") if review_url is not None else None,
        databases.alias_of(written),
    )


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
        provide_guard(_make)


def renew() -> None:
    """Close the guard that was made here, once all its rows are stored; the next use makes another."""
    global _store, _warm
    _store, _warm = None, False
    if _providing:
        provide_guard(_make)


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


def _config(written: Mapping[str, Any]) -> GuardConfig:
    """The engine's part, where unknown keys are compared with the adapter's own ones too."""
    config = GuardConfig.from_mapping({key: value for key, value in written.items() if key not in OWN_KEYS})
    faults = tuple(fault + _own_suggestion(fault) for fault in config.faults)
    config = dataclasses.replace(config, faults=faults)
    database = written.get("DATABASE")
    if database is not None and not isinstance(database, str):
        fault = f"DATABASE={database!r}: give an alias of DATABASES, or a URL such as 'sqlite:////srv/supervisor.db'"
        return dataclasses.replace(config, database_url=None, faults=(*config.faults, fault))
    if database and database != databases.MEMORY and "://" not in database:
        return dataclasses.replace(config, database_url=None)
    return config


def _own_suggestion(fault: str) -> str:
    if not fault.startswith(UNKNOWN_KEY) or "did you mean" in fault:
        return ""
    close = difflib.get_close_matches(fault.removeprefix(UNKNOWN_KEY).strip("'"), OWN_KEYS, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _whole_number(written: Mapping[str, Any], key: str, problems: list[str]) -> int | None:
    value = written.get(key)
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 1):
        return value
    problems.append(f"{key}={value!r}: give a whole number of at least 1, in bytes")
    return None


def _rules(written: Any, cap: int | None) -> tuple[RouteRules, tuple[str, ...]]:
    if isinstance(written, (str, bytes, Mapping)) or not hasattr(written, "__iter__"):
        return RouteRules(), (f"RULES={written!r}: give a list of rules",)
    try:
        return RouteRules([_capped(rule, cap) for rule in written]), ()
    except ConfigurationError as error:
        return RouteRules(), error.problems


def _capped(rule: Any, cap: int | None) -> RouteRule | Mapping[str, Any]:
    if cap is None or not isinstance(rule, Mapping) or "max_body_bytes" in rule:
        return rule
    return {**rule, "max_body_bytes": cap}


def _resolver(written: Any) -> tuple[UserResolver | None, str | None]:
    if written is None:
        return None, None
    found = written
    if isinstance(written, str):
        try:
            found = import_string(written)
        except ImportError as error:
            return (
                _no_resolver,
                f"USER_RESOLVER={written!r} can't be imported ({error}): name a callable by its dotted path",
            )
    if not callable(found):
        return _no_resolver, f"USER_RESOLVER={written!r}: give a callable, or the dotted path of one"
    return found, None


def _no_resolver(request: Any) -> User | None:
    raise ConfigurationError(current().resolver_problem or "USER_RESOLVER can't be used")
