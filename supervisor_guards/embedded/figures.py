"""Counts for charts and tables, from the roll-ups: what was observed and what was enforced stay apart."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, Table, func, select

from supervisor_guards.embedded.schema import counts, latencies, rule_counts

__all__ = ["Figure", "Span", "spans", "spans_of"]

Shown = Literal["allow", "review", "deny", "unavailable", "unknown"]
Sums = Iterable[tuple[Mapping[Any, Any], int]]
"""Columns of roll-ups, and their count."""


class Figure(msgspec.Struct, frozen=True):
    """How many decisions of one kind fall into a span of time."""

    action_type: str
    route: str
    """An empty text where there is none."""
    mode: str
    enforced: bool
    verdict: Shown
    """What the caller got where it was enforced, else what enforce would have answered."""
    count: int


class Span(msgspec.Struct, frozen=True):
    """What the roll-ups hold of a span of time that begins at `minute` (since the epoch)."""

    minute: int
    figures: tuple[Figure, ...] = ()
    rules: Mapping[tuple[str, str, str, str], int] = {}
    """Hits by action type, mode, rule id and what the rule says."""
    latencies: Mapping[tuple[str, int], int] = {}
    """Decisions by mode and bucket of the histogram."""


def spans(connection: Connection, first: int, until: int, step: int) -> list[Span]:
    """The spans of `step` minutes from the minute `first`, a multiple of it, to before `until`; without empty ones."""

    def of(table: Table, *names: str) -> Sums:
        minute = table.c.minute
        keys = ((minute - minute % step).label("span"), *(table.c[name] for name in names))
        query = select(*keys, func.sum(table.c.count).label("count")).where(minute >= first, minute < until)
        return [(dict(row), int(row["count"])) for row in connection.execute(query.group_by(*keys)).mappings()]

    return _spans(
        of(counts, "action_type", "route", "mode", "enforced", "outcome", "would_have", "status"),
        of(rule_counts, "action_type", "mode", "rule_id", "verdict"),
        of(latencies, "mode", "bucket"),
    )


def spans_of(in_counts: Sums, in_rules: Sums, in_latencies: Sums, first: int, until: int, step: int) -> list[Span]:
    """`spans` of roll-ups in memory."""

    def of(sums: Sums) -> Sums:
        return [
            ({**row, "span": row["minute"] - row["minute"] % step}, count)
            for row, count in sums
            if first <= row["minute"] < until
        ]

    return _spans(of(in_counts), of(in_rules), of(in_latencies))


def _spans(in_counts: Sums, in_rules: Sums, in_latencies: Sums) -> list[Span]:
    figures: dict[int, Counter[tuple[Any, ...]]] = {}
    for row, count in in_counts:
        verdict = row["status"]
        if verdict == "evaluated":
            verdict = row["outcome"] if row["enforced"] else row["would_have"] or "unknown"
        key = (row["action_type"], row["route"], row["mode"], bool(row["enforced"]), verdict)
        figures.setdefault(row["span"], Counter())[key] += count
    rules: dict[int, Counter[tuple[str, str, str, str]]] = {}
    for row, count in in_rules:
        hit = (row["action_type"], row["mode"], row["rule_id"], row["verdict"])
        rules.setdefault(row["span"], Counter())[hit] += count
    taken: dict[int, Counter[tuple[str, int]]] = {}
    for row, count in in_latencies:
        taken.setdefault(row["span"], Counter())[row["mode"], row["bucket"]] += count
    return [
        Span(
            minute,
            tuple(
                Figure(action_type, route, mode, enforced, verdict, count)
                for (action_type, route, mode, enforced, verdict), count in figures.get(minute, Counter()).items()
            ),
            rules.get(minute, {}),
            taken.get(minute, {}),
        )
        for minute in sorted({*figures, *rules, *taken})
    ]
