"""Counts for charts and tables, from the roll-ups: what was observed and what was enforced stay apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, func, select

from supervisor_guards.embedded.rollups import MINUTE_US
from supervisor_guards.embedded.schema import counts

__all__ = ["Figure", "figures", "figures_of"]

Shown = Literal["allow", "review", "deny", "unavailable", "unknown"]


class Figure(msgspec.Struct, frozen=True):
    """How many decisions of one kind fall into one span of time."""

    minute: int
    """Where the span begins, in minutes since the epoch."""
    action_type: str
    route: str
    """An empty text where there is none."""
    mode: str
    enforced: bool
    verdict: Shown
    """What the caller got where it was enforced, else what enforce would have answered."""
    count: int


def figures(connection: Connection, since: int, step: int) -> list[Figure]:
    """From the span of `since` on, spans of `step` minutes that begin at its multiples; one pass over the roll-ups."""
    c = counts.c
    span = (c.minute - c.minute % step).label("span")
    keys = (span, c.action_type, c.route, c.mode, c.enforced, c.outcome, c.would_have, c.status)
    query = select(*keys, func.sum(c.count).label("count")).where(c.minute >= _first(since, step)).group_by(*keys)
    return _figures((dict(row), int(row["count"])) for row in connection.execute(query).mappings())


def figures_of(sums: Iterable[tuple[Mapping[str, Any], int]], since: int, step: int) -> list[Figure]:
    """`figures` of roll-ups in memory: each its columns, and the count."""
    first = _first(since, step)
    return _figures(
        ({**row, "span": row["minute"] - row["minute"] % step}, count) for row, count in sums if row["minute"] >= first
    )


def _first(since: int, step: int) -> int:
    minute = since // MINUTE_US
    return minute - minute % step


def _figures(rows: Iterable[tuple[Mapping[str, Any], int]]) -> list[Figure]:
    sums: Counter[tuple[Any, ...]] = Counter()
    for row, count in rows:
        verdict = row["status"]
        if verdict == "evaluated":
            verdict = row["outcome"] if row["enforced"] else row["would_have"] or "unknown"
        key = (row["span"], row["action_type"], row["route"], row["mode"], bool(row["enforced"]), verdict)
        sums[key] += count
    return [
        Figure(minute, action_type, route, mode, enforced, verdict, count)
        for (minute, action_type, route, mode, enforced, verdict), count in sorted(sums.items())
    ]
