"""The service's tables are made by its migrations, and are those that its code reads and writes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, MetaData, text

from supervisor_guards.embedded import opening
from supervisor_guards.embedded import schema as record
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.service import schema
from supervisor_guards.service.database import open_database


def whole() -> MetaData:
    """The record's tables and the service's: all that stand in its database."""
    tables = MetaData()
    for table in (*record.metadata.sorted_tables, *schema.metadata.sorted_tables):
        table.to_metadata(tables)
    return tables


def no_bookkeeping(_item: Any, name: str | None, kind: str, _reflected: bool, _compared: Any) -> bool:
    """Alembic knows the version table of one history; here are two."""
    return not (kind == "table" and name in ("sg_alembic_version", "sv_alembic_version"))


def test_the_migrated_schema_is_the_one_in_the_code(new_store_url: str) -> None:
    open_database(new_store_url, Sealer.unsigned()).close()
    engine = opening.connect(opening.parse(new_store_url))
    with engine.connect() as held:
        options = {"compare_type": True, "compare_server_default": True, "include_object": no_bookkeeping}
        assert compare_metadata(MigrationContext.configure(held, opts=options), whole()) == []
    engine.dispose()


_CATALOGUE = {
    "sqlite": "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE '%alembic%'",
    "postgresql": """
        SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename NOT LIKE '%alembic%'
        UNION ALL
        SELECT conrelid::regclass || ' ' || conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace AND conrelid::regclass::text NOT LIKE '%alembic%'
    """,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def two_urls(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Two databases without any tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/migrated.db", f"sqlite:///{tmp_path}/created.db"
        return
    cluster = request.getfixturevalue("postgres_cluster")
    with cluster.database() as migrated, cluster.database() as created:
        yield migrated, created


def test_keys_and_the_conditions_of_indexes_are_those_of_the_code(two_urls: tuple[str, str]) -> None:
    # Alembic compares neither.
    open_database(two_urls[0], Sealer.unsigned()).close()
    migrated, created = (opening.connect(opening.parse(url)) for url in two_urls)
    whole().create_all(created)
    assert definitions(migrated) == definitions(created)
    migrated.dispose()
    created.dispose()


def definitions(engine: Engine) -> set[str]:
    """What the database itself says of its tables, constraints and indexes."""
    with engine.connect() as held:
        found = held.execute(text(_CATALOGUE[engine.dialect.name])).scalars().all()
    assert len(found) > len(whole().tables)
    return {" ".join(sql.split()) for sql in found}
