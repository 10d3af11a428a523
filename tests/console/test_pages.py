"""The console without a browser: who may see what, where it can be mounted, and what its answers carry."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Mount

from supervisor_guards import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards.service.console import Console, Visitor, console
from supervisor_guards.service.console.doors import HostDoor
from tests.service.serving import PATIENCE

POLICY = """
name: refund.base
version: 1
action: refund
rules:
  - {id: cap, when: payload.amount > 100, action: deny, reason: amount-exceeds-cap}
  - {id: look, when: payload.amount >= 50, action: review, reason: amount-needs-a-look}
  - {id: big, when: payload.amount >= 80, action: review, reason: quite-much, priority: high}
  - {id: huge, when: payload.amount >= 90, action: review, reason: very-much, priority: urgent}
"""
PAGES = ("/", "/decisions", "/reviews")


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """An embedded guard that enforces, and fails closed on reviews."""
    policy = tmp_path / "supervisor.yaml"
    policy.write_text(POLICY)
    config = GuardConfig(
        policy=str(policy),
        state_dir=str(tmp_path / "state"),
        enforcement_mode="enforce",
        default_on_review="fail_closed",
    )
    made = Guard(config)
    yield made
    made.close()


def who(request: Request) -> Visitor | None:
    """As the header says: a name and a role."""
    said = request.headers.get("x-test-who")
    if said is None:
        return None
    name, _, role = said.partition(":")
    return Visitor(name, role or "viewer")  # type: ignore[arg-type]


def browser(app: Any, who: str | None = None, base: str = "http://localhost") -> httpx.AsyncClient:
    """Somebody at the application."""
    headers = {} if who is None else {"x-test-who": who}
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=base, headers=headers, timeout=PATIENCE)


def token(page: httpx.Response) -> str:
    """What the page's forms send."""
    found = re.search(r'name="csrf_token" value="(\w+)"', page.text)
    assert found, page.text
    return found[1]


def review(guard: Guard, amount: int = 60) -> str:
    """A review that waits."""
    return guard.check("refund", {"amount": amount}).action_id


@pytest.mark.anyio
async def test_it_is_mounted_anywhere_and_links_stay_within(guard: Guard) -> None:
    action_id = review(guard)
    app = Starlette(routes=[Mount("/deep/supervisor", console(guard, authenticate=who))])
    async with browser(app, "dana:reviewer") as http:
        for place in (*PAGES, f"/reviews/{action_id}", f"/decisions/{action_id}"):
            page = await http.get(f"/deep/supervisor{place}")
            assert page.status_code == 200, page.text
            links = re.findall(r'(?:href|src|action)="([^"]*)"', page.text)
            assert [link for link in links if not link.startswith(("/deep/supervisor/", "#"))] == []
        for link in sorted(set(re.findall(r'(?:href|src)="([^"]*/static/[^"]*)"', page.text))):
            file = await http.get(link)
            assert file.status_code == 200
            assert "immutable" in file.headers["cache-control"]


@pytest.mark.anyio
async def test_it_stands_alone_at_the_root(guard: Guard) -> None:
    async with browser(console(guard, authenticate=who), "dana") as http:
        assert [(await http.get(place)).status_code for place in PAGES] == [200] * 3
        assert (await http.get("/none")).status_code == 404


def test_there_is_no_default_for_who_may_see_it(guard: Guard) -> None:
    with pytest.raises(TypeError, match="authenticate"):
        console(guard)  # type: ignore[call-arg]


@pytest.mark.anyio
async def test_nobody_sees_anything(guard: Guard) -> None:
    action_id = review(guard)
    made = Console(lambda _request: pytest.fail("nothing is read for nobody"), HostDoor(who))
    async with browser(made) as http:
        asked = [("GET", place) for place in (*PAGES, f"/reviews/{action_id}", f"/decisions/{action_id}", "/stream")]
        asked += [("POST", f"/reviews/{action_id}"), ("POST", "/reject")]
        assert {(await http.request(*one)).status_code for one in asked} == {401}


@pytest.mark.anyio
async def test_each_role_may_do_what_it_may(guard: Guard) -> None:
    app = console(guard, authenticate=who)
    answers = {}
    for role in ("viewer", "reviewer", "administrator"):
        action_id = review(guard)
        async with browser(app, f"dana:{role}") as http:
            page = await http.get(f"/reviews/{action_id}")
            if role == "viewer":  # no form is offered, and whoever makes one up, token and all, is refused too
                assert "<textarea" not in page.text
                made_up = hmac.new(http.cookies["supervisor_console"].encode(), b"dana", hashlib.sha256).hexdigest()
            sent = {"decision": "rejected", "csrf_token": made_up if role == "viewer" else token(page)}
            answers[role] = (await http.post(f"/reviews/{action_id}", data=sent)).status_code
            assert guard.desk().review(action_id).status == ("pending" if role == "viewer" else "rejected")
    assert answers == {"viewer": 403, "reviewer": 303, "administrator": 303}


@pytest.mark.anyio
async def test_a_form_of_another_place_changes_nothing(guard: Guard) -> None:
    action_id = review(guard)
    app = console(guard, authenticate=who)
    async with browser(app, "dana:reviewer") as http, browser(app, "mallory:reviewer") as other:
        good = token(await http.get(f"/reviews/{action_id}"))
        strange = token(await other.get(f"/reviews/{action_id}"))
        attempts: list[tuple[str, dict[str, str]]] = [
            ("", {}),
            (strange, {}),
            (good, {"sec-fetch-site": "cross-site"}),
            (good, {"sec-fetch-site": "same-site"}),
            (good, {"origin": "https://evil.example"}),
            (good, {"origin": "null"}),
        ]
        for sent, headers in attempts:
            form = {"csrf_token": sent, "decision": "rejected"}
            refused = await http.post(f"/reviews/{action_id}", data=form, headers=headers)
            assert refused.status_code == 403, (sent, headers)
        http.cookies.clear()
        assert (await http.post(f"/reviews/{action_id}", data={"csrf_token": good})).status_code == 403
    assert guard.desk().review(action_id).status == "pending"


@pytest.mark.anyio
async def test_an_approval_takes_two_steps_and_a_word(guard: Guard) -> None:
    action_id = review(guard)
    async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
        place, csrf = f"/reviews/{action_id}", token(await http.get(f"/reviews/{action_id}"))
        answers = []
        for fields in ({"decision": "approve"}, {"decision": "approved"}, {}, {"decision": "yes"}):
            answers.append((await http.post(place, data={"csrf_token": csrf, **fields})).status_code)
            assert guard.desk().review(action_id).status == "pending"
        assert answers == [200, 422, 422, 422]
        done = await http.post(place, data={"csrf_token": csrf, "decision": "approved", "read": "yes", "notes": " ok "})
        assert done.status_code == 303
        found = guard.desk().review(action_id)
        assert (found.status, found.approver, found.notes) == ("approved", "dana", "ok")
        late = await http.post(place, data={"csrf_token": csrf, "decision": "rejected"})
        assert late.status_code == 409
        assert "Somebody was faster" in late.text


@pytest.mark.anyio
async def test_the_queue_has_the_most_pressing_first_and_says_how_pressing(guard: Guard) -> None:
    ids = [review(guard, amount) for amount in (60, 95, 85, 61, 96)]
    async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
        page = (await http.get("/reviews")).text
        found = re.findall(r'href="/reviews/([\w-]+)"', page)
        assert found == [ids[number] for number in (1, 4, 2, 0, 3)]
        assert re.findall(r">(Urgent|High|Normal|Low)</span>", page) == [*["Urgent"] * 2, "High", *["Normal"] * 2]
        chosen = (await http.get("/reviews?priority=high")).text
        assert re.findall(r'href="/reviews/([\w-]+)"', chosen) == [ids[2]]
        assert '<option value="high" selected>' in chosen
        assert (await http.get("/reviews?priority=P0")).status_code == 422
        one = (await http.get(f"/reviews/{ids[1]}")).text
        assert re.search(r"<h1>.*Urgent.*</h1>", one)


@pytest.mark.anyio
async def test_every_answer_has_the_headers_and_no_page_has_anything_inline(guard: Guard) -> None:
    action_id = review(guard)
    async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
        for place in (*PAGES, f"/reviews/{action_id}", f"/decisions/{action_id}", "/none", "/?window=2h"):
            page = await http.get(place)
            assert "default-src 'none'" in page.headers["content-security-policy"]
            assert page.headers["cache-control"] == "no-store"
            assert page.headers["x-frame-options"] == "DENY"
            assert re.findall(r"<script(?![^>]*src=)|<style|\sstyle=|\son\w+=|javascript:", page.text) == []


@pytest.mark.anyio
@pytest.mark.parametrize(
    "address",
    [
        "/?window=2h", "/decisions?outcome=maybe", "/decisions?mode=loud", "/decisions?before=x",
        "/reviews?status=gone", "/reviews?from=-1", "/stream?after=x", "/decisions?q=%00", "/decisions/%00",
    ],
)  # fmt: skip
async def test_an_address_that_asks_for_nothing_there_is_is_refused_in_words(guard: Guard, address: str) -> None:
    async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
        refused = await http.get(address)
        assert refused.status_code in (400, 422)
        assert '<p class="notice bad" role="alert">' in refused.text


@pytest.mark.anyio
async def test_a_guard_whose_record_is_elsewhere_says_so(tmp_path: Path) -> None:
    config = GuardConfig(base_url="http://127.0.0.1:9", app_id="shop", shared_secret="s" * 40, state_dir=str(tmp_path))
    guard = Guard(config)
    try:
        async with browser(console(guard, authenticate=who), "dana") as http:
            for place in PAGES:
                page = await http.get(place)
                assert page.status_code == 503
                assert "reached" in page.text
    finally:
        guard.close()


def test_visitors_are_somebody_with_a_role() -> None:
    with pytest.raises(ValueError, match="name the person"):
        Visitor(" ")
    with pytest.raises(ValueError, match="choose one of viewer, reviewer, administrator"):
        Visitor("dana", "boss")  # type: ignore[arg-type]


@pytest.mark.anyio
async def test_what_authenticate_answers_must_be_a_visitor(guard: Guard) -> None:
    async def principal(_request: Request) -> Any:
        return {"name": "dana"}

    with pytest.raises(TypeError, match="return a Visitor, or None"):
        async with browser(console(guard, authenticate=principal)) as http:
            await http.get("/")
