"""Administrators at work in a real browser: with scripts and without, and nothing that axe finds."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.browser.axe import found_by_axe
from tests.console.browsing import PHONE, WIDE, sign_in, window
from tests.console.scene import Scene, administered, scene
from tests.service.doors import PASSWORD
from tests.service.receivers import Receiver, status
from tests.service.serving import new_name, until

HOME = "/administration"


@pytest.fixture(scope="module")
def ruled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """A service whose webhooks may go to this machine."""
    folder: Path = tmp_path_factory.mktemp("ruled")
    with scene(folder, webhook_private=True, webhook_attempts=1) as made:
        yield made


@pytest.fixture(params=[True, False], ids=["scripts", "no scripts"])
def desk(request: pytest.FixtureRequest, browser: Browser, ruled: Scene) -> Iterator[Page]:
    """A window in which an administrator is signed in."""
    with window(browser, java_script_enabled=request.param) as opened:
        sign_in(opened, ruled.address, ruled.people["administrator"])
        opened.goto(f"{ruled.address}{HOME}")
        yield opened


def test_an_integration_from_its_first_secret_to_its_end(desk: Page, ruled: Scene) -> None:
    desk.get_by_label("Name").fill(ruled.shop.name)
    desk.get_by_label("May ask for").fill("refund\npayment")
    desk.get_by_role("button", name="Make it and show its secret").click()
    desk.get_by_role("alert").get_by_role("link", name="choose another name").click()
    expect(desk.get_by_label("Name")).to_be_focused()
    expect(desk.get_by_label("May ask for")).to_have_value("refund\npayment")
    name = new_name("till")
    desk.get_by_label("Name").fill(name)
    desk.get_by_role("button", name="Make it and show its secret").click()
    first = desk.get_by_role("region", name="The secret").inner_text()
    assert re.fullmatch(r"SUPERVISOR_APP_ID=\w+\nSUPERVISOR_SECRET=sgs_\S+", first)
    desk.get_by_role("link", name="I have copied it").click()
    expect(desk.get_by_role("heading", name=name)).to_be_visible()
    desk.get_by_role("button", name="New secret…").click()
    desk.get_by_label("I can give the application the new secret in time.").check()
    desk.get_by_role("button", name="Make a new secret").click()
    second = desk.get_by_role("region", name="The secret").inner_text()
    assert first.splitlines()[0] == second.splitlines()[0]
    assert first != second
    desk.get_by_role("link", name="I have copied it").click()
    desk.get_by_role("button", name="Revoke…").click()
    desk.get_by_role("heading", name="Confirm").wait_for()
    desk.get_by_label("Nothing that must go on depends on it.").check()
    desk.get_by_role("button", name="Revoke it").click()
    expect(desk.get_by_role("status")).to_have_text("It is revoked.")
    desk.get_by_role("link", name="What was done to it").click()
    expect(desk.locator("td.did")).to_have_count(3)


def test_a_person_who_is_made_here_signs_in_and_is_shut_out(browser: Browser, desk: Page, ruled: Scene) -> None:
    desk.get_by_role("link", name="People").click()
    name = new_name("kim")
    desk.get_by_label("Name").fill(name)
    desk.get_by_label("Role").select_option("reviewer")
    desk.get_by_label("Password").fill("short")
    desk.get_by_role("button", name="Make the account").click()
    expect(desk.locator("#fault-password")).to_contain_text("The password has 5 characters")
    expect(desk.get_by_label("Name")).to_have_value(name)
    desk.get_by_label("Password").fill(PASSWORD)
    desk.get_by_role("button", name="Make the account").click()
    expect(desk.get_by_role("status")).to_have_text("The account is made.")
    with window(browser) as theirs:
        sign_in(theirs, ruled.address, name)
        desk.get_by_role("button", name="Disable…").click()
        desk.get_by_label("They shall have no access.").check()
        desk.get_by_role("button", name="Disable the account").click()
        expect(desk.get_by_role("status")).to_contain_text("The account is disabled")
        theirs.reload()
        expect(theirs.get_by_role("heading", name="Sign in")).to_be_visible()


def test_a_webhook_is_tried_and_a_failed_delivery_sent_again(desk: Page, ruled: Scene) -> None:
    with Receiver(status(500, b"not yet")) as receiver:
        desk.get_by_role("link", name="Webhooks").click()
        desk.get_by_label("Address").fill(receiver.url)
        desk.get_by_role("button", name="Make it and show its secret").click()
        secret = desk.get_by_role("region", name="The secret").inner_text()
        desk.get_by_role("link", name="I have copied it").click()
        desk.get_by_role("button", name="Send a test").click()
        assert receiver.wait()[0].verified(secret).event == "webhook.test"
        until(lambda: desk.reload() and desk.get_by_text("Failed", exact=True).count() > 1)
        expect(desk.locator("tbody tr")).to_contain_text("not yet")
        receiver.behave = status(204)
        desk.get_by_role("button", name="Send again").click()
        expect(desk.get_by_role("status")).to_contain_text("It is sent again")
        until(lambda: desk.reload() and desk.get_by_text("Delivered", exact=True).count() > 1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_axe_finds_nothing(browser: Browser, ruled: Scene, scheme: str, viewport: Any) -> None:
    places = administered(ruled)
    found: dict[str, list[str]] = {}
    with window(browser, color_scheme=scheme, viewport=viewport) as page:
        sign_in(page, ruled.address, ruled.people["administrator"])

        def look(name: str) -> None:
            found[name] = found_by_axe(page)
            if page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                found[name].append("wider than the window")

        for name, place in places.items():
            page.goto(ruled.address + place)
            look(name)
        page.goto(ruled.address + places["integration"])
        page.get_by_role("button", name="Revoke…").click()
        page.get_by_role("heading", name="Confirm").wait_for()
        look("confirm")
        page.goto(ruled.address + places["integrations"])
        page.get_by_label("Name").fill(ruled.shop.name)
        page.get_by_label("May ask for").fill("")
        page.get_by_label("Actions in a minute").fill("many")
        page.get_by_role("button", name="Make it and show its secret").click()
        page.get_by_role("alert").wait_for()
        look("refused")
        page.get_by_label("Name").fill(new_name("axe"))
        page.get_by_label("May ask for").fill("*")
        page.get_by_label("Actions in a minute").fill("")
        page.get_by_role("button", name="Make it and show its secret").click()
        page.get_by_role("region", name="The secret").wait_for()
        look("secret")
    assert {name: faults for name, faults in found.items() if faults} == {}
