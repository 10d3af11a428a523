"""Which of the project's databases has the supervisor's tables, if any, and how the engine connects to it.

Models, migrations and the guard all ask here. The alias's own settings are read when they are needed, never kept:
Django's test runner changes them.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from supervisor_guards.errors import ConfigurationError

SETTING = "SUPERVISOR_GUARDS"
MEMORY = "memory:"
"""The engine's store in this process's memory."""
VENDORS = ("sqlite", "postgresql")

_DJANGO_ONLY = ("isolation_level", "server_side_binding", "pool")
"""OPTIONS of Django's own connections, which say nothing about where the database is or who may enter."""


def tables_alias() -> str | None:
    """The alias that `DATABASE` names; None for a URL, a store of its own, and a remote supervisor."""
    written = getattr(settings, SETTING, None)
    return alias_of(written) if isinstance(written, Mapping) else None


def alias_of(written: Mapping[str, Any]) -> str | None:
    """The alias that the dict `written` names, if it does."""
    named = written.get("DATABASE")
    if not isinstance(named, str) or not named or "://" in named or named == MEMORY:
        return None
    remote = written.get("BASE_URL") or os.environ.get("SUPERVISOR_BASE_URL")
    return None if remote else named


def migration(alias: str) -> str:
    """The command that makes the tables in `alias`, and what to do where it finds nothing to do."""
    return f"`manage.py migrate --database {alias}` (where it has nothing to do, `manage.py check --database {alias}`)"


def store_url(alias: str) -> str:
    """The URL by which the engine opens the database of `alias` on a connection of its own.

    It may hold a password: for the engine, not for logs. `memory:` for a SQLite database in memory, which only the
    connection that made it can reach. Raises `ConfigurationError` naming what is wrong with the alias.
    """
    known = sorted(connections)
    if alias not in known:
        close = difflib.get_close_matches(alias, known, n=1)
        meant = f"; did you mean {close[0]!r}?" if close else f": choose one of {', '.join(known)}, or give a URL"
        raise ConfigurationError(f"DATABASE={alias!r} is no alias of DATABASES{meant}")
    kind = vendor(alias)
    if kind not in VENDORS:
        raise ConfigurationError(
            f"DATABASE={alias!r} is a database of {kind}, and the supervisor's tables can be on SQLite and PostgreSQL: "
            "name an alias of one of these, or remove DATABASE for a SQLite file of its own"
        )
    written = connections[alias].settings_dict
    return _sqlite_url(alias, written) if kind == "sqlite" else _postgresql_url(alias, written)


def vendor(alias: str) -> str:
    """The kind of database, as Django calls it, also where its driver isn't installed."""
    try:
        return str(connections[alias].vendor)
    except (ImproperlyConfigured, ImportError):
        entries: Any = connections.settings
        return str(entries[alias]["ENGINE"]).rpartition(".")[2]


def in_memory(name: str) -> bool:
    """Whether `name`, a SQLite database's, is one in memory."""
    return name in ("", ":memory:") or (name.startswith("file:") and "mode=memory" in name)


def write_version(connection: Any, version: int) -> None:
    """Write `version` of the schema where the engine looks for it, on Django's `connection`."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO sg_meta (key, value) VALUES ('schema', %s) "
            "ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            [str(version)],
        )
        if connection.vendor == "sqlite":
            cursor.execute(f"PRAGMA user_version = {int(version)}")


def _sqlite_url(alias: str, written: Mapping[str, Any]) -> str:
    name = str(written["NAME"])
    if in_memory(name):
        return MEMORY
    if name.startswith("file:") or "?" in name:
        raise ConfigurationError(
            f"DATABASE={alias!r}: the NAME {name!r} of the alias can't be carried over: give a path without '?'"
        )
    return f"sqlite:///{name}"


def _postgresql_url(alias: str, written: Mapping[str, Any]) -> str:
    query = _options(alias, dict(written["OPTIONS"]))
    user = written["USER"] or query.pop("user", "")
    password = written["PASSWORD"] or query.pop("password", "")
    host, port = str(written["HOST"] or ""), str(written["PORT"] or "")
    authority = quote(str(user), safe="") + (f":{quote(str(password), safe='')}" if password else "")
    if written["NAME"]:
        query["dbname"] = written["NAME"]
    if host:
        query["host"] = host
    if port:
        # libpq takes one port for all hosts, SQLAlchemy wants one for each; without a host it is the socket's.
        hosts = str(query.get("host", "")).count(",") + 1
        query["port"] = port if "," in port else ",".join([port] * hosts)
    at = f"{authority}@" if authority else ""
    return f"postgresql://{at}/?{urlencode(query, quote_via=quote)}"


def _options(alias: str, options: dict[str, Any]) -> dict[str, Any]:
    """The OPTIONS that libpq knows. Raises `ConfigurationError` for any other that would change something."""
    try:
        from psycopg.pq import Conninfo
    except ImportError:
        raise ConfigurationError(
            f"DATABASE={alias!r}: PostgreSQL needs psycopg: install the extra `postgresql`"
        ) from None
    known = {item.keyword.decode(): item.dispchar == b"*" for item in Conninfo.get_defaults()}
    role = options.pop("assume_role", None)
    for name in _DJANGO_ONLY:
        options.pop(name, None)
    for name in options:
        if name not in known or (known[name] and name != "password"):
            raise ConfigurationError(
                f"DATABASE={alias!r}: OPTIONS[{name!r}] of the alias can't be carried over to the supervisor's own "
                "connection: remove it, put it into a libpq service file (OPTIONS['service']), or give DATABASE a URL"
            )
    if role:
        escaped = str(role).replace("\\", "\\\\").replace(" ", "\\ ")
        options["options"] = f"{options.get('options', '')} -c role={escaped}".strip()
    return options
