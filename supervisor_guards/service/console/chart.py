"""Stacked bars over time, as the shapes of an SVG and the rows of the table behind it. Geometry alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

__all__ = ["Bar", "Chart", "stacked"]

WIDTH, HEIGHT = 720, 180
_LEFT, _BOTTOM, _TOP = 44, 20, 8
_MINUTE_US = 60_000_000
_LABELS = 6


class Bar(msgspec.Struct, frozen=True):
    """A part of a column, in the units of the drawing."""

    kind: str
    x: float
    y: float
    width: float
    height: float


class Chart(msgspec.Struct, frozen=True):
    """A drawing `WIDTH` x `HEIGHT`. `lines` are (y, number), `labels` (x, microseconds); `rows` are the table."""

    bars: tuple[Bar, ...]
    lines: tuple[tuple[float, int], ...]
    labels: tuple[tuple[float, int], ...]
    rows: tuple[tuple[int, Mapping[str, int]], ...]
    kinds: tuple[str, ...]
    total: int

    def values(self) -> dict[str, Any]:
        """For the template."""
        return {**msgspec.structs.asdict(self), "width": WIDTH, "height": HEIGHT, "left": _LEFT}


def stacked(spans: Mapping[int, Counter[str]], kinds: Sequence[str], first: int, step: int, columns: int) -> Chart:
    """`spans` (first minute -> counts) from the minute `first` on, as `columns` columns of `step` minutes."""
    highest = max((sum(counts.values()) for counts in spans.values()), default=0)
    top = _round_up(highest)
    tall, wide = HEIGHT - _BOTTOM - _TOP, (WIDTH - _LEFT) / columns
    bars, labels, rows = [], [], []
    for column in range(columns):
        minute = first + column * step
        counts = spans.get(minute, Counter())
        x, y = _LEFT + column * wide, float(HEIGHT - _BOTTOM)
        for kind in kinds:
            height = counts[kind] / top * tall if top else 0.0
            if height:
                y -= height
                bars.append(Bar(kind, round(x + 0.5, 2), round(y, 2), round(max(wide - 1, 1), 2), round(height, 2)))
        if column % max(1, columns // _LABELS) == 0:
            labels.append((round(x + wide / 2, 2), minute * _MINUTE_US))
        if counts:
            rows.append((minute * _MINUTE_US, {kind: counts[kind] for kind in kinds}))
    lines = tuple((round(HEIGHT - _BOTTOM - tall * part, 2), int(top * part)) for part in (0, 0.5, 1)) if top else ()
    total = sum(sum(counts.values()) for counts in spans.values())
    return Chart(tuple(bars), lines, tuple(labels), tuple(rows), tuple(kinds), total)


def _round_up(value: int) -> int:
    """The next round number, which half of is whole: where the axis ends."""
    if value <= 0:
        return 0
    size = int(10 ** (len(str(value)) - 1))
    if size == 1:
        return value + value % 2
    return next(end for end in (size * n for n in (1, 2, 4, 6, 8, 10)) if end >= value)
