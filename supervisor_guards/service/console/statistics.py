"""The overview's arithmetic: sums of figures, shares with their intervals. No I/O, and nothing of pages."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

import msgspec

from supervisor_guards.embedded.figures import Figure

__all__ = ["ENFORCED", "OBSERVED", "Side", "interval", "sides", "spans_of"]

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


def spans_of(figures: Iterable[Figure], *, enforced: bool) -> dict[int, Counter[str]]:
    """The counts of each span of time: its first minute, and how many of each kind."""
    found: dict[int, Counter[str]] = defaultdict(Counter)
    for one in figures:
        if one.enforced is enforced:
            found[one.minute][kind_of(one)] += one.count
    return found


def kind_of(figure: Figure) -> str:
    """What became of it, or would have."""
    if not figure.enforced and figure.verdict in ("review", "deny"):
        return f"would-{figure.verdict}"
    return figure.verdict
