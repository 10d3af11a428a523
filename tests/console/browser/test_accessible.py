"""axe-core looks at every page, light and dark, wide and on a phone (WCAG 2.2 A and AA)."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.console.browser.axe import found_by_axe
from tests.console.browsing import PHONE, WIDE, sign_in, window
from tests.console.scene import Scene, scene


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service with a day of decisions and reviews in each state."""
    with scene(tmp_path_factory.mktemp("full")) as made:
        made.seed(500)
        yield made


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One in which nothing has happened yet."""
    with scene(tmp_path_factory.mktemp("empty")) as made:
        yield made


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(browser: Browser, full: Scene, empty: Scene, scheme: str, viewport: Any) -> None:
    pending, decided = full.ask(60, subject="ada", agent_context={"user_id": "ada"})["id"], full.ask(61)["id"]
    full.running.resolve(decided)
    denied = full.ask(500)["id"]
    places = [
        "/", "/?window=30d", "/decisions", "/decisions?outcome=would-deny", f"/decisions/{denied}",
        f"/decisions/{pending}", "/reviews", "/reviews?status=all", f"/reviews/{pending}", f"/reviews/{decided}",
        "/decisions?q=nothing-like-it", "/nowhere",
    ]  # fmt: skip
    found: dict[str, list[str]] = {}
    with window(browser, color_scheme=scheme, viewport=viewport) as page:
        page.goto(f"{full.address}/sign-in")
        found["sign in"] = found_by_axe(page)
        sign_in(page, full.address, full.people["reviewer"])
        for place in places:
            page.goto(full.address + place)
            for details in page.locator("details").all():
                details.evaluate("one => { one.open = true }")
            found[place] = found_by_axe(page)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found[place].append("wider than the window")
        page.goto(f"{full.address}/reviews/{pending}")
        page.get_by_role("button", name="Approve…").click()
        expect(page.get_by_role("heading", name="Confirm")).to_be_visible()
        found["confirm"] = found_by_axe(page)
        page.goto(f"{full.address}/reviews")
        page.locator("input[type=checkbox]").first.check()
        page.get_by_role("button", name="Reject the chosen ones").click()
        found["batch"] = found_by_axe(page)
    with window(browser, color_scheme=scheme, viewport=viewport) as page:
        sign_in(page, full.address, full.people["administrator"])
        for place in ("/policies", f"/policies/{full.new_policy()}"):
            page.goto(full.address + place)
            for details in page.locator("details").all():
                details.evaluate("one => { one.open = true }")
            found[place[:12]] = found_by_axe(page)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found[place[:12]].append("wider than the window")
    with window(browser, color_scheme=scheme, viewport=viewport) as page:
        sign_in(page, empty.address, empty.people["viewer"])
        for place in ("/", "/decisions", "/reviews"):
            page.goto(empty.address + place)
            found[f"empty {place}"] = found_by_axe(page)
    assert {place: faults for place, faults in found.items() if faults} == {}


def test_the_keyboard_reaches_the_content_at_once(browser: Browser, empty: Scene) -> None:
    with window(browser) as page:
        sign_in(page, empty.address, empty.people["viewer"])
        page.goto(f"{empty.address}/reviews")
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#main")).to_be_focused()
