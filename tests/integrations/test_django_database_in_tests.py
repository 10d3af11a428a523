"""What the guard does on the databases of a project's own tests: `manage.py test` on each kind, and in parallel."""

from __future__ import annotations

from pathlib import Path

import postgres
import pytest

from tests.integrations.django_store import ALIAS, Project, postgresql, sqlite

TESTS = "tests.integrations.django_store.in_tests"


def places(told: str) -> set[str]:
    """The test databases that the guard's tests were on."""
    assert "Ran 5 tests" in told
    found = {line.removeprefix("PLACE ") for line in told.splitlines() if line.startswith("PLACE ")}
    assert found
    return found


@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")])
def test_beside_a_database_in_memory_the_guard_keeps_its_rows_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STORE_IS_SHARED", "no")
    both = {"default": sqlite(tmp_path / "shop.db"), ALIAS: sqlite(tmp_path / "supervisor.db")}
    told = Project(tmp_path, both, DATABASE=ALIAS).manage("test", TESTS, *parallel)
    assert all("mode=memory" in place for place in places(told))
    assert list(tmp_path.glob("*.db*")) == []


@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")])
def test_a_test_database_in_a_file_is_shared_with_the_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, parallel: tuple[str, ...]
) -> None:
    monkeypatch.setenv("STORE_IS_SHARED", "yes")
    own = sqlite(tmp_path / "supervisor.db", TEST={"NAME": str(tmp_path / "test.db")})
    project = Project(tmp_path, {"default": sqlite(tmp_path / "shop.db"), ALIAS: own}, DATABASE=ALIAS)
    for _ in range(2):  # the second on what the first left behind
        told = project.manage("test", TESTS, *parallel)
        names = ("test_1.db", "test_2.db") if parallel else ("test.db",)
        assert places(told) <= {str(tmp_path / name) for name in names}
    assert list(tmp_path.glob("*.db")) == []


@pytest.mark.parametrize("parallel", [(), ("--parallel", "2")])
def test_a_postgresql_test_database_is_followed_and_can_be_dropped(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    postgres_cluster: postgres.Cluster,
    parallel: tuple[str, ...],
) -> None:
    monkeypatch.setenv("STORE_IS_SHARED", "yes")
    with postgres_cluster.database() as url:
        own = postgresql(url, ATOMIC_REQUESTS=True)
        told = Project(tmp_path, {"default": own}, DATABASE="default").manage("test", TESTS, *parallel)
        names = ("test_{}_1", "test_{}_2") if parallel else ("test_{}",)
        assert places(told) <= {name.format(own["NAME"]) for name in names}
        assert "Destroying test database" in told


def test_tables_made_without_migrations_serve_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_IS_SHARED", "yes")
    own = sqlite(tmp_path / "supervisor.db", TEST={"NAME": str(tmp_path / "test.db")})
    project = Project(tmp_path, {"default": sqlite(tmp_path / "shop.db"), ALIAS: own}, DATABASE=ALIAS)
    project.others["MIGRATION_MODULES"] = {"supervisor_guards": None}
    assert places(project.manage("test", TESTS)) == {str(tmp_path / "test.db")}
