"""Counts and latency histograms per minute, added up in memory before one upsert each."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from supervisor_guards import _histogram
from supervisor_guards._histogram import bucket_of
from supervisor_guards.embedded.rows import DecisionRow, Percentiles

MINUTE_US = 60_000_000

COUNT_KEYS = (
    "minute", "app_id", "action_type", "route", "mode", "enforced", "outcome", "would_have", "status",
)  # fmt: skip
RULE_KEYS = ("minute", "action_type", "mode", "rule_id", "verdict")
LATENCY_KEYS = ("minute", "action_type", "mode", "bucket")


def percentiles(histogram: Mapping[int, int]) -> Percentiles:
    """p50, p95 and p99 (nearest rank) of a histogram: bucket -> count."""
    return Percentiles(*_histogram.percentiles(histogram))


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
