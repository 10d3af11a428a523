"""Alembic's entry: upgrades the connection that `opening` hands over, inside its transaction."""

from __future__ import annotations

from alembic import context

from supervisor_guards.embedded.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    # The tables may live in an application's own database, beside its own Alembic.
    version_table="sg_alembic_version",
)
with context.begin_transaction():
    context.run_migrations()
