"""Counts and latency histograms per minute, added up in memory before one upsert each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from supervisor_guards.embedded.rows import DecisionRow, Percentiles

MINUTE_US = 60_000_000

# A histogram with 16 buckets to each power of two: a bucket is at most 1/16 of its value wide.
_SUB_BITS = 4
_SUB = 1 << _SUB_BITS

COUNT_KEYS = (
    "minute", "app_id", "action_type", "route", "mode", "enforced", "outcome", "would_have", "status",
)  # fmt: skip
RULE_KEYS = ("minute", "action_type", "mode", "rule_id", "verdict")
LATENCY_KEYS = ("minute", "action_type", "mode", "bucket")


def bucket_of(latency_us: int) -> int:
    """The histogram bucket of a latency in microseconds; below 16 each value has its own."""
    value = max(latency_us, 0)
    shift = max(value.bit_length() - _SUB_BITS - 1, 0)
    return shift * _SUB + (value >> shift)


def middle_of(bucket: int) -> int:
    """The middle of a bucket, in microseconds: at most 1/32 away from any value in it."""
    if bucket < 2 * _SUB:
        return bucket
    shift = bucket // _SUB - 1
    return ((bucket - shift * _SUB) << shift) + (1 << shift >> 1)


def percentiles(histogram: Mapping[int, int]) -> Percentiles:
    """p50, p95 and p99 (nearest rank) of a histogram: bucket -> count."""
    total = sum(histogram.values())
    wanted = [-(-total * percent // 100) for percent in (50, 95, 99)]
    found: list[int | None] = []
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        while len(found) < 3 and seen >= wanted[len(found)] > 0:
            found.append(middle_of(bucket))
    found += [None] * (3 - len(found))
    return Percentiles(found[0], found[1], found[2], total)


class RollUps(msgspec.Struct):
    """The sums of some decisions. Keys are in the order of `COUNT_KEYS`, `RULE_KEYS`, `LATENCY_KEYS`."""

    counts: Counter[tuple[Any, ...]]
    rules: Counter[tuple[Any, ...]]
    latencies: Counter[tuple[Any, ...]]

    @classmethod
    def empty(cls) -> RollUps:
        return cls(Counter(), Counter(), Counter())

    def add(self, rows: Iterable[DecisionRow]) -> None:
        """Count `rows` in. An unknown decision took no time worth a percentile, so it has no latency."""
        counts, rules, latencies = self.counts, self.rules, self.latencies
        for row in rows:
            minute = row.time // MINUTE_US
            action_type, mode = row.action_type, row.mode
            counts[
                minute, row.app_id, action_type, row.route or "", mode, row.enforced, row.outcome,
                row.would_have or "", row.status,
            ] += 1  # fmt: skip
            for hit in row.hits:
                rules[minute, action_type, mode, hit.rule_id, hit.action] += 1
            if row.status != "unknown":
                latencies[minute, action_type, mode, bucket_of(row.latency_us)] += 1

    def records(self) -> dict[str, list[dict[str, Any]]]:
        """Rows by table name."""
        return {
            "sg_counts": _records(COUNT_KEYS, self.counts),
            "sg_rule_counts": _records(RULE_KEYS, self.rules),
            "sg_latencies": _records(LATENCY_KEYS, self.latencies),
        }


def _records(keys: Sequence[str], sums: Mapping[tuple[Any, ...], int]) -> list[dict[str, Any]]:
    return [{**dict(zip(keys, key, strict=True)), "count": count} for key, count in sums.items()]
