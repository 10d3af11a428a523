"""The supervisor's tables made by Django: where, as what, and that no project has migrations to make."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import postgres
import psycopg
import pytest

from supervisor_guards.embedded import open_store
from tests.integrations.django_store import ALIAS, Project, postgresql, sqlite

URL = "sqlite:////nowhere/decisions.db"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Two SQLite databases, of which `supervisor` is to have the tables."""
    both = {"default": sqlite(tmp_path / "shop.db"), ALIAS: sqlite(tmp_path / "supervisor.db")}
    return Project(tmp_path, both, DATABASE=ALIAS)


def sqlite_schema(path: Path) -> dict[str, Any]:
    """Each table's columns, its keys and indexes, and whether it counts; without the names SQLite makes up."""
    schema: dict[str, Any] = {}
    with closing(sqlite3.connect(path)) as held:
        for table, made in held.execute("SELECT name, sql FROM sqlite_master WHERE type = 'table'").fetchall():
            if not table.startswith("sg_") or table == "sg_alembic_version":
                continue
            columns = [
                (name, kind.upper().replace("BOOLEAN", "BOOL"), notnull, default, key)
                for _, name, kind, notnull, default, key, _ in held.execute(f"PRAGMA table_xinfo({table})")
            ]
            indexes = set()
            for _, name, unique, origin, partial in held.execute(f"PRAGMA index_list({table})").fetchall():
                parts = tuple(held.execute(f"PRAGMA index_xinfo({name})").fetchall())
                (text,) = held.execute("SELECT sql FROM sqlite_master WHERE name = ?", [name]).fetchone()
                where = text.replace('"', "").partition(" WHERE ")[2] if partial else ""
                indexes.add((name if origin == "c" else "", unique, origin, parts, where))
            schema[table] = {"columns": columns, "indexes": indexes, "counts": "AUTOINCREMENT" in made}
    return schema


def postgresql_schema(url: str) -> dict[str, Any]:
    """Columns, indexes and constraints as PostgreSQL says them; a number that it counts up is `counted`."""
    with psycopg.connect(url) as held:
        columns = held.execute(
            "SELECT table_name, column_name, data_type, collation_name, is_nullable, "
            "CASE WHEN is_identity = 'YES' OR column_default LIKE 'nextval(%' THEN 'counted' ELSE column_default END "
            "FROM information_schema.columns "
            "WHERE table_schema = 'public' AND table_name LIKE 'sg\\_%' AND table_name <> 'sg_alembic_version' "
            "ORDER BY table_name, ordinal_position"
        ).fetchall()
        indexes = held.execute(
            "SELECT indexdef FROM pg_indexes WHERE tablename LIKE 'sg\\_%' AND tablename <> 'sg_alembic_version'"
        ).fetchall()
        constraints = held.execute(
            "SELECT conname, contype, pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conrelid::regclass::text LIKE 'sg\\_%' AND conrelid::regclass::text <> 'sg_alembic_version'"
        ).fetchall()
    return {"columns": columns, "indexes": set(indexes), "constraints": set(constraints)}


def test_django_makes_the_tables_that_the_engine_makes_on_sqlite(project: Project) -> None:
    project.migrate(ALIAS)
    open_store(f"sqlite:///{project.folder}/engine.db").close()
    by_engine = sqlite_schema(project.folder / "engine.db")
    assert len(by_engine) == 10
    assert sqlite_schema(project.folder / "supervisor.db") == by_engine


def test_and_on_postgresql(tmp_path: Path, postgres_cluster: postgres.Cluster) -> None:
    with postgres_cluster.database("current") as engine_url, postgres_cluster.database() as url:
        Project(tmp_path, {"default": postgresql(url)}, DATABASE="default").migrate()
        by_engine = postgresql_schema(engine_url)
        assert len({column[0] for column in by_engine["columns"]}) == 10
        assert postgresql_schema(url) == by_engine


@pytest.mark.parametrize(
    "field", ["django.db.models.AutoField", "django.db.models.BigAutoField", "django.db.models.SmallAutoField"]
)
def test_no_project_has_migrations_to_make(project: Project, field: str) -> None:
    project.others["DEFAULT_AUTO_FIELD"] = field
    assert "No changes detected" in project.manage("makemigrations", "--check", "--dry-run")


@pytest.mark.parametrize(
    ("guards", "holder"),
    [
        ({"DATABASE": ALIAS}, ALIAS),
        ({"DATABASE": ALIAS, "MODE": "shadow", "BASE_URL": "https://supervisor.internal"}, None),
        ({"DATABASE": URL}, None),
        ({}, None),
    ],
)
def test_tables_are_made_in_the_chosen_database_alone(
    tmp_path: Path, guards: dict[str, str], holder: str | None
) -> None:
    both = {name: sqlite(tmp_path / f"{name}.db") for name in ("default", ALIAS)}
    project = Project(tmp_path, both, **guards)
    project.migrate()
    assert [name for name in both if sqlite_schema(tmp_path / f"{name}.db")] == ([holder] if holder else [])
    # What asks every model of every database finds no rows, and no error, where there are no tables.
    assert project.run("-c", ASKING_ALL).strip() == "done"


ASKING_ALL = """
import io
import django
django.setup()
from django.core.management import call_command
from django.db import connections
for connection in connections.all():
    call_command("dumpdata", "--all", "--database", connection.alias, stdout=io.StringIO())
    connection.creation.serialize_db_to_string()
print("done")
"""


def test_migrating_back_takes_the_tables_away(project: Project) -> None:
    onwards = ("migrate", "--database", ALIAS)
    back = ("migrate", "supervisor_guards", "zero", "--database", ALIAS)
    project.together(onwards, back)
    assert sqlite_schema(project.folder / "supervisor.db") == {}
    project.together(onwards)
    assert len(sqlite_schema(project.folder / "supervisor.db")) == 10


@pytest.fixture
def recorded_elsewhere(project: Project) -> Project:
    """Both databases were migrated while nothing named `supervisor`."""
    project.guards.pop("DATABASE")
    project.migrate()
    project.guards["DATABASE"] = ALIAS
    return project


def test_a_migration_recorded_while_another_database_was_named_is_told_with_its_remedy(
    recorded_elsewhere: Project,
) -> None:
    project = recorded_elsewhere
    told = project.manage("migrate", "--database", ALIAS, code=1)
    assert "supervisor_guards.E013" in told
    assert "The database 'supervisor' has no sg_" in told
    fake = ("migrate", "supervisor_guards", "zero", "--fake", "--skip-checks", "--database", ALIAS)
    assert f"manage.py {' '.join(fake)}" in told
    mended = project.together(fake, ("migrate", "--database", ALIAS), ("check", "--database", ALIAS))
    assert "no issues" in mended
    assert len(sqlite_schema(project.folder / "supervisor.db")) == 10


def test_tables_that_nobody_made_yet_are_a_warning_of_that_database_alone(project: Project) -> None:
    told = project.manage("check", "--database", ALIAS)
    assert "supervisor_guards.W006" in told
    assert f"Run manage.py migrate --database {ALIAS}." in told
    assert project.together(("check",), ("check", "--database", "default")).count("no issues") == 2
