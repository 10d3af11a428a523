"""What a guard counts. The caller's thread adds a number here and there; the background thread does the sums."""

from __future__ import annotations

import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, Protocol, runtime_checkable

import msgspec

from supervisor_guards._histogram import bucket_of, middle_of, percentiles
from supervisor_guards._model import Entry, Supervisor

BreakerState = Literal["closed", "half-open", "open"]

OTHER = "(other)"
"""Stands for the action types past the first `TYPES_LIMIT`."""
TYPES_LIMIT = 1_000
_WAITS_LIMIT = 100_000


@runtime_checkable
class HasBreaker(Protocol):
    """What a `Supervisor` may offer besides: a circuit breaker, which stops asking while every answer fails."""

    @property
    def breaker(self) -> BreakerState:
        """`closed` (asks), `open` (doesn't), or `half-open` (asks once, to see)."""
        ...


def breaker_of(supervisor: Supervisor) -> BreakerState:
    """The state of `supervisor`'s breaker; `closed` for one that has none."""
    return supervisor.breaker if isinstance(supervisor, HasBreaker) else "closed"


class Latency(msgspec.Struct, frozen=True):
    """How long callers of enforced calls waited, in microseconds, a wait for a person included.

    Counted from the payload's snapshot to the answer, in a log-linear histogram: each figure is within 1/32 of
    the true one. The percentiles (nearest rank) are None while `count` is 0.
    """

    p50: int | None
    p95: int | None
    p99: int | None
    count: int
    buckets: Mapping[int, int]
    """The histogram: a bucket's middle in microseconds -> how many calls."""


class Stats(msgspec.Struct, frozen=True):
    """Counts since the guard was made, in this process: a forked child begins at zero."""

    decisions: int
    """Decisions that the background thread took in hand; those still queued are in `waiting`."""
    refused: int
    """Enforced calls that did not run."""
    unavailable: int
    """Enforced calls that ran without a verdict (`on_unavailable="fail_open"`)."""
    lost: int
    """Shadow calls that could not be recorded through a fault of this package."""
    dropped: int
    """Decisions that are in no record: the queue was full, or the store failed."""
    unheard: int
    """Enforced decisions that are stored and that no hook heard of, because the queue was full. They are in
    none of `decisions`, `by_outcome`, `by_would_have` and `by_action_type`."""
    waiting: int
    """Items in the queue now."""
    hook_errors: int
    """How often a hook raised."""
    lookup_errors: int
    """How often it could not be found out how a review stands, to tell hooks of its end."""
    by_outcome: Mapping[str, int]
    """Decisions by what the caller got: `allow`, `review` (held, whatever came of it), `deny`. Shadow calls
    always get `allow`."""
    by_would_have: Mapping[str, int]
    """Calls that were only observed, by what enforce would have answered: `allow`, `review`, `deny`, `unknown`."""
    by_action_type: Mapping[str, int]
    """Decisions by action type: the first 1,000 types, the rest under `(other)`."""
    breaker: BreakerState
    """The supervisor's circuit breaker; always `closed` for one that has none, as the embedded one."""
    latency: Latency


class Tally:
    """Counts for `Stats`. The four plain numbers and `waited` belong to callers, the rest to the background thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin at zero: for a forked child, whose lock may be held by a thread that it doesn't have."""
        self.refused = self.unavailable = self.lost = self.unheard = 0
        self._lock = threading.Lock()
        self._decisions = 0
        self._outcomes: Counter[str] = Counter()
        self._would_have: Counter[str] = Counter()
        self._types: Counter[str] = Counter()
        self._histogram: Counter[int] = Counter()
        # Appending costs a caller 30 ns and needs no lock. The bound is for a background thread that is held up.
        self._waits: deque[int] = deque(maxlen=_WAITS_LIMIT)
        self.waited: Callable[[int], None] = self._waits.append
        """Takes how long an enforced call waited, in microseconds."""

    def count(self, entries: Iterable[Entry]) -> None:
        """Count decided entries."""
        with self._lock:
            for entry in entries:
                self._decisions += 1
                self._outcomes[entry.outcome.value] += 1
                action = entry.action
                if not action.enforced:
                    known = entry.verdict is not None and entry.status == "evaluated"
                    self._would_have[entry.verdict.outcome.value if entry.verdict and known else "unknown"] += 1
                kind = action.action_type
                self._types[kind if kind in self._types or len(self._types) < TYPES_LIMIT else OTHER] += 1
            self._fold()

    def stats(
        self, *, dropped: int, waiting: int, hook_errors: int, lookup_errors: int, breaker: BreakerState
    ) -> Stats:
        """What was counted so far, and the figures that others keep."""
        with self._lock:
            self._fold()
            return Stats(
                decisions=self._decisions,
                refused=self.refused,
                unavailable=self.unavailable,
                lost=self.lost,
                dropped=dropped,
                unheard=self.unheard,
                waiting=waiting,
                hook_errors=hook_errors,
                lookup_errors=lookup_errors,
                by_outcome=dict(self._outcomes),
                by_would_have=dict(self._would_have),
                by_action_type=dict(self._types),
                breaker=breaker,
                latency=Latency(
                    *percentiles(self._histogram),
                    buckets={middle_of(bucket): self._histogram[bucket] for bucket in sorted(self._histogram)},
                ),
            )

    def _fold(self) -> None:
        waits, histogram = self._waits, self._histogram
        while waits:
            histogram[bucket_of(waits.popleft())] += 1
