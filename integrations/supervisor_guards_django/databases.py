"""Which of the project's databases has the supervisor's tables, if any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from django.conf import settings

SETTING = "SUPERVISOR_GUARDS"


def tables_alias() -> str | None:
    """The alias that `DATABASE` names; None for a URL, a store of its own, and a remote supervisor."""
    written = getattr(settings, SETTING, None)
    return alias_of(written) if isinstance(written, Mapping) else None


def alias_of(written: Mapping[str, Any]) -> str | None:
    """The alias that the dict `written` names, if it does."""
    named = written.get("DATABASE")
    if not isinstance(named, str) or not named or "://" in named or named == "memory:":
        return None
    remote = written.get("BASE_URL") or os.environ.get("SUPERVISOR_BASE_URL")
    return None if remote else named


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
