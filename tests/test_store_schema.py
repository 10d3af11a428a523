"""A store is made and upgraded at open, in a place nobody else can read."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from supervisor_guards.embedded import opening, schema
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.ledger import SEALED, DecisionRow
from supervisor_guards.embedded.store import Store

ROW = DecisionRow(action_id="a1", time=1, action_type="refund", mode="shadow", enforced=False, outcome="allow")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_migrated_schema_is_the_one_in_the_code(new_store_url: str) -> None:
    Store(new_store_url).close()
    engine = opening.connect(opening.parse(new_store_url))
    with engine.connect() as held:
        options = {"compare_type": True, "compare_server_default": True, "version_table": "sg_alembic_version"}
        assert compare_metadata(MigrationContext.configure(held, opts=options), schema.metadata) == []
    engine.dispose()


def test_sqlite_tables_are_those_of_the_code_to_the_letter(tmp_path: Path) -> None:
    Store(f"sqlite:///{tmp_path}/migrated.db").close()
    engine = opening.connect(opening.parse(f"sqlite:///{tmp_path}/created.db"))
    schema.metadata.create_all(engine)
    engine.dispose()

    def definitions(name: str) -> set[str]:
        connection = sqlite3.connect(tmp_path / name)
        found = connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sg_alembic%'").fetchall()
        connection.close()
        return {" ".join(sql.split()) for (sql,) in found if sql is not None}

    assert definitions("migrated.db") == definitions("created.db")


def test_every_field_of_a_row_has_its_column() -> None:
    assert [column.name for column in schema.decisions.c] == ["id", *SEALED]


def test_an_application_keeps_its_own_tables_and_migrations(new_store_url: str) -> None:
    url = opening.parse(new_store_url)
    if url.get_backend_name() == "sqlite":
        Path(str(url.database)).parent.mkdir(parents=True)
    engine = opening.connect(url)
    with engine.begin() as held:
        held.exec_driver_sql("CREATE TABLE alembic_version (version_num TEXT)")
        held.exec_driver_sql("INSERT INTO alembic_version VALUES ('theirs')")
    Store(new_store_url).close()
    with engine.connect() as held:
        assert held.exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one() == "theirs"
    engine.dispose()


def test_a_schema_of_a_newer_release_is_left_alone(new_store_url: str) -> None:
    Store(new_store_url).close()
    url = opening.parse(new_store_url)
    engine = opening.connect(url)
    with engine.begin() as held:
        if url.get_backend_name() == "sqlite":
            held.exec_driver_sql("PRAGMA user_version = 99")
        else:
            held.exec_driver_sql("UPDATE sg_meta SET value = '99'")
    engine.dispose()
    with pytest.raises(StoreUnavailable, match=r"schema 99.*upgrade supervisor-guards"):
        Store(new_store_url)


def test_nobody_else_can_read_the_files(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / ".supervisor"
    before = os.umask(0)
    try:
        store = Store(f"sqlite:///{folder}/decisions.db")
        store.write([ROW])
        assert mode(folder) == 0o700
        files = {path.name: mode(path) for path in folder.iterdir()}
        store.close()
    finally:
        os.umask(before)
    assert files == {
        ".gitignore": 0o600,
        "decisions.db": 0o600,
        "decisions.db-wal": 0o600,
        "decisions.db-shm": 0o600,
    }
    assert (folder / ".gitignore").read_text() == "*\n"


def test_a_folder_of_the_user_is_left_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    Store(f"sqlite:///{folder}/decisions.db").close()
    assert mode(folder) == 0o755
    assert [path.name for path in folder.iterdir()] == ["decisions.db"]


def test_a_relative_path_stays_where_it_was_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    store = Store("sqlite:///.supervisor/decisions.db")
    monkeypatch.chdir(tmp_path / "other")
    store.write([ROW])
    store.close()
    assert (tmp_path / ".supervisor" / "decisions.db").exists()
    assert list((tmp_path / "other").iterdir()) == []


def test_a_place_that_cannot_be_written_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")  # root may write everywhere, but no folder fits into a file
    with pytest.raises(StoreUnavailable, match=r"can't write .*/file/\.supervisor .*SUPERVISOR_DATABASE_URL"):
        Store(f"sqlite:///{tmp_path}/file/.supervisor/decisions.db")
    with pytest.raises(StoreUnavailable, match=r"can't write .*/file .*is a file"):
        Store(f"sqlite:///{tmp_path}/file/decisions.db")


def test_a_file_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "decisions.db").write_bytes(b"not a database " * 100)
    with pytest.raises(StoreUnavailable, match=r"decisions\.db: file is not a database"):
        Store(f"sqlite:///{tmp_path}/decisions.db")


def test_a_failed_upgrade_leaves_nothing_behind(new_store_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = opening._upgrade

    def interrupted(connection: Any) -> None:
        upgrade(connection)
        raise StoreUnavailable("pulled the plug")

    monkeypatch.setattr(opening, "_upgrade", interrupted)
    with pytest.raises(StoreUnavailable, match="plug"):
        Store(new_store_url)
    monkeypatch.undo()
    store = Store(new_store_url)
    store.write([ROW])
    assert store.decision("a1") is not None
    store.close()


def test_a_current_store_opens_without_alembic(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/decisions.db"
    Store(url).close()
    script = (
        "import sys; from supervisor_guards.embedded import open_store; open_store(sys.argv[1]).close(); "
        "sys.exit('alembic' in sys.modules)"
    )
    root = Path(__file__).parents[1]
    assert subprocess.run([sys.executable, "-c", script, url], cwd=root).returncode == 0
