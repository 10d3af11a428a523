"""The overview's arithmetic: sums of figures, shares with their intervals. No I/O, and nothing of pages."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from supervisor_guards.embedded.figures import Figure, Span
from supervisor_guards.embedded.rollups import percentiles
from supervisor_guards.embedded.rows import Percentiles

__all__ = ["ENFORCED", "OBSERVED", "Side", "columns_of", "interval", "sides", "taken_by"]

OBSERVED = ("allow", "would-review", "would-deny", "unavailable", "unknown")
"""What may become of a call that is only observed, from the bottom of a bar up."""
ENFORCED = ("allow", "review", "deny", "unavailable", "unknown")
_95_PERCENT = 1.959964


class Side(msgspec.Struct, frozen=True):
    """Decisions that were all observed, or all enforced; never both."""

    enforced: bool
    counts: Counter[str]

    @property
    def total(self) -> int:
        """All decisions."""
        return self.counts.total()

    @property
    def judged(self) -> int:
        """Those with a verdict: a share of anything is a share of these."""
        return sum(self.counts[kind] for kind in ("allow", "review", "deny", "would-review", "would-deny"))

    @property
    def refused(self) -> int:
        """Those that were blocked, or would have been."""
        return self.judged - self.counts["allow"]

    @property
    def rate(self) -> float | None:
        """The share refused of those judged; None where none was."""
        return self.refused / self.judged if self.judged else None

    @property
    def between(self) -> tuple[float, float] | None:
        """The 95 % interval of `rate`."""
        return interval(self.refused, self.judged) if self.judged else None


def interval(hits: int, of: int) -> tuple[float, float]:
    """Wilson's score interval of a share at 95 % (Wilson 1927): it holds for few decisions and rare hits too."""
    z2 = _95_PERCENT**2
    share = hits / of
    middle = (share + z2 / (2 * of)) / (1 + z2 / of)
    half = _95_PERCENT / (1 + z2 / of) * math.sqrt(share * (1 - share) / of + z2 / (4 * of * of))
    return max(0.0, middle - half), min(1.0, middle + half)


def sides(figures: Iterable[Figure]) -> tuple[Side, Side]:
    """What was observed, and what was enforced."""
    counts: dict[bool, Counter[str]] = {False: Counter(), True: Counter()}
    for one in figures:
        counts[one.enforced][kind_of(one)] += one.count
    return Side(False, counts[False]), Side(True, counts[True])


def columns_of(spans: Iterable[Span], first: int, step: int, *, enforced: bool) -> dict[int, Counter[str]]:
    """The counts of each column of `step` minutes, from the minute `first` on: how many of each kind, by its minute."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for one in spans:
        column = first + (one.minute - first) // step * step
        for figure in one.figures:
            if figure.enforced is enforced:
                found[column][kind_of(figure)] += figure.count
    return found


def taken_by(spans: Iterable[Span], mode: str) -> Percentiles:
    """How long deciding took in a mode."""
    histogram: Counter[int] = Counter()
    for one in spans:
        for (in_mode, bucket), count in one.latencies.items():
            if in_mode == mode:
                histogram[bucket] += count
    return percentiles(histogram)


def kind_of(figure: Figure) -> str:
    """What became of it, or would have."""
    if not figure.enforced and figure.verdict in ("review", "deny"):
        return f"would-{figure.verdict}"
    return figure.verdict
