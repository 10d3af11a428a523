"""Alembic's entry: upgrades the connection that `database` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from supervisor_guards.service.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table="sv_alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
