"""System checks of the database that `DATABASE` names: that it can be used, is nobody else's, and has the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core import checks
from django.db import connections, router
from django.db.migrations.recorder import MigrationRecorder

from supervisor_guards.errors import ConfigurationError
from supervisor_guards.web import SETTING
from supervisor_guards_django import conf, databases, messages

LABEL = "supervisor_guards"


def check_alias(app_configs: Any = None, **kwargs: Any) -> list[checks.CheckMessage]:
    """E009 to E012, E014, W007: the alias exists, the engine can use it, and on SQLite nobody else does."""
    alias = conf.current().alias
    if alias is None:
        return []
    try:
        url = databases.store_url(alias)
    except ConfigurationError as wrong:
        return [messages.error(_identity(alias), *messages.parted(f"{SETTING}: {wrong}"))]
    if url == databases.MEMORY:
        # Django's runner calls its databases so, and says which one a test run is on.
        if connections[alias].settings_dict["NAME"].startswith("file:memorydb_"):
            return []
        text = f"{SETTING}: DATABASE={alias!r} is in memory: decisions and reviews are lost when the process ends."
        return [messages.warning("W007", text, "Give the alias a file.")]
    if not router.allow_migrate_model(alias, apps.get_app_config(LABEL).get_model("Setting")):
        text = f"{SETTING}: DATABASE={alias!r}, and a router of the project keeps {LABEL}'s tables out of it."
        hint = f"Let allow_migrate({alias!r}, {LABEL!r}) of DATABASE_ROUTERS return True or None."
        return [messages.error("E014", text, hint)]
    users = list(_others(alias)) if databases.vendor(alias) == "sqlite" else []
    if not users:
        return []
    text = (
        f"{SETTING}: DATABASE={alias!r} is a SQLite database that is used by {', '.join(users)} too: the "
        "application's own writes fail with 'database is locked' where the supervisor, on a connection of its own, "
        "writes in the middle of a transaction."
    )
    hint = "Name an alias that has a file of its own and is nobody else's, or remove DATABASE: the supervisor then "
    return [messages.error("E011", text, hint + "has a SQLite file of its own.")]


def check_tables(
    app_configs: Any = None, databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """E013, W006: the tables are there. Asked only of databases that the command at hand looks at."""
    alias = conf.current().alias
    if alias is None or alias not in (databases or ()) or alias not in connections:
        return []
    connection = connections[alias]
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
    missing = [
        model._meta.db_table for model in apps.get_app_config(LABEL).get_models() if model._meta.db_table not in there
    ]
    if not missing:
        return []
    text = f"The database {alias!r} has no {', '.join(missing)}"
    recorded = any(label == LABEL for label, _ in MigrationRecorder(connection).applied_migrations())
    if not recorded:
        return [messages.warning("W006", f"{text}.", f"Run manage.py migrate --database {alias}.")]
    return [
        messages.error(
            "E013",
            f"{text}, and Django takes {LABEL}'s migrations for applied there: they were when DATABASE named another.",
            f"Run manage.py migrate {LABEL} zero --fake --skip-checks --database {alias}, and then "
            f"manage.py migrate --database {alias}.",
        )
    ]


def _identity(alias: str) -> str:
    if alias not in connections:
        return "E009"
    return "E012" if databases.vendor(alias) in databases.VENDORS else "E010"


def _others(alias: str) -> Iterator[str]:
    """Who else uses a SQLite database: requests' transactions, other apps' models, another alias of the same file."""
    written = connections[alias].settings_dict
    if written["ATOMIC_REQUESTS"]:
        yield "ATOMIC_REQUESTS"
    models = [model for model in apps.get_models(include_auto_created=True) if model._meta.app_label != LABEL]
    routed = (model for model in models if alias in (router.db_for_write(model), router.db_for_read(model)))
    if labels := sorted({model._meta.app_label for model in routed}):
        yield f"the app {labels[0]!r}" if len(labels) == 1 else f"each of the apps {', '.join(labels)}"
    entries: Any = connections.settings
    for other in connections:
        if other != alias and Path(str(entries[other]["NAME"])) == Path(str(written["NAME"])):
            yield f"the alias {other!r}"
