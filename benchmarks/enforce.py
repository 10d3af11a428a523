"""Embedded enforce: 100 rules judged on the caller's thread, the row persisted in the background."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from benchmarks import published, workload
from benchmarks.figures import Figure, added, median, percentile
from benchmarks.scale import Scale

_RULES = 100


def figures(scale: Scale, versus: bool = True) -> Iterator[Figure]:
    """The embedded enforce rows; the one against the published package only with `versus`."""
    from supervisor_guards import supervised

    bare = workload.make_action()
    guarded = supervised(workload.ACTION)(bare)
    ours: tuple[list[list[int]], list[list[int]]] = [], []
    theirs: list[float] = []
    with contextlib.ExitStack() as stack:
        guard, _ = stack.enter_context(workload.guarded_in("enforce", _RULES))
        if versus:
            worker = stack.enter_context(published.worker("enforce"))
        workload.timed(guarded, scale.burst)
        workload.store_all(guard)
        for _ in scale.in_time():
            ours[0].append(workload.timed(guarded, scale.burst))
            workload.store_all(guard)
            ours[1].append(workload.timed(bare, scale.burst))
            if versus:
                with_, without = worker.round(scale.published_calls)
                theirs.append(percentile(with_, 50) - percentile(without, 50))
    own = added(*ours)
    yield Figure(
        "embedded enforce, 100 rules, added on the caller", "us", own / 1_000, added(*ours, 99) / 1_000, goal=10
    )
    if versus:
        yield Figure("published, added, enforce, instant server", "us", median(theirs) / 1_000)
        yield Figure("embedded enforce, times less than published", "x", median(theirs) / own, goal=100, at_least=True)
