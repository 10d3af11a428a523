"""Fixtures that several files share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import postgres
import pytest
from hypothesis import settings

settings.register_profile("supervisor-guards", deadline=None)  # no test asserts a time
settings.register_profile("each-python", deadline=None, max_examples=25)
settings.load_profile("supervisor-guards")

ONCE = (
    "test_doc_blocks.py", "test_packaging.py", "test_typing.py",  # pages, the wheel, type checkers
    "test_demo.py", "test_example_*.py", "test_testing_plugin.py",  # programs by themselves
    "test_*_servers*.py", "test_django_database_in_tests.py", "test_celery.py",  # other programs that call us
    "test_published.py", "test_remote_suite.py", "test_openapi.py",  # long conversations with the service
    "test_kill.py", "test_serve.py", "test_webhook_processes.py", "test_running.py",  # processes that end and start
    "test_*_plans*.py", "test_plans*.py", "test_django_database.py", "test_django_migrations.py",  # databases
    "test_parity_matrix.py", "test_principals.py", "test_flask_commands.py",  # long tables
    "test_fault_table.py", "test_sign_in_limits.py",  # tests that wait
)  # fmt: skip
"""Test files that say the same on every interpreter, and take long."""
TWICE = ("service", "console", "remote")
"""Folders of tests that the oldest interpreter has beside the usual one: conversations between two programs."""


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "what depends on the interpreter: leave out the files in ONCE, which another run of the suite has"
    parser.addoption("--each-python", action="store_true", help=text)
    text = "leave out the folders in TWICE too, which the run on the oldest interpreter has"
    parser.addoption("--applications", action="store_true", help=text)


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--each-python"):
        settings.load_profile("each-python")  # another run of the suite looks longer


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    left_out = config.getoption("--each-python") and any(fnmatch(collection_path.name, one) for one in ONCE)
    left_out = left_out or (config.getoption("--applications") and collection_path.name in TWICE)
    return True if left_out else None


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[postgres.Cluster]:
    """One server a session, or a worker of pytest-xdist."""
    from supervisor_guards.embedded import open_store

    with postgres.cluster() as cluster:
        with cluster.database() as url:
            open_store(url).close()
            cluster.keep_as_template(url, "current")
        yield cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty store with a current schema, once on each database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/.supervisor/decisions.db"
        return
    cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
    with cluster.database("current") as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def new_store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database without any tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/new/.supervisor/decisions.db"
        return
    cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
    with cluster.database() as url:
        yield url


class Clock:
    """A clock that tests move: microseconds since the epoch."""

    now = 1_800_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def store_clock() -> Clock:
    return Clock()


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path, store_clock: Clock) -> Iterator[Any]:
    """An empty store of each kind, on `store_clock`."""
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

    if request.param == "memory":
        yield MemoryStore(clock=store_clock)
        return
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path}/.supervisor/decisions.db"
        else:
            cluster: postgres.Cluster = request.getfixturevalue("postgres_cluster")
            url = stack.enter_context(cluster.database("current"))
        store = Store(url, clock=store_clock)
        stack.callback(store.close)
        yield store
