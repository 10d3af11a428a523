"""The admin shows decisions and reviews: found by filters, dates and text, bounded, and harmless to look at."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.django_admin import (
    ALL,
    DECISIONS,
    REVIEWS,
    admin_of,
    held,
    person,
    signed_in,
    words,
)

from django.contrib.auth.models import User  # isort: skip
from django.core import checks
from django.db import connection
from django.test import AsyncClient, Client
from django.test.utils import CaptureQueriesContext

from supervisor_guards.embedded.rows import DecisionRow
from tests.statements import statements

START = 1_800_000_000_000_000
"""2027-01-15 08:00 UTC."""
DAY = 86_400_000_000


@pytest.fixture
def ann() -> Iterator[User]:
    with person("ann", *ALL) as user:
        yield user


@pytest.fixture
def guard(store_url: str, tmp_path: Path) -> Iterator[Any]:
    """A guard on each database."""
    with admin_of(tmp_path, DATABASE=store_url) as one:
        yield one


def row(number: int, **changes: Any) -> DecisionRow:
    values: dict[str, Any] = {
        "action_id": f"a-{number:03}", "time": START + number * 1_000_000, "action_type": "refund", "mode": "shadow",
        "enforced": False, "outcome": "allow", "would_have": "allow", "payload": f'{{"amount":{number}}}',
    }  # fmt: skip
    return DecisionRow(**{**values, **changes})


def page(action_id: str) -> str:
    return f"{DECISIONS}{action_id}/change/"


def listed(client: Client, query: str = "") -> list[str]:
    """The ids of the rows that a list shows."""
    answer = client.get(DECISIONS + query)
    assert answer.status_code == 200
    return re.findall(r'decision/([^/"]+)/change/', answer.content.decode())


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a-004", "a-003", "a-002", "a-001", "a-000"]),
        ("?action_type=email.send", ["a-002"]),
        ("?outcome=deny", ["a-003"]),
        ("?would_have=deny", ["a-000"]),
        ("?mode=enforce", ["a-003"]),
        ("?status=unknown", ["a-004"]),
        ("?route=POST+/refunds", ["a-001"]),
        ("?rule=cap", ["a-000"]),
        ("?q=A-00", ["a-004", "a-003", "a-002", "a-001", "a-000"]),
        ("?q=bob", ["a-001"]),
        ("?year=2027", ["a-004", "a-003", "a-002", "a-001"]),
        ("?year=2027&month=1&day=15", ["a-003", "a-002", "a-001"]),
        ("?year=2027&month=1&day=16", ["a-004"]),
        ("?year=2027&mode=enforce", ["a-003"]),
        ("?year=2027&month=2&day=31", []),
        ("?mode=typo&year=0&month=13&from=x", ["a-004", "a-003", "a-002", "a-001", "a-000"]),
        ("?from=99999999999999999999&year=99999", ["a-004", "a-003", "a-002", "a-001", "a-000"]),
        ("?q=%00%ff%27--", []),
        ("?route=%00&action_type=%ff", []),
    ],
)
def test_decisions_are_found(guard: Any, ann: User, query: str, found: list[str]) -> None:
    guard.supervisor.store.write(
        [
            row(0, time=START - 400 * DAY, would_have="deny", rule_ids=("cap",)),
            row(1, route="POST /refunds", subject="bob"),
            row(2, action_type="email.send"),
            row(3, mode="enforce", enforced=True, outcome="deny", would_have=None),
            row(4, time=START + DAY, would_have=None, status="unknown"),
        ]
    )
    assert listed(signed_in(ann), query) == found


def test_filters_offer_what_was_seen_and_keep_each_other(guard: Any, ann: User) -> None:
    guard.supervisor.store.write([row(0, route="POST /refunds"), row(1, action_type="email.send")])
    shown = signed_in(ann).get(DECISIONS + "?mode=shadow&route=POST+%2Fgone&from=9").content.decode()
    assert "mode=shadow&amp;route=POST+%2Fgone&amp;action_type=email.send" in shown
    assert "mode=shadow&amp;route=POST+%2Frefunds" in shown
    assert "POST /gone" in shown
    assert "from=9" not in shown
    assert "?mode=shadow" in shown


def test_dates_lead_down_to_a_day_with_decisions_and_back(guard: Any, ann: User) -> None:
    guard.supervisor.store.write([row(0, time=START - 400 * DAY), row(1), row(2, time=START + DAY)])
    client = signed_in(ann)
    years = words(client.get(DECISIONS))
    assert "2025 2027" in years
    year = client.get(DECISIONS + "?year=2027")
    assert "All dates January 2027 Time" in words(year)
    month = client.get(DECISIONS + "?year=2027&month=1")
    assert "January 15 January 16" in words(month)
    day = client.get(DECISIONS + "?year=2027&month=1&day=16")
    assert "year=2027&amp;month=1" in day.content.decode()


def test_pages_are_bounded_and_follow_each_other(guard: Any, ann: User) -> None:
    guard.supervisor.store.write([row(number) for number in range(120)])
    client, seen, query = signed_in(ann), [], ""
    for expected in (50, 50, 20):
        ids = listed(client, query)
        assert len(ids) == expected
        seen += ids
        following = re.search(r'href="([^"]+)" rel="next"', client.get(DECISIONS + query).content.decode())
        query = following[1] if following else ""
    assert query == ""
    assert seen == [f"a-{number:03}" for number in reversed(range(120))]


@contextmanager
def counted() -> Iterator[list[str]]:
    """The statements of the engine and of Django."""
    ran: list[str] = []
    with statements() as sent, CaptureQueriesContext(connection) as captured:
        yield ran
    ran += [one for one, _ in sent] + [query["sql"] for query in captured]


@pytest.mark.parametrize("address", [DECISIONS, DECISIONS + "?year=2027&q=refund", REVIEWS, REVIEWS + "?q=refund"])
def test_a_list_takes_the_same_statements_for_one_row_and_for_fifty(guard: Any, ann: User, address: str) -> None:
    client, counts = signed_in(ann), []
    for rows in (range(1), range(1, 50)):
        for number in rows:
            held_row = row(number, outcome="review", would_have=None, mode="enforce", digest=f"d{number}")
            guard.supervisor.store.write_with_review(held_row, START * 2, "someone")
        client.get(address)
        with counted() as ran:
            answer = client.get(address)
        assert answer.content.decode().count('/change/"><time') == rows.stop
        counts.append(len(ran))
    assert counts[0] == counts[1] <= 20


def test_a_decision_says_all_that_was_recorded(guard: Any, ann: User) -> None:
    action_id = held(guard, "bob", order="o-17", password="hunter22", card="4111 1111 1111 1111")
    client = signed_in(ann)
    answer = client.get(page(action_id))
    said = words(answer)
    for expected in (
        "Review", "refund", "large-refund", "A person looks at these.", "refunds@v1", '"order": "o-17"', "bob",
        "Did not run", action_id,
    ):  # fmt: skip
        assert expected in said
    assert f"{REVIEWS}{action_id}/change/" in answer.content.decode()
    for address in (page(action_id), DECISIONS, REVIEWS, f"{REVIEWS}{action_id}/change/"):
        shown = client.get(address).content.decode()
        assert "[redacted]" in shown
        assert "hunter22" not in shown
        assert "4111" not in shown


def hostile() -> dict[str, Any]:
    deep: Any = "bottom"
    for _ in range(100):
        deep = [deep]
    return {
        "amount": 900, "note": "</pre><script>alert(1)</script>", "deep": deep,
        "turned": "pay \u202e009\u202c \u200bnow",
        "quote": "\" onload=\"alert(1)", "template": "{{ request.user.password }}{% debug %}", "nul": "a\0b",
        "big": "x" * 1_000_000,
    }  # fmt: skip


@pytest.mark.parametrize("limit", [65_536, 4_000_000])
def test_a_hostile_payload_is_shown_harmlessly(store_url: str, tmp_path: Path, ann: User, limit: int) -> None:
    with admin_of(tmp_path, DATABASE=store_url, MAX_PAYLOAD_BYTES=limit) as guard:
        action_id = held(guard, "<b>bob</b>\u202e", **hostile())
        client = signed_in(ann)
        for address in (DECISIONS, REVIEWS, page(action_id), f"{REVIEWS}{action_id}/change/"):
            answer = client.get(address)
            shown = answer.content.decode()
            assert answer.status_code == 200
            assert len(shown) < 250_000
            assert "<script>alert" not in shown
            assert "<b>bob" not in shown
            assert '" onload="' not in shown
            assert not set(shown) & {"\u202e", "\u202c", "\u200b", "\0"}
        assert "\\u202e009" in shown


def test_unknown_decisions_are_not_found(guard: Any, ann: User) -> None:
    for action_id in ("nothing", "%00", "a_2Fb", "x" * 3_000):
        answer = signed_in(ann).get(page(action_id))
        assert (answer.status_code, "There is no such" in words(answer)) == (404, True)


def test_decisions_are_read_only(guard: Any, ann: User) -> None:
    guard.supervisor.store.write([row(0)])
    client = signed_in(ann)
    for address in (DECISIONS, page("a-000")):
        assert client.post(address, {"action": "delete_selected"}).status_code == 405
    for model in (DECISIONS, REVIEWS):
        for rest in ("add/", "a-000/delete/", "a-000/history/"):
            assert client.get(model + rest, follow=True).status_code == 404
            assert client.post(model + rest).status_code in (302, 404)
    assert listed(client) == ["a-000"]


def test_the_index_lists_what_a_person_may_see(guard: Any, ann: User) -> None:
    with person("viewer", "view_decision") as viewer, person("stranger") as stranger:
        seen = {user: signed_in(user).get("/admin/").content.decode() for user in (ann, viewer, stranger)}
        assert signed_in(viewer).get(REVIEWS).status_code == 403
        assert signed_in(stranger).get(DECISIONS).status_code == 403
    assert [DECISIONS in page for page in seen.values()] == [True, True, False]
    assert [REVIEWS in page for page in seen.values()] == [True, False, False]
    assert all(DECISIONS + "add/" not in page for page in seen.values())


def test_strangers_are_asked_to_sign_in(guard: Any) -> None:
    for address in (DECISIONS, page("a-000")):
        answer = Client().get(address)
        assert (answer.status_code, answer["Location"].split("?")[0]) == (302, "/admin/login/")


def test_the_pages_are_served_under_asgi(guard: Any, ann: User) -> None:
    action_id = held(guard)

    async def served() -> list[int]:
        client = AsyncClient()
        await client.aforce_login(ann)
        addresses = (DECISIONS, page(action_id), REVIEWS, f"{REVIEWS}{action_id}/change/")
        answers = [await client.get(address) for address in addresses]
        decided = await client.post(f"{REVIEWS}{action_id}/change/", {"decision": "approve"})
        return [answer.status_code for answer in (*answers, decided)]

    assert asyncio.run(served()) == [200, 200, 200, 200, 302]
    assert guard.supervisor.review(action_id).status == "approved"


def test_the_admin_has_no_fault_of_its_own() -> None:
    assert [found for found in checks.run_checks() if found.id and found.id.startswith("admin.")] == []
