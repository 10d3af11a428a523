"""The first page: what was observed, what was enforced, who waits, and how long deciding takes; roll-ups alone."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from supervisor_guards._desk import Desk, ReviewQuery
from supervisor_guards._model import MODES
from supervisor_guards.embedded.figures import Figure, Span
from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.rows import now_us
from supervisor_guards.service.console.chart import stacked
from supervisor_guards.service.console.statistics import ENFORCED, OBSERVED, Side, columns_of, sides, taken_by
from supervisor_guards.service.console.sums import sums_of
from supervisor_guards.service.console.visits import Visit
from supervisor_guards.service.console.wording import IN_A_LIST, span, text, word
from supervisor_guards.service.problems import Problem

if TYPE_CHECKING:
    from supervisor_guards.embedded.memory import MemoryStore
    from supervisor_guards.embedded.store import Store

__all__ = ["WINDOWS", "overview_of", "routes"]

WINDOWS = {"1h": (60, 1), "24h": (1_440, 30), "7d": (10_080, 180), "30d": (43_200, 720)}
"""Minutes, and minutes of one column."""
_BLOCKS = {"24h": 30, "7d": 180, "30d": 180}
"""Minutes of the blocks by which sums are remembered: a column is made of whole ones."""
_NAMES = {"1h": "1 hour", "24h": "24 hours", "7d": "7 days", "30d": "30 days"}
_ROWS = 100
_RULES = 3


async def show(visit: Visit) -> Response:
    """The overview of a window."""
    window = visit.asked.get("window", "24h")
    if window not in WINDOWS:
        raise Problem(422, f"window {window[:40]!r}: choose one of {', '.join(WINDOWS)}")
    return await visit.page("overview.html", await visit.reading(_overview, visit, window))


def _overview(visit: Visit, window: str) -> dict[str, Any]:
    return overview_of(visit.source.desk(), visit.source.store(), window)


def overview_of(desk: Desk, store: Store | MemoryStore | None, window: str) -> dict[str, Any]:
    """What the page shows; `figures` is None where the roll-ups are kept elsewhere."""
    return {
        "here": "overview",
        "window": window,
        "window_name": _NAMES[window],
        "windows": _NAMES,
        "figures": None if store is None else _figures(store, window),
        **_waiting(desk),
    }


def _waiting(desk: Desk) -> dict[str, Any]:
    """How many reviews wait, and since when the oldest does."""
    waiting = desk.waiting()
    oldest = desk.find_reviews(ReviewQuery(status="pending"), 1, oldest_first=True).rows if waiting else ()
    age = span(now_us() - oldest[0].created_at) if oldest else None
    return {"waiting": waiting, "oldest": oldest[0].action_id if oldest else None, "oldest_age": age}


def _figures(store: Store | MemoryStore, window: str) -> dict[str, Any]:
    minutes, step = WINDOWS[window]
    now = now_us() // MINUTE_US
    first = now - now % step - minutes + step
    whole = first
    block = _BLOCKS.get(window)
    if block is not None:
        found, whole = sums_of(store, block).spans(first, now)
    else:
        found = store.spans(first, now + 1, step)
    figures = [figure for one in found for figure in one.figures]
    observed, enforced = sides(figures)
    rules: Counter[tuple[str, str, str, str]] = Counter()
    for one in found:
        rules.update(one.rules)
    frame = (first, step, minutes // step)
    return {
        "any": bool(figures),
        "whole": None if whole == first else whole * MINUTE_US,
        "observed": _side(observed, found, OBSERVED, *frame),
        "enforced": _side(enforced, found, ENFORCED, *frame),
        "latency": [(word(mode), taken_by(found, mode)) for mode in MODES],
        "dropped": store.dropped(whole * MINUTE_US),
        **_by_action(figures, rules),
    }


def _side(
    side: Side, found: Sequence[Span], kinds: Sequence[str], first: int, step: int, columns: int
) -> dict[str, Any]:
    chart = stacked(columns_of(found, first, step, enforced=side.enforced), kinds, first, step, columns)
    return {"total": side.total, "chart": chart.values(), **_rates(side)}


def _rates(side: Side) -> dict[str, Any]:
    return {
        "judged": side.judged,
        "refused": side.refused,
        "rate": side.rate,
        "between": side.between,
        "counts": side.counts,
    }


def _by_action(found: Sequence[Figure], hits: Mapping[tuple[str, str, str, str], int]) -> dict[str, Any]:
    """A row for each action type, route, mode and side, the busiest first, with the rules that hit most."""
    groups: dict[tuple[str, str, str, bool], list[Figure]] = defaultdict(list)
    for one in found:
        groups[one.action_type, one.route, one.mode, one.enforced].append(one)
    rules: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for (action_type, mode, rule_id, says), count in hits.items():
        if says != "allow":
            rules[action_type, mode][rule_id] += count
    rows = []
    for (action_type, route, mode, is_enforced), figures in groups.items():
        side = sides(figures)[is_enforced]
        top = rules[action_type, mode].most_common(_RULES)
        rows.append(
            {
                "action_type": text(action_type, IN_A_LIST),
                "asked": action_type,
                "route": text(route, IN_A_LIST),
                "asked_route": route,
                "mode": word(mode),
                "asked_mode": mode,
                "enforced": is_enforced,
                "total": side.total,
                "rules": [(text(rule, IN_A_LIST), rule, count) for rule, count in top],
                **_rates(side),
            }
        )
    rows.sort(key=_busiest)
    return {"rows": rows[:_ROWS], "left_out": max(0, len(rows) - _ROWS)}


def _busiest(row: dict[str, Any]) -> tuple[Any, ...]:
    return -row["total"], row["action_type"], row["route"], row["mode"]


routes = [("/", "GET", show)]
