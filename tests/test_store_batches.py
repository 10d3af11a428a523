"""Decisions of several applications in one transaction, with their reviews and with tables that stand beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from sqlalchemy import Connection, text

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.openings import Opening, Written
from supervisor_guards.embedded.rows import DecisionRow, Event
from supervisor_guards.embedded.store import Store
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.errors import ApprovalInvalid

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
SEALER = Sealer(b"k" * 32, "key-1")
OPENING = Opening(START + HOUR, "ann", START - HOUR)


def row(action_id: str, **changes: Any) -> DecisionRow:
    values: dict[str, Any] = {
        "action_id": action_id, "time": START, "app_id": "shop", "action_type": "refund", "mode": "enforce",
        "enforced": True, "outcome": "review", "payload": '{"amount":900}', "digest": "d1",
    }  # fmt: skip
    return DecisionRow(**{**values, **changes})


def allow(action_id: str, **changes: Any) -> tuple[DecisionRow, None]:
    return row(action_id, outcome="allow", **changes), None


def review(action_id: str, **changes: Any) -> tuple[DecisionRow, Opening]:
    return row(action_id, **changes), OPENING


@pytest.fixture
def store(store_url: str, store_clock: Any) -> Iterator[Store]:
    opened = Store(store_url, clock=store_clock, sealer=SEALER)
    yield opened
    opened.close()


def stored(store: Store) -> list[str]:
    return [one.action_id for one in reversed(store.decisions(limit=1_000))]


def test_each_item_says_what_became_of_it(store: Store) -> None:
    store.write_all([allow("a0")])
    written = store.write_all([allow("a1"), review("a2"), allow("a0"), review("a3", digest="d2"), allow("a1")])
    assert written == [
        Written(None, True),
        Written("a2", True),
        Written(None, False),
        Written("a3", True),
        Written(None, False),
    ]
    assert sorted(stored(store)) == ["a0", "a1", "a2", "a3"]
    assert store.totals(START, by=())[0].decisions == 4
    assert [case.action_id for case in store.reviews()] == ["a3", "a2"]
    assert store.write_all([review("a2")]) == [Written("a2", False)]
    assert store.write_all([]) == []


def test_equal_questions_of_one_batch_are_one_review(store: Store) -> None:
    written = store.write_all([review("a1"), review("a2"), review("a3", subject="bob")])
    assert [one.case_id for one in written] == ["a1", "a1", "a3"]
    assert [store.decision(name).case_id for name in ("a1", "a2", "a3")] == ["a1", "a1", "a3"]  # type: ignore[union-attr]


def test_reviews_of_two_applications_with_equal_content_are_two_cases(store: Store) -> None:
    written = store.write_all([review("a1"), review("a2", app_id="bank")])
    assert [one.case_id for one in written] == ["a1", "a2"]
    assert store.write_all([review("a3", app_id="bank")])[0].case_id == "a2"
    assert {case.action_id: case.app_id for case in store.reviews()} == {"a1": "shop", "a2": "bank"}


def test_an_approval_is_redeemed_by_the_application_it_is_for(store: Store) -> None:
    store.write_all([review("a1")])
    store.resolve("a1", "approved", "bob")
    for stranger in ("bank", ""):
        with pytest.raises(ApprovalInvalid) as refused:
            store.redeem("a1", Claim("d1", app_id=stranger))
        assert refused.value.reasons == ["not-found"]
    assert store.review("a1").status == "approved"
    store.redeem("a1", Claim("d1", app_id="shop"))
    assert store.review("a1").status == "used"


def test_a_text_that_no_database_takes_costs_no_other_item(store: Store) -> None:
    store.write_all([allow("a1"), review("a2", subject="a\0b\ud800"), allow("a3", route="\0")])
    assert sorted(stored(store)) == ["a1", "a2", "a3"]
    assert store.case("a2").subject in ("a\ufffdb?", "a\0b?", "a\ufffdb\ufffd")
    assert store.verify([SEALER], []).findings == ()


def test_what_stands_beside_is_written_in_the_same_transaction(store_url: str, store_clock: Any) -> None:
    heard: list[tuple[list[str], list[str]]] = []
    failing = False

    def within(held: Connection, decisions: Sequence[DecisionRow], events: Sequence[Event]) -> None:
        heard.append(([one.action_id for one in decisions], [one.kind for one in events]))
        held.execute(text("INSERT INTO beside VALUES (:count)"), {"count": len(decisions)})
        if failing:
            raise RuntimeError("the outbox is broken")

    store = Store(store_url, clock=store_clock, sealer=SEALER, within=within)
    store.transact(lambda held, _note: held.execute(text("CREATE TABLE beside (count INTEGER)")))
    store.write_all([allow("a1"), review("a2")])
    store.write([row("a3", outcome="allow")], [("a1", "returned")])
    store.resolve("a2", "approved", "bob")
    store.redeem("a2", Claim("d1"))
    assert sorted(heard) == sorted(
        [(["a1"], []), (["a2"], ["pending"]), (["a3"], ["returned"]), ([], ["approved"]), ([], ["used"])]
    )
    failing = True
    calls: list[Callable[[], object]] = [
        lambda: store.write_all([allow("b1"), review("b2")]),
        lambda: store.write([row("b3")]),
        lambda: store.transact(lambda _held, note: note(acted())),
    ]
    for call in calls:
        with pytest.raises(RuntimeError, match="outbox"):
            call()
    failing = False
    assert sorted(stored(store)) == ["a1", "a2", "a3"]
    with store.reading() as held:
        assert held.execute(text("SELECT count(*) FROM beside")).scalar() == len(heard) - len(calls)
    store.write_all([allow("b1")])
    report = store.verify([SEALER], [])
    assert (report.findings, report.decisions) == ((), 4)
    store.close()


def acted(name: str = "integration:shop") -> Event:
    return Event(action_id=name, time=START, kind="act", actor="ann", notes="rotated its secret")


def test_a_transaction_of_other_tables_notes_its_acts_in_the_chain(store: Store) -> None:
    def work(held: Connection, note: Callable[[Event], None]) -> str:
        held.execute(text("CREATE TABLE beside (name TEXT)"))
        held.execute(text("INSERT INTO beside VALUES ('shop')"))
        note(acted())
        note(acted("integration:bank"))
        return "done"

    assert store.transact(work) == "done"
    report = store.verify([SEALER], [])
    assert (report.findings, report.events, report.segments) == ((), 2, 1)
    store.transact(lambda held, _note: held.execute(text("UPDATE sg_events SET notes = 'did nothing'")))
    assert [finding.kind for finding in store.verify([SEALER], []).findings] != []


def test_a_transaction_that_fails_leaves_neither_rows_nor_acts(store: Store) -> None:
    store.transact(lambda held, _note: held.execute(text("CREATE TABLE beside (name TEXT UNIQUE)")))

    def work(held: Connection, note: Callable[[Event], None]) -> None:
        held.execute(text("INSERT INTO beside VALUES ('shop')"))
        note(acted())
        held.execute(text("INSERT INTO beside VALUES ('shop')"))

    with pytest.raises(StoreUnavailable):
        store.transact(work)
    with store.reading() as held:
        assert held.execute(text("SELECT count(*) FROM beside")).scalar() == 0
    assert store.verify([SEALER], []).events == 0
    store.write_all([allow("a1")])
    assert store.verify([SEALER], []).findings == ()
