"""A person decides, in a real browser, while an application waits on a real socket."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from supervisor_guards import GuardConfig, ReviewRejected
from supervisor_guards._guard import Guard
from tests.console.browsing import sign_in, window
from tests.console.scene import Scene
from tests.service.serving import PATIENCE, payload, until


class Waiting:
    """An application's call that blocks until somebody decides."""

    def __init__(self, shown: Scene, folder: Path, amount: float) -> None:
        self.done: Any = None
        config = GuardConfig.load(
            {},
            base_url=shown.running.base_url,
            app_id=shown.shop.id,
            shared_secret=shown.shop.secret,
            enforcement_mode="enforce",
            default_on_review="block",
            review_timeout_seconds=PATIENCE,
            state_dir=str(folder),
        )
        self._guard = Guard(config)
        self._thread = threading.Thread(target=self._call, args=(amount,))
        self._thread.start()

    def _call(self, amount: float) -> None:
        try:
            self.done = self._guard.require("refund", payload(amount))
        except Exception as error:
            self.done = error

    def ended(self) -> Any:
        """What the call came to."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._guard.close()
        return self.done


@pytest.fixture
def waiting(shown: Scene, tmp_path: Path) -> Callable[[float], Waiting]:
    """Makes a blocked caller, and returns once its review is in the queue."""

    def call(amount: float) -> Waiting:
        before = shown.running.service.desk.waiting()
        made = Waiting(shown, tmp_path, amount)
        until(lambda: shown.running.service.desk.waiting() > before)
        return made

    return call


def open_oldest(page: Page, address: str) -> None:
    """From the queue to the review that waits longest, by keyboard alone."""
    page.goto(f"{address}/reviews")
    page.locator("a.row").first.focus()
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Decide").wait_for()


def test_a_blocked_caller_goes_on_once_a_person_approves(
    page: Page, shown: Scene, waiting: Callable[[float], Waiting]
) -> None:
    caller = waiting(61)
    open_oldest(page, shown.address)
    expect(page.get_by_role("region", name="Payload")).to_contain_text('"amount": 61')
    page.get_by_label("Notes for the caller").fill("seen the receipt")
    page.get_by_role("button", name="Approve…").click()
    assert caller.done is None, "the first step approves nothing"
    page.get_by_role("button", name="Yes, approve it once").click()
    assert page.url.endswith("decide") or caller.done is None, "nor does the second, before it is said to be read"
    page.get_by_label("I have read what will run.").check()
    page.get_by_role("button", name="Yes, approve it once").click()
    expect(page.get_by_role("status")).to_contain_text("You have approved")
    assert caller.ended().allowed
    expect(page.get_by_text("seen the receipt")).to_be_visible()


def test_a_blocked_caller_is_told_of_a_rejection_with_its_notes(
    page: Page, shown: Scene, waiting: Callable[[float], Waiting]
) -> None:
    caller = waiting(62)
    open_oldest(page, shown.address)
    page.get_by_label("Notes for the caller").fill("ask the customer first")
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("status")).to_contain_text("You have rejected")
    error = caller.ended()
    assert isinstance(error, ReviewRejected)
    assert "ask the customer first" in str(error)


def test_no_key_approves(page: Page, shown: Scene) -> None:
    action_id = shown.ask(63)["id"]
    page.goto(f"{shown.address}/reviews/{action_id}")
    for key in ("a", "y", "Enter", "Space", "Control+Enter", "Shift+A"):
        page.keyboard.press(key)
    page.get_by_label("Notes for the caller").press("Control+Enter")
    page.goto(f"{shown.address}/reviews/{action_id}")
    page.get_by_role("button", name="Approve…").dblclick()
    page.get_by_role("heading", name="Confirm").wait_for()
    assert shown.running.service.desk.review(action_id).status == "pending"


def test_who_is_second_is_told_who_was_first(browser: Browser, page: Page, shown: Scene) -> None:
    action_id = shown.ask(64)["id"]
    place = f"/reviews/{action_id}"
    with window(browser) as other:
        sign_in(other, shown.address, shown.people["colleague"], place)
        page.goto(shown.address + place)
        page.get_by_role("button", name="Approve…").click()
        page.get_by_label("I have read what will run.").check()
        other.get_by_role("button", name="Reject").click()
        expect(other.get_by_role("status")).to_contain_text("You have rejected")
        page.get_by_role("button", name="Yes, approve it once").click()
        said = page.get_by_role("alert")
        expect(said).to_contain_text("Somebody was faster")
        expect(said).to_contain_text(shown.people["colleague"])
    assert shown.running.service.desk.review(action_id).status == "rejected"


def test_several_are_rejected_at_once(page: Page, shown: Scene) -> None:
    ids = [shown.ask(70 + number)["id"] for number in range(3)]
    page.goto(f"{shown.address}/reviews?q={ids[0]}")
    page.goto(f"{shown.address}/reviews")
    for action_id in ids[:2]:
        page.locator(f'input[name="case.{action_id}"]').check()
    page.get_by_role("button", name="Reject the chosen ones").click()
    page.get_by_label("Notes for all callers").fill("a batch")
    page.get_by_role("button", name="Reject 2 reviews").click()
    expect(page.get_by_role("heading", name="2 of 2 reviews rejected")).to_be_visible()
    desk = shown.running.service.desk
    assert [desk.review(action_id).status for action_id in ids] == ["rejected", "rejected", "pending"]


def test_nobody_approves_their_own(page: Page, shown: Scene) -> None:
    action_id = shown.ask(65, subject=shown.people["reviewer"])["id"]
    page.goto(f"{shown.address}/reviews/{action_id}")
    expect(page.get_by_text("You asked for this yourself")).to_be_visible()
    expect(page.get_by_role("button", name="Approve…")).to_have_count(0)
    expect(page.get_by_role("button", name="Reject")).to_be_visible()


def test_a_viewer_sees_no_buttons(browser: Browser, shown: Scene) -> None:
    action_id = shown.ask(66)["id"]
    with window(browser) as page:
        sign_in(page, shown.address, shown.people["viewer"], f"/reviews/{action_id}")
        page.goto(f"{shown.address}/reviews/{action_id}")
        expect(page.get_by_text("Your role is viewer")).to_be_visible()
        assert page.get_by_role("button").all_inner_texts() == ["Sign out"]
