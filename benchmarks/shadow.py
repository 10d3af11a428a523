"""Shadow: what a guarded call adds on the caller's thread, and the same with the published package."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks import published, workload
from benchmarks.figures import Figure, added, median, percentile
from benchmarks.scale import Scale

PER_SECOND = 10_000
_RULES = 100


def figures(scale: Scale, versus: bool = True) -> Iterator[Figure]:
    """The shadow rows; those against the published package only with `versus`."""
    from supervisor_guards import supervised

    bare = workload.make_action()
    guarded = supervised(workload.ACTION)(bare)
    ours: tuple[list[list[int]], list[list[int]]] = [], []
    steady: tuple[list[list[int]], list[list[int]]] = [], []
    instant: list[float] = []
    slow: list[float] = []
    with contextlib.ExitStack() as stack:
        guard, _ = stack.enter_context(workload.guarded_in("shadow", _RULES))
        if versus:
            quick_worker = stack.enter_context(published.worker("shadow"))
            slow_worker = stack.enter_context(published.worker("shadow", 50))
        workload.timed(guarded, scale.burst)  # opens policy and store
        workload.store_all(guard)
        calls = int(PER_SECOND * scale.paced_seconds)
        for _ in scale.in_time(2.5):
            ours[0].append(workload.timed(guarded, scale.burst))
            workload.store_all(guard)
            ours[1].append(workload.timed(bare, scale.burst))
            if versus:
                instant.append(_published(quick_worker, scale.published_calls))
                slow.append(_published(slow_worker, scale.published_slow_calls))
            steady[0].append(workload.paced(guarded, calls, PER_SECOND))
            workload.store_all(guard)
            steady[1].append(workload.paced(bare, calls, PER_SECOND))
        dropped = guard.stats().dropped
    yield Figure(
        "shadow, added on the caller, back to back",
        "us",
        added(*ours) / 1_000,
        added(*ours, 99) / 1_000,
        goal=3,
    )
    yield Figure(
        "shadow, added on the caller, 10,000 calls/s",
        "us",
        added(*steady) / 1_000,
        added(*steady, 99) / 1_000,
        goal=25,
        judge="p99",
        note=f"{dropped} decisions dropped in all rounds",
    )
    if versus:
        own = added(*ours)
        yield Figure("published, added, shadow, instant server", "us", median(instant) / 1_000)
        yield Figure("published, added, shadow, server of 50 ms", "us", median(slow) / 1_000)
        yield Figure(
            "shadow, times less than published, instant server", "x", median(instant) / own, goal=200, at_least=True
        )
        yield Figure(
            "shadow, times less than published, server of 50 ms", "x", median(slow) / own, goal=10_000, at_least=True
        )


def _published(worker: published.Worker, calls: int) -> float:
    with_, without = worker.round(calls)
    return percentile(with_, 50) - percentile(without, 50)
