"""One browser for the session; a service for each file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from tests.console.browsing import chromium, sign_in, window
from tests.console.scene import Scene, scene


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The system's Chromium."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service with people and an application, that takes megabytes."""
    with scene(tmp_path_factory.mktemp("scene"), max_body_bytes=4_000_000) as made:
        yield made


@pytest.fixture
def page(browser: Browser, shown: Scene) -> Iterator[Page]:
    """A window in which a reviewer is signed in."""
    with window(browser) as opened:
        sign_in(opened, shown.address, shown.people["reviewer"])
        yield opened
