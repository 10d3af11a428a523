"""Migration operations that touch only the alias that `DATABASE` names; the state of models is the same everywhere."""

from __future__ import annotations

from typing import Any

from django.db import migrations, router
from django.db.migrations.operations.base import Operation

from supervisor_guards_django import databases


def _holds(alias: str, model: Any) -> bool:
    """Whether the table of `model` is in `alias`: where `DATABASE` says so, and neither router nor kind is against."""
    return bool(
        alias == databases.tables_alias()
        and model._meta.can_migrate(alias)
        and router.allow_migrate_model(alias, model)
    )


class CreateTable(migrations.CreateModel):
    """`CreateModel`, in the alias that has the tables."""

    def allow_migrate_model(self, connection_alias: str, model: Any) -> bool:
        """Whether `connection_alias` has the tables; the project's routers can't say yes for another."""
        return _holds(connection_alias, model)


class SchemaVersion(Operation):
    """Write down, where the engine looks, that its schema is now of `version`; it was of version `before`."""

    reversible = True
    reduces_to_sql = False

    def __init__(self, version: int, *, before: int) -> None:
        self.version = version
        self.before = before

    def state_forwards(self, app_label: str, state: Any) -> None:
        """Models don't change."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """In `sg_meta`, and for SQLite in `user_version` too."""
        if _holds(schema_editor.connection.alias, to_state.apps.get_model(app_label, "Setting")):
            databases.write_version(schema_editor.connection, self.version)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        """The version that was there."""
        if _holds(schema_editor.connection.alias, from_state.apps.get_model(app_label, "Setting")):
            databases.write_version(schema_editor.connection, self.before)

    def describe(self) -> str:
        """For `migrate` and `sqlmigrate`."""
        return f"Write down version {self.version} of the supervisor's schema"
