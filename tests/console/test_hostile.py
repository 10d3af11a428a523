"""A payload of megabytes costs a page nothing: a bounded part is shown, and how much more there is."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import GuardConfig
from supervisor_guards._guard import Guard
from supervisor_guards.service.console import console
from tests.console.test_pages import POLICY, browser, who

MEGABYTE = 1_000_000
PAGE_BYTES = 300_000
SENT: dict[str, tuple[dict[str, Any], str]] = {
    "one text": ({"note": "x" * MEGABYTE}, "(998,000 more characters)"),
    "quotes": ({"note": '"' * MEGABYTE}, "(998,000 more characters)"),
    "marks": ({"note": "<b>&amp;" * (MEGABYTE // 8)}, "(998,000 more characters)"),
    "hidden": ({"note": "\u202e" * MEGABYTE}, "(998,000 more characters)"),
    "a name": ({"n" * MEGABYTE: 1}, "(998,000 more characters)"),
    "many texts": ({"notes": ["y" * 1_999] * 500}, "more characters left out here."),
    "many names": ({f"name-{number:06}": 1 for number in range(70_000)}, "more characters left out here."),
}


def guard_in(folder: Path, **settings: Any) -> Guard:
    """A guard that enforces, and fails closed on reviews."""
    (folder / "supervisor.yaml").write_text(POLICY)
    config = GuardConfig(
        policy=str(folder / "supervisor.yaml"),
        state_dir=str(folder / "state"),
        enforcement_mode="enforce",
        default_on_review="fail_closed",
        **settings,
    )
    return Guard(config)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    """One that takes more than 64 KiB, and asks."""
    made = guard_in(tmp_path, max_payload_bytes=8 * MEGABYTE)
    yield made
    made.close()


@pytest.mark.anyio
@pytest.mark.parametrize("kind", SENT)
async def test_a_bounded_part_is_shown_and_how_much_more_there_is(guard: Guard, kind: str) -> None:
    more, said = SENT[kind]
    action_id = guard.check("refund", {"amount": 60, **more}).action_id
    assert len(guard.desk().review(action_id).payload or "") >= MEGABYTE
    async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
        for place in ("/decisions", "/reviews"):
            page = await http.get(place)
            assert len(page.content) < PAGE_BYTES
            assert action_id in page.text
        for place in (f"/decisions/{action_id}", f"/reviews/{action_id}"):
            page = await http.get(place)
            assert len(page.content) < PAGE_BYTES
            assert said in page.text
            assert "<b>" not in page.text
            assert "\u202e" not in page.text


@pytest.mark.anyio
async def test_a_guards_own_limit_cuts_what_is_recorded_and_the_page_says_so(tmp_path: Path) -> None:
    guard = guard_in(tmp_path)
    try:
        action_id = guard.check("refund", {"note": "x" * MEGABYTE, "amount": 60}).action_id
        assert guard.flush()
        async with browser(console(guard, authenticate=who), "dana:reviewer") as http:
            page = await http.get(f"/decisions/{action_id}")
        assert len(page.content) < PAGE_BYTES
        assert "truncated" in page.text
    finally:
        guard.close()
