"""What was judged, blocked and approved in a window: from sums per minute, never from the decisions themselves."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Table, and_, case, func, not_, select

from supervisor_guards.embedded.bundle import iso
from supervisor_guards.embedded.rollups import MINUTE_US, percentiles
from supervisor_guards.embedded.schema import counts
from supervisor_guards.service.principals import Principal
from supervisor_guards.service.reading import own
from supervisor_guards.service.schema import approvals, latencies

__all__ = ["WINDOWS", "Latency", "Summary", "summary"]

_HOUR_US = 3_600_000_000
WINDOWS = {"24h": 24 * _HOUR_US, "7d": 7 * 24 * _HOUR_US, "30d": 30 * 24 * _HOUR_US}
_REFUSED = ("deny", "review")


class Latency(msgspec.Struct, frozen=True):
    """What judging took, in milliseconds (nearest rank, within 1/32); null where nothing was judged."""

    p50: float | None
    p95: float | None
    p99: float | None
    samples: int


class Summary(msgspec.Struct, frozen=True):
    """The answer of `GET /v1/metrics/summary`. Only `total_evaluations` counts shadow and enforced ones together."""

    window: str
    since: str
    total_evaluations: int
    shadow_evaluations: int
    enforced_evaluations: int
    would_block_in_shadow: int
    actually_blocked: int
    """Enforced ones that were denied, or held for a review."""
    reviews: int
    blocks_later_approved_by_reviewer: int
    estimated_false_positive_rate: float
    """Of the blocks, the share that a reviewer approved; 0 where nothing was blocked."""
    latency_ms: Latency


def summary(held: Connection, window: str, caller: Principal, now_us: int | None = None) -> Summary:
    """The sums of `window`, as far as `caller` may see the actions. Its first minute counts whole."""
    now = time.time_ns() // 1_000 if now_us is None else now_us
    since = now - WINDOWS[window]
    row = held.execute(_counted(since, caller)).one()
    shadow, enforced, would, blocked, reviews = (int(value) for value in row)
    approved = int(held.execute(_of(approvals, select(_sum(approvals)), since, caller)).scalar_one())
    buckets = _of(latencies, select(latencies.c.bucket, _sum(latencies)), since, caller).group_by(latencies.c.bucket)
    found: Sequence[Any] = held.execute(buckets).all()
    taken = percentiles({bucket: int(count) for bucket, count in found})
    return Summary(
        window=window,
        since=iso(since),
        total_evaluations=shadow + enforced,
        shadow_evaluations=shadow,
        enforced_evaluations=enforced,
        would_block_in_shadow=would,
        actually_blocked=blocked,
        reviews=reviews,
        blocks_later_approved_by_reviewer=approved,
        estimated_false_positive_rate=round(approved / blocked, 4) if blocked else 0.0,
        latency_ms=Latency(_ms(taken.p50), _ms(taken.p95), _ms(taken.p99), taken.count),
    )


def _counted(since: int, caller: Principal) -> Any:
    c = counts.c

    def of(condition: Any) -> Any:
        return func.coalesce(func.sum(case((condition, c.count), else_=0)), 0)

    query = select(
        of(not_(c.enforced)),
        of(c.enforced),
        of(and_(not_(c.enforced), c.would_have.in_(_REFUSED))),
        of(and_(c.enforced, c.outcome.in_(_REFUSED))),
        of(and_(c.enforced, c.outcome == "review")),
    )
    return _of(counts, query, since, caller)


def _sum(table: Table) -> Any:
    return func.coalesce(func.sum(table.c.count), 0)


def _of(table: Table, query: Any, since: int, caller: Principal) -> Any:
    return query.where(table.c.minute >= since // MINUTE_US, *own(table, caller))


def _ms(microseconds: int | None) -> float | None:
    return None if microseconds is None else microseconds / 1_000
