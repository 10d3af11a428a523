"""System checks of the alias that `DATABASE` names, and the connection that the engine makes of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres
import psycopg
import pytest
from psycopg import sql

from tests.integrations import django_store
from tests.integrations.django_client import guarded

from django.core.checks import run_checks  # isort: skip
from django.db import connections  # isort: skip
from django.test import override_settings  # isort: skip

from supervisor_guards.embedded import opening
from supervisor_guards.errors import ConfigurationError
from supervisor_guards_django import conf, databases

MYSQL = {"ENGINE": "django.db.backends.mysql", "NAME": "shop"}
ORACLE = {"ENGINE": "django.db.backends.oracle", "NAME": "shop"}


class ToAudit:
    """A router that sends the users elsewhere, too."""

    def db_for_write(self, model: Any, **hints: Any) -> str | None:
        return "audit" if model._meta.app_label == "auth" else None


class UnknownAppsStayOut:
    """A router that lets nobody in whom it doesn't know."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return None if db == "default" else False


@contextlib.contextmanager
def project(**entries: Any) -> Iterator[None]:
    """Further entries of DATABASES, for the length of the block."""
    before = connections.settings
    connections.settings = connections.configure_settings({"default": before["default"], **entries})
    try:
        yield
    finally:
        for connection in connections.all(initialized_only=True):
            if connection.alias in entries:
                connection.close()
                del connections[connection.alias]
        connections.settings = before


def told(database: Any, routers: tuple[Any, ...] = (), **entries: Any) -> dict[str, str]:
    """Our messages by id, for a project with these further databases."""
    guards = {"DATABASE": database}
    with project(**entries), override_settings(SUPERVISOR_GUARDS=guards, DATABASE_ROUTERS=list(routers)):
        found = run_checks(tags=["supervisor_guards"], databases=[])
        return {str(one.id).partition(".")[2]: f"{one.msg} {one.hint}" for one in found}


def file(name: str = "audit.db", **others: Any) -> dict[str, Any]:
    return django_store.sqlite(Path("/srv/shop") / name, **others)


@pytest.mark.parametrize(
    ("identity", "database", "entries", "words"),
    [
        ("E009", "audti", {"audit": file()}, ["DATABASE='audti' is no alias", "Did you mean 'audit'?"]),
        ("E009", "records", {"audit": file()}, ["DATABASE='records'", "Choose one of audit, default, or give a URL"]),
        ("E010", "audit", {"audit": MYSQL}, ["is a database of mysql", "Name an alias of one of these"]),
        ("E010", "audit", {"audit": ORACLE}, ["is a database of oracle", "or remove DATABASE"]),
        ("E011", "default", {}, ["each of the apps admin, auth, contenttypes, sessions", "a SQLite file of its own"]),
        ("E011", "audit", {"audit": file(ATOMIC_REQUESTS=True)}, ["used by ATOMIC_REQUESTS too", "Name an alias"]),
        ("E011", "audit", {"audit": file(), "b": file()}, ["used by the alias 'b' too", "remove DATABASE"]),
        ("E012", "audit", {"audit": file("what?.db")}, ["the NAME '/srv/shop/what?.db'", "Give a path without '?'"]),
        ("W007", "audit", {"audit": django_store.sqlite(":memory:")}, ["is in memory", "Give the alias a file"]),
    ],
)
def test_each_says_what_is_wrong_and_what_to_do(
    identity: str, database: str, entries: dict[str, Any], words: list[str]
) -> None:
    found = told(database, **entries)
    assert list(found) == [identity]
    assert [word for word in words if word not in found[identity]] == []


def test_an_app_that_a_router_sends_there_is_named() -> None:
    found = told("audit", (ToAudit(),), audit=file())
    assert list(found) == ["E011"]
    assert "used by the app 'auth' too" in found["E011"]


def test_a_router_that_keeps_the_tables_out_is_told() -> None:
    found = told("audit", (UnknownAppsStayOut(),), audit=file())
    assert list(found) == ["E014"]
    assert "Let allow_migrate('audit', 'supervisor_guards') of DATABASE_ROUTERS return True or None." in found["E014"]


@pytest.mark.parametrize(
    "options", [{"context": 1}, {"prepare_threshold": 5}, {"sslpassword": "geheim"}, {"cursor_factory": "x"}]
)
def test_options_that_libpq_does_not_take_are_told_without_their_value(options: dict[str, Any]) -> None:
    entry = django_store.postgresql("postgresql://t@/shop?host=/run", OPTIONS=options)
    found = told("audit", audit=entry)
    assert list(found) == ["E012"]
    assert f"OPTIONS[{next(iter(options))!r}]" in found["E012"]
    assert "Remove it" in found["E012"]
    assert "geheim" not in found["E012"]


@pytest.mark.parametrize(
    ("database", "entries"),
    [
        ("audit", {"audit": file()}),
        ("audit", {"audit": django_store.postgresql("postgresql://t@/shop?host=/run", ATOMIC_REQUESTS=True)}),
        ("sqlite:////srv/shop/audit.db", {}),
        ("memory:", {}),
        (None, {}),
    ],
)
def test_what_works_is_not_told(database: Any, entries: dict[str, Any]) -> None:
    assert told(database, **entries) == {}


def test_in_shadow_a_wrong_alias_leaves_the_application_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with guarded(tmp_path, "shadow", DATABASE="audti") as guard:
        assert "DATABASE='audti' is no alias of DATABASES" in caplog.text
        assert guard.supervisor.store.decisions() == []
        assert (tmp_path / ".supervisor" / "decisions.db").is_file()


def test_in_enforce_it_stops_the_guard(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="DATABASE='audti' is no alias of DATABASES"),
        guarded(tmp_path, DATABASE="audti"),
    ):
        pass


WHO = "SELECT session_user, current_user, current_database(), current_setting('statement_timeout')"
PASSWORD = "p@ss:w/ö r?d#%25'\\&+="


def test_the_engine_arrives_where_django_does(
    postgres_cluster: postgres.Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with postgres_cluster.database() as url, psycopg.connect(url, autocommit=True) as admin:
        for statement in (
            "CREATE ROLE {user} LOGIN", "CREATE ROLE {role}", "GRANT {role} TO {user}", "CREATE DATABASE {name}"
        ):  # fmt: skip
            admin.execute(sql.SQL(statement).format(**NAMES))
        plain = django_store.postgresql(url)
        folder = plain["HOST"]
        (tmp_path / "services").write_text(f"[shop]\nhost={folder}\nuser=tester\ndbname={plain['NAME']}\n")
        monkeypatch.setenv("PGSERVICEFILE", str(tmp_path / "services"))
        entries = {
            "odd": {
                **plain, "NAME": "odd?db/%&=ö", "USER": "odd user@x", "PASSWORD": PASSWORD, "PORT": 5432,
                "OPTIONS": {
                    "assume_role": "the role\\x", "options": "-c statement_timeout=7s", "sslmode": "prefer",
                    "isolation_level": 3, "server_side_binding": True,
                },
            },
            "hosts": {**plain, "HOST": f"127.0.0.9,{folder}", "PORT": "5432"},
            "service": {"ENGINE": plain["ENGINE"], "NAME": "", "OPTIONS": {"service": "shop"}},
        }  # fmt: skip
        try:
            with project(**entries):
                for alias in entries:
                    with connections[alias].cursor() as cursor:
                        cursor.execute(WHO)
                        django_s = cursor.fetchone()
                    parsed = opening.parse(databases.store_url(alias))
                    engine = opening.connect(parsed)
                    with engine.connect() as held:
                        assert tuple(held.exec_driver_sql(WHO).one()) == django_s
                    engine.dispose()
                    assert parsed.password == (PASSWORD if alias == "odd" else None)
                    connections[alias].close()
        finally:
            for statement in ("DROP DATABASE {name}", "DROP ROLE {user}", "DROP ROLE {role}"):
                admin.execute(sql.SQL(statement).format(**NAMES))


NAMES = {
    "user": sql.Identifier("odd user@x"),
    "role": sql.Identifier("the role\\x"),
    "name": sql.Identifier("odd?db/%&=ö"),
}


def test_settings_do_not_hold_the_password(tmp_path: Path) -> None:
    entry = django_store.postgresql("postgresql://t@/shop?host=/run", PASSWORD="geheim")
    with project(audit=entry), override_settings(SUPERVISOR_GUARDS={"DATABASE": "audit"}):
        assert "geheim" not in repr(conf.current())
        assert "geheim" in str(conf.engine_config().database_url)
        assert "geheim" not in repr(conf.engine_config())
