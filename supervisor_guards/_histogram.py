"""A log-linear histogram of microseconds: counts by bucket, and percentiles of them. Arithmetic alone."""

from __future__ import annotations

from collections.abc import Mapping

# 16 buckets to each power of two: a bucket is at most 1/16 of its value wide.
_SUB_BITS = 4
_SUB = 1 << _SUB_BITS


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


def percentiles(histogram: Mapping[int, int]) -> tuple[int | None, int | None, int | None, int]:
    """p50, p95, p99 (nearest rank, microseconds) and the total of a histogram: bucket -> count.

    The percentiles of an empty one are None.
    """
    total = sum(histogram.values())
    wanted = [-(-total * percent // 100) for percent in (50, 95, 99)]
    found: list[int | None] = []
    seen = 0
    for bucket in sorted(histogram):
        seen += histogram[bucket]
        while len(found) < 3 and seen >= wanted[len(found)] > 0:
            found.append(middle_of(bucket))
    found += [None] * (3 - len(found))
    return found[0], found[1], found[2], total
