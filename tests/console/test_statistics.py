"""The overview's figures: what was observed and what was enforced are never summed, and shares have their interval."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from conftest import Clock

from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.rows import DecisionRow
from supervisor_guards.service.console.chart import HEIGHT, WIDTH, stacked
from supervisor_guards.service.console.statistics import ENFORCED, interval, sides, spans_of
from supervisor_guards.service.console.wording import milliseconds, span


def row(number: int, time: int, **fields: Any) -> DecisionRow:
    """A decision."""
    values = {"mode": "shadow", "enforced": False, "outcome": "allow", "would_have": "allow", **fields}
    return DecisionRow(action_id=f"a-{number}", time=time, action_type="refund", **values)


def test_figures_keep_apart_what_a_sampled_action_enforced(any_store: Any, store_clock: Clock) -> None:
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
    found = any_store.figures(now - 3_600_000_000, 30)
    observed, enforced = sides(found)
    assert observed.counts == {"allow": 1, "would-deny": 1, "would-review": 1, "unknown": 1}
    assert enforced.counts == {"deny": 1, "allow": 1, "unavailable": 1}
    assert (observed.refused, observed.judged) == (2, 3)
    assert (enforced.refused, enforced.judged) == (1, 2)
    assert {one.minute % 30 for one in found} == {0}
    assert any_store.figures(now + 3_600_000_000, 1) == []


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


def test_spans_hold_one_side() -> None:
    assert spans_of([], enforced=True) == {}


@pytest.mark.parametrize(
    ("microseconds", "said"),
    [(0, "0 s"), (-5, "0 s"), (61_000_000, "1 min 1 s"), (7_200_000_000, "2 h"), (90_061_000_000, "1 d 1 h")],
)
def test_how_long_is_said_in_two_units(microseconds: int, said: str) -> None:
    assert span(microseconds) == said


def test_latencies_are_short() -> None:
    assert [milliseconds(one) for one in (None, 240, 1_440, 250_000)] == ["-", "0.24 ms", "1.44 ms", "250 ms"]
