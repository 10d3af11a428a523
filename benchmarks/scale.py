"""How much is measured: the whole run within four minutes, `--quick` within forty seconds."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Scale:
    """Rounds of each kind, and what one round holds."""

    rounds: int
    burst: int
    """Calls back to back in one round; fewer than the guard's queue holds, so none is dropped."""
    paced_seconds: float
    published_calls: int
    published_slow_calls: int
    busy_seconds: float
    seconds: float
    """One loop of rounds ends after this long, but not before its third round: a busy machine gets fewer."""

    log_rows: int
    """Decisions in the long log."""

    def in_time(self, share: float = 1) -> Iterator[int]:
        """The numbers of the rounds to run, within `share` times `seconds`."""
        until = time.monotonic() + share * self.seconds
        for number in range(self.rounds):
            if number >= 3 and time.monotonic() > until:
                return
            yield number


FULL = Scale(
    rounds=15,
    burst=4_000,
    paced_seconds=1.0,
    published_calls=200,
    published_slow_calls=10,
    busy_seconds=1.0,
    seconds=24,
    log_rows=1_000_000,
)
QUICK = Scale(
    rounds=3,
    burst=2_000,
    paced_seconds=0.4,
    published_calls=60,
    published_slow_calls=4,
    busy_seconds=0.5,
    seconds=4,
    log_rows=50_000,
)
