"""A review has the highest priority of the rules that asked for it, and the queue is in its order, on every store."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards import Decision, Guard, GuardConfig
from supervisor_guards._desk import Page, ReviewQuery
from supervisor_guards._model import PRIORITIES, Hit
from supervisor_guards.embedded import search
from supervisor_guards.embedded.desk import ReviewDesk
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.supervisor import EmbeddedSupervisor
from supervisor_guards.policy.source import PolicySource

START = 1_800_000_000_000_000
MINUTE = 60_000_000
CENTURY_SECONDS = 100 * 365 * 86_400.0
POLICY = """
name: refund.base
version: 1
action: refund
rules:
  - {id: some, when: payload.amount > 10, action: review, priority: low}
  - {id: more, when: payload.amount > 20, action: review}
  - {id: much, when: payload.amount > 30, action: review, priority: high}
  - {id: huge, when: payload.amount > 40, action: review, priority: urgent}
  - {id: staff, when: payload.amount > 1, action: allow}
  - {id: odd, when: "payload.get('kind', 0) > 5", action: review, priority: high}
  - {id: known, when: "payload.get('note', 0) > 5", action: allow}
---
name: payment.base
version: 1
action: payment
default: review
rules:
  - {id: none, when: payload.amount > 10, action: deny}
"""
ASKED: dict[str, tuple[str, dict[str, Any], str]] = {
    "a rule that says low": ("refund", {"amount": 15}, "low"),
    "a rule that says nothing is normal, and beats low": ("refund", {"amount": 25}, "normal"),
    "the highest of three": ("refund", {"amount": 35}, "high"),
    "the highest of four": ("refund", {"amount": 45}, "urgent"),
    "a rule that fails asks as urgently as one that hits": ("refund", {"amount": 15, "kind": "x"}, "high"),
    "a broken rule that would have allowed": ("refund", {"amount": 15, "note": "x"}, "normal"),
    "no rule at all, by the default": ("payment", {"amount": 1}, "normal"),
}


def checked(guard: Guard, action: str, payload: dict[str, Any]) -> Decision:
    return guard.check(action, payload, on_review="fail_closed")


def achecked(guard: Guard, action: str, payload: dict[str, Any]) -> Decision:
    async def ask() -> Decision:
        return await guard.acheck(action, payload, on_review="fail_closed")

    return asyncio.run(ask())


@pytest.fixture
def guard(any_store: Any, tmp_path: Path) -> Iterator[Guard]:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    supervisor = EmbeddedSupervisor(
        lambda: PolicySource(tmp_path / "supervisor.yaml"),
        lambda: any_store,
        lambda: b"k" * 32,
        review_expires_seconds=CENTURY_SECONDS,
    )
    made = Guard(GuardConfig(enforcement_mode="enforce", state_dir=str(tmp_path)), supervisor)
    yield made
    made.close()


@pytest.mark.parametrize("name", ASKED)
@pytest.mark.parametrize("ask", [checked, achecked])
def test_a_review_has_the_highest_priority_of_the_rules_that_asked_for_it(
    guard: Guard, any_store: Any, ask: Callable[..., Decision], name: str
) -> None:
    action, payload, expected = ASKED[name]
    decision = ask(guard, action, payload)
    assert decision.outcome == "review"
    assert any_store.case(decision.action_id).priority == expected
    (listed,) = guard.desk().queue(ReviewQuery(priority=expected)).rows
    assert listed.action_id == decision.action_id


def row(number: int, priority: str | None, **changes: Any) -> DecisionRow:
    values: dict[str, Any] = {
        "action_id": f"a{number:03}", "time": START + number * MINUTE, "action_type": "refund", "mode": "enforce",
        "enforced": True, "outcome": "review", "digest": f"d{number}", "subject": "ann" if number % 3 else "bob",
        "hits": (Hit("look", "review", "odd", "", priority),),
    }  # fmt: skip
    return DecisionRow(**{**values, **changes})


def opened(store: Any, number: int, priority: str | None, **changes: Any) -> None:
    store.write_with_review(row(number, priority, **changes), START + 10**15)


def paged(desk: ReviewDesk, query: ReviewQuery, limit: int) -> list[Page[Any]]:
    pages = [desk.queue(query, limit)]
    while pages[-1].cursor is not None:
        pages.append(desk.queue(query, limit, pages[-1].cursor))
    return pages


def ids(pages: list[Page[Any]]) -> list[str]:
    return [case.action_id for page in pages for case in page.rows]


@pytest.mark.parametrize("seed", range(3))
def test_the_queue_is_by_priority_then_age_and_pages_leave_out_and_repeat_nothing(any_store: Any, seed: int) -> None:
    dice = random.Random(seed)
    priorities = [dice.choice((*PRIORITIES, None)) for _ in range(40)]
    for number, priority in enumerate(priorities):
        opened(any_store, number, priority)
    over = set(dice.sample(range(40), 8))
    for number in over:
        any_store.resolve(f"a{number:03}", "rejected", "dora")
    desk = ReviewDesk(any_store)

    def expected(wanted: Callable[[int], bool] = lambda number: True) -> list[str]:
        waiting = [number for number in range(40) if number not in over and wanted(number)]
        waiting.sort(key=lambda number: (PRIORITIES.index(priorities[number] or "normal"), number))
        return [f"a{number:03}" for number in waiting]

    for limit in (1, 7, 32, 100):
        assert ids(paged(desk, ReviewQuery(), limit)) == expected()
        assert ids(paged(desk, ReviewQuery(subject="bob"), limit)) == expected(lambda number: number % 3 == 0)
        assert ids(paged(desk, ReviewQuery(text="BOB", until=START + 20 * MINUTE), limit)) == expected(
            lambda number: number % 3 == 0 and number < 20
        )
        for priority in PRIORITIES:
            assert ids(paged(desk, ReviewQuery(priority=priority, subject="ann"), limit)) == expected(
                lambda number, sought=priority: (priorities[number] or "normal") == sought and number % 3 > 0  # type: ignore[misc]
            )
    assert all(page.complete for page in paged(desk, ReviewQuery(subject="bob"), 7))
    assert desk.queue(ReviewQuery(priority="pressing")) == Page(())
    assert desk.queue(ReviewQuery(status="rejected")) == Page(()), "none of them waits"
    assert ids([desk.queue(ReviewQuery(text="a010"))]) == expected(lambda number: number == 10)


def test_what_comes_and_goes_between_two_pages_moves_nothing_else(any_store: Any) -> None:
    for number in range(12):
        opened(any_store, number, ("low", "high")[number % 2])
    desk = ReviewDesk(any_store)
    first = desk.queue(ReviewQuery(), 4)
    assert ids([first]) == ["a001", "a003", "a005", "a007"]
    opened(any_store, 20, "urgent")
    opened(any_store, 21, "high")
    any_store.resolve("a007", "approved", "dora")
    any_store.resolve("a009", "rejected", "dora")
    second = desk.queue(ReviewQuery(), 4, first.cursor)
    assert ids([second]) == ["a011", "a021", "a000", "a002"]
    assert ids([desk.queue(ReviewQuery(), 50, second.cursor)]) == ["a004", "a006", "a008", "a010"]
    assert ids([desk.queue(ReviewQuery(), 1)]) == ["a020"], "the urgent one is first when it is looked at anew"


def test_other_lists_keep_the_order_of_writing(any_store: Any) -> None:
    for number, priority in enumerate(("low", "urgent", "high")):
        opened(any_store, number, priority)
    desk = ReviewDesk(any_store)
    assert [case.action_id for case in desk.reviews("pending")] == ["a002", "a001", "a000"]
    assert ids([desk.find_reviews(ReviewQuery(status="pending"))]) == ["a002", "a001", "a000"]
    assert ids([desk.find_reviews(ReviewQuery(priority="urgent"))]) == ["a001"]
    assert ids([desk.find_reviews(ReviewQuery(priority="pressing"))]) == []


def test_a_repeated_request_joins_its_review_as_it_was_opened(any_store: Any) -> None:
    opened(any_store, 1, "high")
    again = row(2, "urgent", digest="d1", subject="ann")
    assert any_store.write_with_review(again, START + 10**15, same_since=START) == "a001"
    assert any_store.case("a001").priority == "high"


def test_filters_look_through_a_bounded_number_of_those_that_wait(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "ROWS_LOOKED_THROUGH", 10)
    with contextlib.closing(Store(store_url)) as store:
        for number in range(45):
            opened(store, number, "low" if number < 20 else "high", subject="bob" if number in (3, 40) else "ann")
        for number in range(30, 35):
            store.resolve(f"a{number:03}", "rejected", "dora")
        desk = ReviewDesk(store)
        pages = paged(desk, ReviewQuery(subject="bob"), 5)
        assert [ids([page]) for page in pages] == [[], ["a040"], ["a003"], [], []], "ten of those that wait a page"
        assert [page.complete for page in pages] == [False, False, False, False, True]
        assert ids([desk.queue(ReviewQuery(text="a003", subject="bob"))]) == ["a003"], "an id has an index of its own"
