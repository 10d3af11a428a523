"""Decisions arrive while they are made; sessions end; nothing that an application sends can do anything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from supervisor_guards.service.schema import sessions
from tests.console.browsing import sign_in, window
from tests.console.scene import Scene


def test_a_decision_arrives_while_an_application_makes_it(page: Page, shown: Scene) -> None:
    page.goto(f"{shown.address}/decisions")
    expect(page.locator("#live-state")).to_have_text("Live")
    action_id = shown.ask(500, subject="ada")["id"]
    row = page.locator("#rows tr").first
    expect(row.locator("a.row")).to_have_attribute("href", f"/console/decisions/{action_id}")
    expect(row).to_contain_text("Deny")
    row.locator("a.row").click()
    expect(page.get_by_role("heading", name="Rules that hit")).to_be_visible()
    expect(page.get_by_text("Too much at once.", exact=True)).to_be_visible()


def test_paused_the_list_stands_still_and_nothing_is_lost(page: Page, shown: Scene) -> None:
    page.goto(f"{shown.address}/decisions")
    expect(page.locator("#live-state")).to_have_text("Live")
    page.get_by_role("button", name="Pause").click()
    before = page.locator("#rows tr").count()
    shown.ask(1)
    shown.ask(2)
    expect(page.locator("#live-state")).to_have_text("Paused, 2 new")
    assert page.locator("#rows tr").count() == before
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#rows tr")).to_have_count(before + 2)


def test_filters_hold_for_what_arrives(page: Page, shown: Scene) -> None:
    page.goto(f"{shown.address}/decisions?action=payment")
    expect(page.locator("#live-state")).to_have_text("Live")
    shown.ask(3, "refund")
    wanted = shown.ask(3, "payment")["id"]
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows a.row")).to_have_attribute("href", re.compile(wanted))


def test_arrow_keys_go_through_the_list(page: Page, shown: Scene) -> None:
    shown.ask(4)
    shown.ask(5)
    page.goto(f"{shown.address}/decisions")
    links = page.locator("a.row")
    links.first.focus()
    page.keyboard.press("ArrowDown")
    expect(links.nth(1)).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(links.first).to_be_focused()


def test_pages_work_without_scripts(browser: Browser, shown: Scene) -> None:
    action_id = shown.ask(67)["id"]
    with window(browser, java_script_enabled=False) as page:
        sign_in(page, shown.address, shown.people["reviewer"], f"/reviews/{action_id}")
        page.get_by_role("button", name="Approve…").click()
        page.get_by_label("I have read what will run.").check()
        page.get_by_role("button", name="Yes, approve it once").click()
        expect(page.get_by_role("status")).to_contain_text("You have approved")
        page.goto(f"{shown.address}/decisions?action=refund")
        expect(page.locator("#rows tr").first).to_be_visible()
        expect(page.locator("#live")).to_be_hidden()


def test_after_the_session_nothing_is_decided_and_the_way_leads_back(page: Page, shown: Scene) -> None:
    action_id = shown.ask(68)["id"]
    page.goto(f"{shown.address}/reviews/{action_id}")
    shown.running.service.store.transact(lambda held, _note: held.execute(update(sessions).values(expires_at=1)))
    page.get_by_role("button", name="Reject").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing was changed")
    assert shown.running.service.desk.review(action_id).status == "pending"
    sign_in(page, shown.address, shown.people["reviewer"], f"/reviews/{action_id}")
    assert page.url == f"{shown.address}/reviews/{action_id}"


HOSTILE: dict[str, Any] = {
    "script": "<script>document.title='owned'</script>",
    "image": "<img src=x onerror=\"document.title='owned'\">",
    "attribute": "\"' onfocus=document.title='owned' autofocus x='",
    "template": "{{ 91193 * 91199 }}",
    "turned": "paid \u202e000,01\u202c euro",
    "hidden": "admin\u200b\u2066",
    "long": "x" * 1_000_000,
}


@pytest.mark.parametrize("kind", ["texts", "deep", "names"])
def test_what_an_application_sends_is_only_shown(page: Page, shown: Scene, kind: str) -> None:
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    more = {
        "texts": HOSTILE,
        "deep": {"deep": deep},
        "names": {text[:200]: 1 for text in HOSTILE.values()},
    }[kind]
    trouble: list[str] = []
    page.on("console", lambda message: trouble.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: trouble.append(str(error)))
    page.goto(f"{shown.address}/decisions")
    expect(page.locator("#live-state")).to_have_text("Live")
    asked = {"payload": {"amount": 60, "odd": False, **more}, "subject": HOSTILE["script"], "agent_context": more}
    with shown.shop.client(shown.running.base_url) as http:
        sent = {"action_type": "refund", "route": HOSTILE["image"], **asked}
        action_id = http.post("/v1/actions/evaluate", content=json.dumps(sent)).raise_for_status().json()["id"]
    expect(page.locator("#rows a.row").first).to_have_attribute("href", re.compile(action_id))
    for place in ("/", "/decisions", f"/decisions/{action_id}", "/reviews", f"/reviews/{action_id}"):
        page.goto(shown.address + place)
        page.locator("h1").first.wait_for()
        assert "owned" not in page.title()
        assert page.evaluate("document.scripts.length") <= 2
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "wider than the window"
        shown_text = page.locator("body").inner_text()
        assert "\u202e" not in shown_text
        assert "8316710407" not in shown_text
        assert page.evaluate("document.documentElement.outerHTML.length") < 300_000, "bounded, whatever was sent"
        if kind == "texts" and action_id in place:
            for name in ("Payload", "Context"):
                said = page.get_by_role("region", name=name)
                expect(said).to_contain_text("(998,000 more characters)")
                expect(said).to_contain_text("<script>document.title='owned'</script>")
    assert trouble == []


def test_nothing_is_loaded_from_elsewhere(page: Page, shown: Scene) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for place in ("/", "/decisions", "/reviews"):
        page.goto(shown.address + place)
    assert asked
    assert [url for url in asked if not url.startswith(shown.running.base_url)] == []


def test_a_replay_shows_how_far_it_is_and_what_came_out(page: Page, shown: Scene) -> None:
    shown.ask(95)
    page.goto(f"{shown.address}/policies/{shown.new_policy()}")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator("#replay-said")).to_have_text("Done")
    expect(page.locator("#replay-result")).to_contain_text("would be stricter")
