"""A secret that was looked at is replaced once, however often that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.vault import Rotated, edition


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Iterator[Service]:
    """A process of the service that isn't started."""
    opened = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(tmp_path / "state")))
    yield opened
    opened.close()


def _integration(service: Service) -> tuple[Any, Any, str, Callable[[str], tuple[str, ...]]]:
    made, secret = service.integrations.create("shop", ["*"], "tests")

    def good(name: str) -> tuple[str, ...]:
        found = service.integrations.credentials(name)
        assert found is not None
        return found.secrets

    return service.integrations, made, secret, good


def _webhook(service: Service) -> tuple[Any, Any, str, Callable[[str], tuple[str, ...]]]:
    made, secret = service.subscriptions.create("https://receiver.example/", ["decision.made"], "tests")

    def good(name: str) -> tuple[str, ...]:
        return tuple(service.subscriptions.get(name).secrets(service.vault, now_us()))

    return service.subscriptions, made, secret, good


@pytest.mark.parametrize("make", [_integration, _webhook], ids=["integration", "webhook"])
def test_of_two_who_look_at_the_same_secret_one_replaces_it(service: Service, make: Callable[[Service], Any]) -> None:
    owners, made, first, good = make(service)

    def rotate(by: str) -> str | None:
        try:
            return str(owners.rotate(made.id, by, edition(made.secret))[1])
        except Rotated:
            return None

    with ThreadPoolExecutor(4) as pool:
        told = [one for one in pool.map(rotate, ("a", "b", "c", "d")) if one is not None]
    assert len(told) == 1
    assert good(made.id) == (told[0], first), "who was told the new one, and who has the first, both go on"
    _, third = owners.rotate(made.id, "e")
    assert good(made.id) == (third, told[0])
