"""Fixtures of the service's tests."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.service.database import open_database
from tests.service.serving import Caller, Running, new_name, serving


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """Commands set variables for the processes they start; here they run in the tests' own."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def made_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file of the service, empty and current."""
    path = tmp_path_factory.mktemp("service") / "service.db"
    open_database(f"sqlite:///{path}", Sealer.unsigned()).close()
    return path


@pytest.fixture(scope="session")
def service_cluster(postgres_cluster: Any) -> Any:
    """The PostgreSQL server, with a template of the service's database."""
    with postgres_cluster.database("current") as url:
        open_database(url, Sealer.unsigned()).close()
        postgres_cluster.keep_as_template(url, "service")
    return postgres_cluster


@pytest.fixture(params=["sqlite", "postgresql"])
def service_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database of the service, once on each kind."""
    if request.param == "sqlite":
        path = tmp_path / "database" / "service.db"
        path.parent.mkdir(mode=0o700)
        shutil.copy(request.getfixturevalue("made_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    with request.getfixturevalue("service_cluster").database("service") as url:
        yield url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A process of the service with a policy, once on each kind of database; every test has integrations of its own."""
    folder = tmp_path_factory.mktemp("running")
    with contextlib.ExitStack() as stack:
        if request.param == "sqlite":
            url = f"sqlite:///{folder}/service.db"
        else:
            url = stack.enter_context(request.getfixturevalue("service_cluster").database("service"))
        yield stack.enter_context(serving(url, folder / "state"))


@pytest.fixture
def shop(running: Running) -> Caller:
    """An integration that may ask for everything."""
    return running.integration(new_name("shop"))


@pytest.fixture
def bank(running: Running) -> Caller:
    """Another one."""
    return running.integration(new_name("bank"))


@pytest.fixture
def http(running: Running, shop: Caller) -> Iterator[httpx.Client]:
    """What `shop` calls with."""
    with shop.client(running.base_url) as client:
        yield client


@pytest.fixture
def other(running: Running, bank: Caller) -> Iterator[httpx.Client]:
    """What `bank` calls with."""
    with bank.client(running.base_url) as client:
        yield client


@pytest.fixture
def admin(running: Running) -> Iterator[httpx.Client]:
    """What the administrator calls with."""
    with running.admin() as client:
        yield client
