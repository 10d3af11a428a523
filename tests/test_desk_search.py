"""Decisions and reviews are found by what they say and when they were made, on every store alike."""

from __future__ import annotations

from typing import Any

import pytest

from supervisor_guards._desk import DecisionQuery, Page, ReviewQuery
from supervisor_guards._model import Hit
from supervisor_guards.embedded import search
from supervisor_guards.embedded.desk import ReviewDesk
from supervisor_guards.embedded.rows import DecisionRow

START = 1_800_000_000_000_000
MINUTE = 60_000_000
HOUR = 60 * MINUTE


def row(number: int, **changes: Any) -> DecisionRow:
    """The decision that was made in minute `number`."""
    values: dict[str, Any] = {
        "action_id": f"a{number:03}", "time": START + number * MINUTE, "action_type": "refund", "mode": "enforce",
        "enforced": True, "outcome": "allow",
    }  # fmt: skip
    return DecisionRow(**{**values, **changes})


ROWS = [
    row(0, route="POST /refunds", subject="Ann"),
    row(
        1, outcome="deny", rule_ids=("cap",), hits=(Hit("cap", "deny", "over-cap", "Too much."),), reasons=("over-cap",)
    ),
    row(2, action_type="email.send", mode="shadow", enforced=False, would_have="deny"),
    row(3, status="unavailable", outcome="deny", reasons=("supervisor-unavailable",), tenant="100% Shop"),
    row(4, route="POST /refunds", subject="bob", outcome="deny", rule_ids=("cap", "late")),
    row(5, action_id="b-1", action_type="email.send"),
]
FOUND: dict[str, tuple[dict[str, Any], list[int]]] = {
    "everything": ({}, [5, 4, 3, 2, 1, 0]),
    "an action type": ({"action_type": "email.send"}, [5, 2]),
    "a route": ({"route": "POST /refunds"}, [4, 0]),
    "a subject": ({"subject": "bob"}, [4]),
    "a mode": ({"mode": "shadow"}, [2]),
    "an outcome": ({"outcome": "deny"}, [4, 3, 1]),
    "the common outcome": ({"outcome": "allow"}, [5, 2, 0]),
    "what enforce would have said": ({"would_have": "deny"}, [2]),
    "a status": ({"status": "unavailable"}, [3]),
    "a rule": ({"rule": "cap"}, [4, 1]),
    "a rule and a route": ({"rule": "cap", "route": "POST /refunds"}, [4]),
    "a part of a subject, in any case": ({"text": "ANN"}, [0]),
    "a part of a reason": ({"text": "over-"}, [1]),
    "a part of a rule id": ({"text": "lat"}, [4]),
    "a part of a route": ({"text": "/REF"}, [4, 0]),
    "a percent sign that is one": ({"text": "0% s"}, [3]),
    "nothing by a wild card": ({"text": "a_0"}, []),
    "how an id begins": ({"text": "b-"}, [5]),
    "an id": ({"text": "a001"}, [1]),
    "an id that the other filters leave out": ({"text": "a001", "mode": "shadow"}, []),
    "text that no database takes": ({"text": "\0\udcff"}, []),
    "from a moment on": ({"since": START + 4 * MINUTE}, [5, 4]),
    "before a moment": ({"until": START + 2 * MINUTE}, [1, 0]),
    "a window": ({"since": START + MINUTE, "until": START + 3 * MINUTE}, [2, 1]),
    "a window and a filter": ({"since": START + MINUTE, "until": START + 5 * MINUTE, "outcome": "deny"}, [4, 3, 1]),
    "an empty window": ({"since": START + HOUR}, []),
}


def numbers(page: Page[Any]) -> list[int]:
    return [(found.time - START) // MINUTE for found in page.rows]


@pytest.fixture
def desk(any_store: Any) -> ReviewDesk:
    any_store.write(ROWS)
    return ReviewDesk(any_store)


@pytest.mark.parametrize("name", FOUND)
def test_decisions_are_found(desk: ReviewDesk, name: str) -> None:
    filters, expected = FOUND[name]
    page = desk.find_decisions(DecisionQuery(**filters))
    assert (numbers(page), page.cursor, page.complete) == (expected, None, True)


@pytest.mark.parametrize("filters", [{}, {"outcome": "deny"}, {"route": "POST /refunds"}, {"since": START + MINUTE}])
def test_pages_follow_each_other_without_gap_or_repetition(desk: ReviewDesk, filters: dict[str, Any]) -> None:
    query = DecisionQuery(**filters)
    everything = numbers(desk.find_decisions(query))
    seen: list[int] = []
    cursor: int | None = None
    while True:
        page = desk.find_decisions(query, 1, cursor)
        seen += numbers(page)
        cursor = page.cursor
        if cursor is None:
            break
    assert seen == everything


def test_an_empty_store_has_nothing_to_find_and_nothing_to_choose(any_store: Any) -> None:
    desk = ReviewDesk(any_store)
    assert desk.find_decisions(DecisionQuery(since=START, until=START + 1, text="x")) == Page(())
    assert desk.find_reviews(ReviewQuery(since=START, route="x")) == Page(())
    assert desk.span() is None
    assert desk.recorded([(START, START + HOUR)]) == [False]
    assert desk.choices().action_types == ()


def test_what_can_be_chosen_is_what_was_seen(desk: ReviewDesk) -> None:
    choices = desk.choices()
    assert choices.action_types == ("email.send", "refund")
    assert choices.routes == ("POST /refunds",)
    assert choices.rules == ("cap",)


def test_when_decisions_were_recorded(desk: ReviewDesk) -> None:
    assert desk.span() == (START, START + 5 * MINUTE)
    windows = [
        (START - HOUR, START),
        (START, START + MINUTE),
        (START + 5 * MINUTE, START + HOUR),
        (START + HOUR, START + 2 * HOUR),
    ]
    assert desk.recorded(windows) == [False, True, True, False]
    assert desk.recorded([]) == []


def test_a_row_that_was_written_late_is_in_its_window(any_store: Any) -> None:
    """A shadow row waits in a queue, so the order of writing is not quite that of the clock."""
    for number in range(200):
        any_store.write([row(number)])
        if number == 100:
            any_store.write([row(95, action_id="late"), row(105, action_id="ahead")])
    found = ReviewDesk(any_store).find_decisions(DecisionQuery(since=START + 95 * MINUTE, until=START + 106 * MINUTE))
    assert sorted(numbers(found)) == sorted([*range(95, 106), 95, 105])


def test_filters_without_an_index_look_through_a_bounded_number_of_rows(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from supervisor_guards.embedded.store import Store

    monkeypatch.setattr(search, "ROWS_LOOKED_THROUGH", 10)
    store = Store(store_url)
    try:
        store.write([row(number, subject="bob" if number in (3, 28) else "ann") for number in range(30)])
        desk, query = ReviewDesk(store), DecisionQuery(subject="bob")
        pages = [desk.find_decisions(query)]
        while pages[-1].cursor is not None:
            pages.append(desk.find_decisions(query, cursor=pages[-1].cursor))
        assert [numbers(page) for page in pages] == [[28], [], [3]]
        assert [page.complete for page in pages] == [False, False, True]
    finally:
        store.close()


@pytest.fixture
def reviews(any_store: Any) -> ReviewDesk:
    for number, (kind, subject) in enumerate([("refund", "Ann"), ("email.send", "bob"), ("refund", "bob")]):
        any_store.write_with_review(
            row(
                number, action_type=kind, subject=subject, outcome="review", route=f"POST /{kind}", digest=f"d{number}"
            ),
            START + 10 * HOUR,
            "Carl",
        )
    any_store.resolve("a000", "rejected", "Dora")
    return ReviewDesk(any_store)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, ["a002", "a001", "a000"]),
        ({"status": "pending"}, ["a002", "a001"]),
        ({"action_type": "refund"}, ["a002", "a000"]),
        ({"status": "pending", "action_type": "refund"}, ["a002"]),
        ({"route": "POST /email.send"}, ["a001"]),
        ({"subject": "bob"}, ["a002", "a001"]),
        ({"text": "dora"}, ["a000"]),
        ({"text": "carl"}, ["a002", "a001", "a000"]),
        ({"text": "a001"}, ["a001"]),
        ({"since": START + MINUTE, "until": START + 2 * MINUTE}, ["a001"]),
    ],
)
def test_reviews_are_found(reviews: ReviewDesk, filters: dict[str, Any], expected: list[str]) -> None:
    query = ReviewQuery(**filters)
    assert [case.action_id for case in reviews.find_reviews(query).rows] == expected
    oldest = reviews.find_reviews(query, oldest_first=True)
    assert [case.action_id for case in oldest.rows] == expected[::-1]


def test_pages_of_reviews_go_both_ways(reviews: ReviewDesk) -> None:
    for oldest_first, expected in ((False, ["a002", "a001", "a000"]), (True, ["a000", "a001", "a002"])):
        seen: list[str] = []
        page = reviews.find_reviews(ReviewQuery(), 1, oldest_first=oldest_first)
        while page.rows:
            seen += [case.action_id for case in page.rows]
            if page.cursor is None:
                break
            page = reviews.find_reviews(ReviewQuery(), 1, page.cursor, oldest_first=oldest_first)
        assert seen == expected
