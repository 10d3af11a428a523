"""Fixtures of the adapters' tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.register_assert_rewrite("tests.integrations.contract.checking")

from tests.integrations.servers import COMMANDS, DJANGO, Server, serving  # noqa: E402


@pytest.fixture(scope="session", params=COMMANDS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """All variants of the application on one server of each kind, shared by the session."""
    with serving(request.param, tmp_path_factory.mktemp(request.param)) as one:
        yield one


@pytest.fixture(scope="session", params=DJANGO)
def django_server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A Django project on one server of each kind, shared by the session; one variant is on at a time."""
    with serving(request.param, tmp_path_factory.mktemp(request.param), "server_django") as one:
        yield one
