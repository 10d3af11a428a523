"""What is written is read back, counted once, and paged without gaps: on every kind of store."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor_guards._histogram import bucket_of, middle_of
from supervisor_guards._model import Hit
from supervisor_guards.embedded import open_store
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.memory import MemoryStore
from supervisor_guards.embedded.rollups import percentiles
from supervisor_guards.embedded.rows import COLUMNS, DecisionRow, Percentiles, StoredDecision
from supervisor_guards.embedded.store import Store
from supervisor_guards.errors import ConfigurationError

START = 1_800_000_000_000_000
MINUTE = 60_000_000


def row(number: int, **changes: Any) -> DecisionRow:
    fields: dict[str, Any] = {
        "action_id": f"action-{number:05}", "time": START + number, "action_type": "refund",
        "mode": "shadow", "enforced": False, "outcome": "allow", "would_have": "allow",
    }  # fmt: skip
    return DecisionRow(**{**fields, **changes})


FULL = row(
    1,
    app_id="shop",
    route="/refunds/{id}",
    subject="user:7",
    mode="sample",
    enforced=True,
    outcome="deny",
    would_have=None,
    status="unavailable",
    reasons=("amount-exceeds-hard-cap", 'quote " comma , tab \t'),
    rule_ids=("hard-cap",),
    hits=(Hit("hard-cap", "deny", "amount-exceeds-hard-cap", "Löschen 退款 🙂"),),
    policy_name="refund.base",
    policy_version="1",
    policy_hash="ab" * 32,
    sample_bucket=7,
    payload='{"amount":20000,"note":"\\u0000 退款","path":"C:\\\\x"}',
    context='{"user_id":"u1"}',
    digest="cd" * 32,
    latency_us=123_456,
    result="not-run",
)


def written(stored: StoredDecision) -> DecisionRow:
    return DecisionRow(**{name: getattr(stored, name) for name in COLUMNS})


def test_a_row_comes_back_as_it_was_written(any_store: Any) -> None:
    any_store.write([FULL, row(2)])
    assert written(any_store.decision("action-00001")) == FULL
    assert written(any_store.decision("action-00002")) == row(2)
    assert any_store.decision("action-00003") is None


@pytest.mark.parametrize("size", [1, 2, 8, 9, 64, 65, 499, 500, 501, 1203])
def test_batches_of_every_size_keep_their_order(any_store: Any, size: int) -> None:
    rows = [row(number) for number in range(size)]
    any_store.write(rows)
    assert [written(found) for found in any_store.decisions(limit=2000)] == rows[::-1]
    assert any_store.totals(START)[0].decisions == size


def test_repeated_action_ids_are_stored_and_counted_once(any_store: Any) -> None:
    any_store.write([row(1, outcome="allow")])
    any_store.write([row(1, outcome="deny"), row(2), row(2), row(3)], [("action-00001", "returned")])
    any_store.write([row(1), row(2), row(3)], [("action-00001", "raised")])
    assert [found.action_id[-1] for found in any_store.decisions()] == ["3", "2", "1"]
    assert any_store.decision("action-00001").outcome == "allow"
    assert any_store.totals(START)[0].decisions == 3
    assert any_store.latency(START).count == 3


def test_a_result_may_follow_its_row_or_precede_it(any_store: Any) -> None:
    any_store.write([row(1), row(2, result="not-run")], [("action-00003", "raised")])
    any_store.write([row(3)], [("action-00001", "returned"), ("action-00002", "returned")])
    assert [found.result for found in any_store.decisions()] == ["raised", "not-run", "returned"]


def test_drops_add_up_from_a_time_on(any_store: Any, store_clock: Any) -> None:
    any_store.write([], drops=3)
    store_clock.now += MINUTE
    any_store.write([row(1)], drops=4)
    assert any_store.dropped(START) == 7
    assert any_store.dropped(START + 1) == 4


def test_text_no_database_takes_costs_neither_the_row_nor_its_batch(any_store: Any) -> None:
    nasty = row(1, route="/a\ud800", subject="nul \0 byte", reasons=("x\udfff",), payload='{"a":"\0"}')
    any_store.write([row(0), nasty, row(2)], [("action-\ud800", "raised"), ("action-00000", "returned")])
    any_store.write_with_review(row(3, subject="nul \0 \udfff"), START + MINUTE, "requester \0")
    assert [found.action_id for found in any_store.decisions()] == [f"action-0000{n}" for n in (3, 2, 1, 0)]
    assert any_store.decision("action-00000").result == "returned"
    assert any_store.totals(START)[0].decisions == 4
    assert len(any_store.reviews()) == 1


def test_pages_have_neither_gaps_nor_repeats_while_rows_are_written(any_store: Any) -> None:
    any_store.write([row(number, time=START - number) for number in range(25)])
    seen, cursor = [], None
    while page := any_store.decisions(limit=7, before=cursor):
        seen += [found.action_id for found in page]
        cursor = page[-1].id
        any_store.write([row(1000 + len(seen))])
    assert seen == [f"action-{number:05}" for number in range(24, -1, -1)]
    newest = any_store.decisions(limit=1)[0].id
    any_store.write([row(number, time=0) for number in range(2000, 2005)])
    followed = any_store.decisions(limit=3, after=newest)
    followed += any_store.decisions(limit=3, after=followed[-1].id)
    assert [found.action_id for found in followed] == [f"action-{number:05}" for number in range(2000, 2005)]


def test_filters_choose_rows(any_store: Any) -> None:
    rules = ("hard-cap", 'odd " id')
    any_store.write(
        [
            row(1),
            row(2, would_have="deny", rule_ids=rules, route="/r"),
            row(3, mode="enforce", enforced=True, outcome="deny", would_have=None, rule_ids=("hard-cap-2",)),
            row(4, action_type="email", status="unknown", would_have=None),
        ]
    )

    def chosen(**filters: Any) -> str:
        return "".join(found.action_id[-1] for found in any_store.decisions(**filters))

    assert chosen() == "4321"
    assert chosen(would_have="deny") == "2"
    assert chosen(outcome="deny") == "3"
    assert chosen(mode="shadow", action_type="refund") == "21"
    assert chosen(enforced=True) == "3"
    assert chosen(enforced=False, route="/r") == "2"
    assert chosen(status="unknown", route=None) == "4"
    assert chosen(rule="hard-cap") == "2"
    assert chosen(rule='odd " id') == "2"
    assert chosen(rule="id") == ""
    with pytest.raises(TypeError, match="colour"):
        any_store.decisions(colour="red")


def test_roll_ups_equal_a_recount(any_store: Any) -> None:
    chance = random.Random(7)
    rows = []
    for number in range(700):
        enforced = chance.random() < 0.5
        verdict = chance.choice(["allow", "deny", "review"])
        status = chance.choice(["evaluated", "evaluated", "unavailable", "unknown"])
        hits = tuple(Hit(rule, "deny", "r") for rule in ("one", "two") if verdict == "deny" and chance.random() < 0.7)
        rows.append(
            row(
                number,
                time=START + chance.randrange(5 * MINUTE),
                action_type=chance.choice(["refund", "email"]),
                route=chance.choice([None, "/a", "/b"]),
                mode="enforce" if enforced else "shadow",
                enforced=enforced,
                outcome=verdict if enforced else "allow",
                would_have=None if enforced or status == "unknown" else verdict,
                status=status,
                hits=hits,
                latency_us=int(chance.lognormvariate(6, 2)),
            )
        )
    for start in range(0, 700, 90):
        any_store.write(rows[start : start + 90])

    verdicts = [(found, found.outcome if found.enforced else found.would_have) for found in rows]
    for by in [(), ("action_type", "mode"), ("route",), ("minute", "app_id")]:
        expected: dict[tuple[Any, ...], Counter[str]] = {}
        for found, verdict in verdicts:
            fields = {"minute": found.time // MINUTE, "route": found.route or ""}
            sums = expected.setdefault(
                tuple(fields[name] if name in fields else getattr(found, name) for name in by), Counter()
            )
            refused = verdict in ("deny", "review")
            sums["decisions"] += 1
            sums["blocked"] += refused and found.enforced
            sums["would_block"] += refused and not found.enforced
            sums["review"] += verdict == "review"
            sums[found.status] += 1
        totals = any_store.totals(START, by)
        assert [tuple(getattr(total, name) for name in by) for total in totals] == sorted(expected)
        for total in totals:
            sums = expected[tuple(getattr(total, name) for name in by)]
            for name in ("decisions", "blocked", "would_block", "review", "unavailable", "unknown"):
                assert getattr(total, name) == sums[name], name

    hits_of = Counter((found.action_type, found.mode, hit.rule_id) for found in rows for hit in found.hits)
    counted = any_store.rule_totals(START)
    assert {(total.action_type, total.mode, total.rule_id): total.count for total in counted} == hits_of
    assert [total.count for total in counted] == sorted(hits_of.values(), reverse=True)

    for action_type, mode in [(None, None), ("refund", None), ("email", "enforce")]:
        times = sorted(
            found.latency_us
            for found in rows
            if found.status != "unknown" and action_type in (None, found.action_type)
            if mode in (None, found.mode)
        )
        measured = any_store.latency(START, action_type, mode)
        assert measured.count == len(times)
        for percent in (50, 95, 99):
            true = times[-(-len(times) * percent // 100) - 1]
            assert abs(getattr(measured, f"p{percent}") - true) <= true / 32


def test_totals_start_at_a_minute_and_refuse_other_columns(any_store: Any) -> None:
    any_store.write([row(1), row(2, time=START + MINUTE)])
    assert [total.decisions for total in any_store.totals(START + MINUTE)] == [1]
    assert [total.decisions for total in any_store.totals(START + 9 * MINUTE, by=())] == [0]
    assert any_store.totals(START + 9 * MINUTE) == []
    assert any_store.latency(START + 9 * MINUTE) == Percentiles(None, None, None, 0)
    with pytest.raises(ValueError, match="subject"):
        any_store.totals(START, by=("subject",))


@given(st.integers(0, 2**40))
def test_a_bucket_is_within_a_32nd_of_its_values(latency: int) -> None:
    assert abs(middle_of(bucket_of(latency)) - latency) <= latency / 32
    assert bucket_of(latency) <= bucket_of(latency + 1) <= bucket_of(latency) + 1


def test_percentiles_are_nearest_rank() -> None:
    assert percentiles({5: 1}) == Percentiles(5, 5, 5, 1)
    assert percentiles({1: 95, 2: 4, 3: 1}) == Percentiles(1, 1, 2, 100)


def test_purge_takes_what_is_old_and_over_and_keeps_the_counts(any_store: Any, store_clock: Any) -> None:
    any_store.write([row(number) for number in range(5)], [("action-00001", "raised")])
    for number in (6, 7):
        any_store.write_with_review(row(number), START + 2 * MINUTE)
    any_store.resolve("action-00006", "rejected", "ann")
    store_clock.now += MINUTE
    any_store.write([row(8, time=START + MINUTE)])
    newest = any_store.decisions(limit=1)[0].id
    assert any_store.purge(START + MINUTE, batch=2) >= 7
    assert [found.action_id for found in any_store.decisions()] == ["action-00008", "action-00007"]
    assert [found.action_id for found in any_store.reviews()] == ["action-00007"]
    assert any_store.totals(START, by=())[0].decisions == 8
    store_clock.now += 2 * MINUTE
    any_store.purge(START + 9 * MINUTE)
    assert any_store.decisions() == []
    any_store.write([row(9)])
    assert any_store.decisions(after=newest)[0].action_id == "action-00009"


def test_a_memory_store_is_bounded_and_keeps_open_reviews() -> None:
    now = [START]
    store = MemoryStore(capacity=10, clock=lambda: now[0])
    for number in range(15):
        store.write_with_review(row(number), START + MINUTE)
    assert len(store.reviews(limit=100)) == 15
    now[0] += 2 * MINUTE
    store.write([row(number) for number in range(20, 50)], [("nobody", "raised")] * 40)
    assert [found.action_id for found in store.decisions(limit=100)] == [
        f"action-{number:05}" for number in range(49, 39, -1)
    ]
    assert len(store.reviews(limit=100)) == 10


def test_stores_of_one_database_see_each_other(store_url: str) -> None:
    one, other = Store(store_url), Store(store_url)
    one.write([row(1)])
    assert other.decision("action-00001") is not None
    one.close()
    one.close()
    with pytest.raises(StoreUnavailable, match="closed"):
        one.decision("action-00001")
    other.write([row(2)])
    other.close()


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///:memory:", "no url"])
def test_a_url_that_cannot_work_is_refused_with_the_choices(url: str) -> None:
    with pytest.raises(ConfigurationError, match=r"store URL.*sqlite:///PATH"):
        open_store(url)


def test_a_server_that_is_not_there_is_a_fault_of_the_supervisor(tmp_path: Any) -> None:
    with pytest.raises(StoreUnavailable, match=r"postgresql\+psycopg://app:\*\*\*@.* failed") as caught:
        open_store(f"postgresql://app:secret@/none?host={tmp_path}")
    assert "secret" not in str(caught.value)


def test_memory_url_opens_a_store_in_this_process() -> None:
    store = open_store("memory:")
    store.write([row(1)])
    assert [found.action_id for found in store.decisions()] == ["action-00001"]


def test_writing_goes_on_after_the_server_hung_up(postgres_cluster: Any) -> None:
    with postgres_cluster.database("current") as url:
        store = Store(url)
        store.write([row(1)])
        postgres_cluster.disconnect(url)
        store.write([row(2)])
        store.write_with_review(row(3), START)
        assert len(store.decisions()) == 3
        store.close()
