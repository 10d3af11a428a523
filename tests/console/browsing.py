"""Chromium as the tests drive it: the system's, without anything that would call elsewhere."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.service.doors import PASSWORD

FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """The browser named by CHROMIUM, else the one on PATH."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if not path:
        raise RuntimeError("no Chromium: apt-get install --no-install-recommends chromium, or set CHROMIUM to its path")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def sign_in(page: Page, address: str, name: str, onward: str = "") -> None:
    """Sign in on the page for it, and go on to the page `onward`."""
    page.goto(f"{address}{onward}")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


@contextlib.contextmanager
def window(browser: Browser, **options: Any) -> Iterator[Page]:
    """A browser of somebody's own."""
    context = browser.new_context(**{"viewport": WIDE, **options})
    try:
        yield context.new_page()
    finally:
        context.close()
