"""The store in one of a project's own databases: what survives a request's rollback, and who may be missing."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres
import pytest

from supervisor_guards.embedded import open_store
from supervisor_guards.embedded.schema import VERSION
from tests.integrations.django_store import ALIAS, Project, postgresql, sqlite
from tests.integrations.django_store.scenarios import WAYS

SECRET = "se!cret/p@ss"


@contextlib.contextmanager
def project_on(kind: str, folder: Path, request: pytest.FixtureRequest, **guards: Any) -> Iterator[Project]:
    """A project whose requests are transactions: an alias of its own on SQLite, the application's on PostgreSQL."""
    shop = sqlite(folder / "shop.db", ATOMIC_REQUESTS=True)
    if kind == "no alias":
        yield Project(folder, {"default": shop}, **guards)
    elif kind == "sqlite":
        both = {"default": shop, ALIAS: sqlite(folder / "supervisor.db")}
        yield Project(folder, both, DATABASE=ALIAS, **guards)
    else:
        cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
        with cluster.database() as url:
            own = postgresql(url, ATOMIC_REQUESTS=True, PASSWORD=SECRET)
            yield Project(folder, {"default": own}, DATABASE="default", **guards)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_rows_and_reviews_outlive_the_request_s_transaction(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with project_on(kind, tmp_path, request) as project:
        project.migrate()
        found = project.drive("asked", "redeemed", "allowed")
        asked = found["asked"]
        assert {way: {**one, "id": ""} for way, one in asked["ways"].items()} == {
            way: {"id": "", "status": 403, "decision": "review", "review": "pending", "in Django": [1, 1]}
            for way in WAYS
        }
        # Of the views, only that of the operation whose framework answers for it by itself was not rolled back.
        assert asked["groups"] == ["operation-inside"]
        assert found["redeemed"] == {
            "status": 403, "waiting": True, "state": "approved", "again": [200, 409], "findings": [],
            "checked": [True, True, True], "purged": [True, True, True], "after": [], "schema": [str(VERSION)],
        }  # fmt: skip
        assert found["allowed"]["statuses"] == [200] * len(WAYS)
        assert {"decorator", "inside", "after", "permission", "operation"} <= set(found["allowed"]["groups"])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_the_engine_s_commands_work_on_it_and_never_say_the_password(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with project_on(kind, tmp_path, request) as project:
        project.migrate()
        held = project.drive("asked")["asked"]["ways"]
        first, second = held["/middleware"]["id"], held["/decorator"]["id"]
        ours = "supervisor_guards"
        told = project.together(
            (ours, "reviews", "--json"), (ours, "approve", first, "--notes", "looks right"),
            (ours, "reject", second), (ours, "decisions", "--json"), (ours, "doctor"),
            (ours, "purge", "--older-than", "0", "--yes"),
        )  # fmt: skip
        lines = [json.loads(line) for line in told.splitlines() if line.startswith("{")]
        assert {first, second} <= {line.get("action_id", line.get("id")) for line in lines}
        assert "Nothing is wrong." in told
        assert SECRET not in told
        if kind == "postgresql":
            project.databases["default"]["HOST"] = str(tmp_path / "nobody")
            broken = project.manage(ours, "decisions", code=None)
            assert "no such file or directory" in broken.lower()
            assert SECRET not in broken


def test_the_engine_opens_by_url_what_django_has_migrated(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with project_on("sqlite", tmp_path, request) as project:
        project.migrate()
        project.drive("asked")
        store = open_store(f"sqlite:///{tmp_path}/supervisor.db")
        assert len(store.decisions()) == len(WAYS)
        store.close()


def test_without_an_alias_the_store_is_a_file_of_its_own(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with project_on("no alias", tmp_path, request) as project:
        assert project.drive("bare")["bare"] == {"statuses": [200, 403], "stored": 2}
        assert (tmp_path / ".supervisor" / "decisions.db").is_file()
        assert (tmp_path / "shop.db").stat().st_size == 0


@pytest.mark.parametrize(
    "guards",
    [
        {"DATABASE": "memory:"},
        {"DATABASE": ALIAS, "MODE": "shadow", "BASE_URL": "https://supervisor.internal"},
    ],
)
def test_where_the_store_is_elsewhere_the_application_needs_no_tables(tmp_path: Path, guards: dict[str, Any]) -> None:
    both = {name: sqlite(tmp_path / f"{name}.db") for name in ("default", ALIAS)}
    found = Project(tmp_path, both, **guards).drive("bare")["bare"]
    assert found == {"statuses": [200, 403 if guards["DATABASE"] == "memory:" else 200], "stored": 2}
    assert list(tmp_path.glob("*.db")) == []


def test_in_shadow_an_application_starts_before_migrate(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with project_on("sqlite", tmp_path, request, MODE="shadow") as project:
        told = project.run("-m", "tests.integrations.django_store.scenarios", "bare")
        assert '"statuses": [200, 200], "stored": 2' in told
        assert "kept in memory only" in told
        assert f"run `manage.py migrate --database {ALIAS}`" in told


def test_in_enforce_it_refuses_and_says_what_to_run(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    with project_on("sqlite", tmp_path, request) as project:
        told = project.run("-m", "tests.integrations.django_store.scenarios", "bare")
        assert '"statuses": [503, 503]' in told
        assert f"run `manage.py migrate --database {ALIAS}`" in told
        assert "no such table" not in told
