"""Fixtures that several files share."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import postgres
import pytest
from hypothesis import settings

settings.register_profile("supervisor-guards", deadline=None)  # no test asserts a time
settings.load_profile("supervisor-guards")


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
