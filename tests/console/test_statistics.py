"""The overview's figures: what was observed and what was enforced are never summed, and shares have their interval."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.service.console.chart import HEIGHT, WIDTH, stacked
from supervisor_guards.service.console.statistics import ENFORCED, columns_of, interval, sides
from supervisor_guards.service.console.sums import sums_of
from supervisor_guards.service.console.wording import milliseconds, span
from tests.service.serving import until

BLOCK = 180


def row(number: int, time: int, **fields: Any) -> DecisionRow:
    """A decision."""
    values = {"mode": "shadow", "enforced": False, "outcome": "allow", "would_have": "allow", **fields}
    return DecisionRow(action_id=f"a-{number}", time=time, action_type="refund", **values)


def test_figures_keep_apart_what_a_sampled_action_enforced(any_store: Any, store_clock: Any) -> None:
    now = store_clock.now
    kinds = [
        {},
        {"would_have": "deny"},
        {"would_have": "review", "mode": "sample"},
        {"mode": "sample", "enforced": True, "outcome": "deny", "would_have": None},
        {"mode": "enforce", "enforced": True, "would_have": None},
        {"status": "unknown", "would_have": None},
        {"mode": "enforce", "enforced": True, "status": "unavailable", "outcome": "deny", "would_have": None},
    ]
    any_store.write([row(number, now - number * 60_000_000, **kind) for number, kind in enumerate(kinds)])
    minute = now // MINUTE_US
    first = minute - 60 - minute % 30
    spans = any_store.spans(first, minute + 1, 30)
    observed, enforced = sides(figure for one in spans for figure in one.figures)
    assert observed.counts == {"allow": 1, "would-deny": 1, "would-review": 1, "unknown": 1}
    assert enforced.counts == {"deny": 1, "allow": 1, "unavailable": 1}
    assert (observed.refused, observed.judged) == (2, 3)
    assert (enforced.refused, enforced.judged) == (1, 2)
    assert {one.minute % 30 for one in spans} == {0}
    assert sum(count for one in spans for count in one.latencies.values()) == 6, "an unknown decision took no time"
    assert any_store.spans(minute + 1, minute + 60, 1) == []
    columns = columns_of(spans, first, 60, enforced=True)
    assert sum((Counter(one) for one in columns.values()), Counter()) == enforced.counts


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"),
    [(0, 10, 0.0, 0.2775), (5, 10, 0.2366, 0.7634), (10, 10, 0.7225, 1.0), (1, 1_000, 0.000177, 0.00564)],
)
def test_the_interval_is_wilsons(hits: int, of: int, low: float, high: float) -> None:
    found = interval(hits, of)
    assert found == pytest.approx((low, high), abs=5e-5)


def test_a_chart_draws_all_of_it_within_its_frame() -> None:
    spans = {100: Counter(allow=7, deny=2), 130: Counter(review=4)}
    chart = stacked(spans, ENFORCED, 100, 30, 4)
    assert chart.total == 13
    assert [bar.kind for bar in chart.bars] == ["allow", "deny", "review"]
    assert all(bar.x >= 0 and bar.x + bar.width <= WIDTH for bar in chart.bars)
    assert all(bar.y >= 0 and bar.y + bar.height <= HEIGHT for bar in chart.bars)
    assert [(moment // MINUTE_US, counts["allow"]) for moment, counts in chart.rows] == [(100, 7), (130, 0)]
    assert stacked({}, ENFORCED, 0, 1, 60).bars == ()


def test_long_windows_remember_what_is_over_and_find_what_came_late(
    any_store: Any, store_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    minute = store_clock.now // MINUTE_US
    first = minute - minute % BLOCK - 4 * BLOCK
    sums = sums_of(any_store, BLOCK)
    assert sums_of(any_store, BLOCK) is sums

    def decisions() -> int:
        spans, whole = sums.spans(first, minute)
        assert whole == first
        return sum(figure.count for one in spans for figure in one.figures)

    any_store.write([row(1, store_clock.now), row(2, (first + 10) * MINUTE_US)])
    assert decisions() == 2
    any_store.write([row(3, store_clock.now), row(4, (first + 10) * MINUTE_US)])
    assert decisions() == 3, "the block that is over isn't read again at once"
    monkeypatch.setattr("supervisor_guards.service.console.sums._STALE_SECONDS", -1.0)
    for _ in range(4):
        decisions()
    assert decisions() == 4


def test_a_window_that_takes_long_is_there_in_parts_first(
    any_store: Any, store_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("supervisor_guards.service.console.sums._BUDGET_SECONDS", -1.0)
    minute = store_clock.now // MINUTE_US
    first = minute - minute % BLOCK - 40 * BLOCK
    any_store.write([row(2, store_clock.now)])
    sums = sums_of(any_store, BLOCK)
    spans, whole = sums.spans(first, minute)
    assert whole > first
    assert sum(figure.count for one in spans for figure in one.figures) == 1
    until(lambda: sums.spans(first, minute)[1] == first)


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [(0, "0 s"), (-5, "0 s"), (61_000_000, "1 min 1 s"), (7_200_000_000, "2 h"), (90_061_000_000, "1 d 1 h")],
)
def test_how_long_is_said_in_two_units(microseconds: int, said: str) -> None:
    assert span(microseconds) == said


def test_latencies_are_short() -> None:
    assert [milliseconds(one) for one in (None, 240, 1_440, 250_000)] == ["-", "0.24 ms", "1.44 ms", "250 ms"]
