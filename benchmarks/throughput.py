"""Embedded, evaluated and persisted in one process: decisions a second, and what a busy application keeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any, Literal

from benchmarks import workload
from benchmarks.figures import Figure, median
from benchmarks.scale import Scale

_RULES = 100
_UNITS = 24_000
"""Units of work a second of the busy application while it isn't guarded; each makes one call. With 85 % of its
speed it makes a little more than 20,000."""


def figures(scale: Scale) -> Iterator[Figure]:
    """Decisions a second with nothing else to do, then beside an application that computes."""
    from supervisor_guards import supervised

    bare = workload.make_action()
    guarded = supervised(workload.ACTION)(bare)
    modes: tuple[Literal["shadow", "enforce"], ...] = ("shadow", "enforce")
    for mode in modes:
        with workload.guarded_in(mode, _RULES) as (guard, _):
            _drained(guard, guarded, scale.burst)
            rates = [_drained(guard, guarded, scale.burst) for _ in scale.in_time()]
        yield Figure(f"{mode}, 100 rules, evaluated and persisted", "/s", median(rates), goal=50_000, at_least=True)
    rows: list[float] = []
    kept: list[float] = []
    with workload.guarded_in("shadow", _RULES) as (guard, _):
        _drained(guard, guarded, scale.burst)
        size = _calibrated(bare)
        for _ in scale.in_time():
            alone, _ = _busy(bare, size, scale.busy_seconds, lambda: 0)
            beside, stored = _busy(guarded, size, scale.busy_seconds, lambda: guard.stats().decisions)
            workload.store_all(guard)
            rows.append(stored)
            kept.append(100 * beside / alone)
        dropped = guard.stats().dropped
    yield Figure(
        "rows stored beside a busy application",
        "/s",
        median(rows),
        goal=20_000,
        at_least=True,
        note=f"shadow, 100 rules; the busy thread itself makes the calls, {_UNITS:,} a second at full speed; "
        f"{dropped} dropped in all rounds",
    )
    yield Figure("speed the busy application keeps", "%", median(kept), goal=85, at_least=True)


def _drained(guard: Any, call: Callable[..., Any], calls: int) -> float:
    """Decisions a second from the first call until the last row is stored."""
    fields = workload.FIELDS
    started = time.perf_counter()
    for _ in range(calls):
        call(**fields)
    workload.store_all(guard)
    return calls / (time.perf_counter() - started)


def _busy(call: Callable[..., Any], size: int, seconds: float, stored: Callable[[], int]) -> tuple[float, float]:
    """Units a second of a thread that computes and makes one call a unit, and rows stored a second meanwhile."""
    fields, clock, numbers = workload.FIELDS, time.perf_counter, range(size)
    units, before = 0, stored()
    started = now = clock()
    while now - started < seconds:
        call(**fields)
        total = 0
        for number in numbers:
            total += number & 7
        units += 1
        now = clock()
    return units / (now - started), (stored() - before) / (now - started)


def _calibrated(call: Callable[..., Any]) -> int:
    """The size at which `_busy` makes `_UNITS` units a second with the bare function."""
    size = 1_000
    for _ in range(4):
        rate, _ = _busy(call, size, 0.1, lambda: 0)
        size = max(1, int(size * rate / _UNITS))
    return size
