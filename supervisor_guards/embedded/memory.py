"""A store in this process alone: where no place can be written in shadow, and for tests."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import msgspec

from supervisor_guards import _sifting
from supervisor_guards._desk import Choices, DecisionQuery, Page, ReviewQuery
from supervisor_guards._model import Result, ReviewState
from supervisor_guards._records import priority_of
from supervisor_guards.embedded import transitions
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.figures import Span, spans_of
from supervisor_guards.embedded.rollups import (
    COUNT_KEYS,
    LATENCY_KEYS,
    MINUTE_US,
    RULE_KEYS,
    RollUps,
    percentiles,
)
from supervisor_guards.embedded.rows import (
    COLUMNS,
    DecisionRow,
    Percentiles,
    Review,
    RuleTotal,
    StoredDecision,
    Total,
    check_filters,
    check_groups,
    clean_text,
    now_us,
    replace,
    with_case,
)

__all__ = ["MemoryStore"]

_HOURS_KEPT = 24


class MemoryStore:
    """The last `capacity` decisions and reviews, lost when the process ends. Methods as those of `Store`.

    A review that is pending or approved outlives the ring: only those that are over make room. Roll-ups reach
    back a day.
    """

    def __init__(self, capacity: int = 10_000, *, clock: Callable[[], int] = now_us) -> None:
        if capacity < 1:
            raise ValueError(f"capacity {capacity}: at least 1")
        self._capacity = capacity
        self._clock = clock
        self._ids = itertools.count(1)
        self._decisions: dict[str, StoredDecision] = {}
        self._reviews: dict[str, Review] = {}
        self._results: dict[str, Result] = {}
        self._sums = RollUps.empty()
        self._swept = 0
        self._drops: list[tuple[int, int]] = []
        self._lock = threading.RLock()

    def write(
        self,
        rows: Sequence[DecisionRow],
        results: Sequence[tuple[str, Result]] = (),
        drops: int = 0,
        drop_reason: str = "queue-full",
    ) -> None:
        """Keep decisions, late results and a number of drops."""
        with self._lock:
            for row in rows:
                if row.action_id in self._decisions:
                    continue
                fields = {name: getattr(row, name) for name in COLUMNS}
                self._decisions[row.action_id] = StoredDecision(id=next(self._ids), **fields)
                self._sums.add((row,))
            for action_id, result in results:
                self._results.setdefault(action_id, result)
            if drops:
                self._drops = [*self._drops[-999:], (self._clock(), drops)]
            self._bound()

    def write_with_review(
        self, row: DecisionRow, expires_at: int, requester: str | None = None, *, same_since: int | None = None
    ) -> str:
        """Keep a decision and its pending review, its own or an open one of the same; the review's action id."""
        with self._lock:
            if row.action_id in self._decisions:
                return self._decisions[row.action_id].case_id or row.action_id
            for review in list(self._reviews.values()) if same_since is not None else ():
                if transitions.same(self._review(review.action_id), row, requester, same_since):
                    self.write([with_case(row, review.action_id)])
                    return review.action_id
            self._reviews[row.action_id] = Review(
                id=next(self._ids), action_id=row.action_id, app_id=row.app_id, created_at=row.time,
                expires_at=expires_at, status="pending", digest=row.digest, subject=row.subject, tenant=row.tenant,
                requester=requester, action_type=row.action_type, route=row.route, payload=row.payload,
                reasons=row.reasons, priority=priority_of(row.hits),
            )  # fmt: skip
            self.write([with_case(row, row.action_id)])
            return row.action_id

    def review(self, action_id: str) -> ReviewState:
        """Where the review stands. Raises `ReviewNotFound`."""
        return self.case(action_id).state

    def case(self, action_id: str) -> Review:
        """The whole review. Raises `ReviewNotFound`."""
        with self._lock:
            return self._review(action_id)

    def resolve(
        self,
        action_id: str,
        status: transitions.Resolution,
        approver: str,
        notes: str | None = None,
        *,
        valid_until: int | None = None,
    ) -> ReviewState:
        """Approve, reject or abandon a pending review. Raises `ReviewResolved`, `ReviewNotFound`."""
        transitions.check_resolution(status)
        with self._lock:
            review = self._review(action_id)
            if review.status != "pending":
                raise transitions.already(review)
            expires_at = review.expires_at if valid_until is None else valid_until
            approver, notes = clean_text(approver), None if notes is None else clean_text(notes)
            return self._put(
                review, status=status, approver=approver, notes=notes, resolved_at=self._clock(),
                expires_at=expires_at,
            )  # fmt: skip

    def redeem(self, action_id: str, claim: transitions.Claim) -> None:
        """Use up the approval, once. Raises `ApprovalUsed` or `ApprovalInvalid`."""
        with self._lock:
            now = self._clock()
            review = self._reviews.get(action_id)
            error = transitions.refusal(review, action_id, claim, now)
            if error is not None:
                raise error
            self._put(self._review(action_id), status="used", used_at=now)

    def mark_executed(self, action_id: str) -> ReviewState:
        """Note that the action ran without an approval. Raises `ReviewNotFound`."""
        with self._lock:
            review = self._review(action_id)
            if review.status in ("used", "executed"):
                return review.state
            return self._put(review, status="executed", used_at=self._clock())

    def reviews(
        self, status: str | None = None, limit: int = 100, before: int | None = None, after: int | None = None
    ) -> list[Review]:
        """Reviews, newest first; with `after`, oldest first."""
        with self._lock:
            found = [self._review(action_id) for action_id in list(self._reviews)]
            wanted = (
                review
                for review in (found if after is not None else reversed(found))
                if (status is None or review.status == status)
                and (before is None or review.id < before)
                and (after is None or review.id > after)
            )
            return list(itertools.islice(wanted, limit))

    def waiting(self) -> int:
        """How many reviews are pending."""
        return len(self.reviews("pending", self._capacity * 2))

    def reviews_named(self, prefix: str, limit: int = 100) -> list[Review]:
        """Reviews whose action id begins with `prefix`."""
        with self._lock:
            named = sorted(action_id for action_id in self._reviews if action_id.startswith(prefix))
            return [self._review(action_id) for action_id in named[:limit]]

    def decision(self, action_id: str) -> StoredDecision | None:
        """The decision on an action; None where there is none, or none any more."""
        with self._lock:
            row = self._decisions.get(action_id)
            return None if row is None else self._with_result(row)

    def decisions(
        self,
        limit: int = 100,
        before: int | None = None,
        after: int | None = None,
        *,
        rule: str | None = None,
        **filters: Any,
    ) -> list[StoredDecision]:
        """A page of decisions, newest first; with `after`, oldest first."""
        check_filters(filters)
        wanted = {name: value for name, value in filters.items() if value is not None}
        with self._lock:
            rows = list(self._decisions.values())
            found = (
                self._with_result(row)
                for row in (rows if after is not None else reversed(rows))
                if (before is None or row.id < before)
                and (after is None or row.id > after)
                and (rule is None or rule in row.rule_ids)
                and all(getattr(row, name) == value for name, value in wanted.items())
            )
            return list(itertools.islice(found, limit))

    def find_decisions(self, query: DecisionQuery, limit: int, cursor: int | None) -> Page[StoredDecision]:
        """A page of what `query` finds, newest first."""
        with self._lock:
            return _sifting.page(
                [self._with_result(row) for row in self._decisions.values()], query, limit, cursor, False
            )

    def find_reviews(
        self, query: ReviewQuery, limit: int, cursor: int | None, oldest_first: bool = False
    ) -> Page[Review]:
        """A page of what `query` finds, newest first unless `oldest_first`."""
        with self._lock:
            found = [self._review(action_id) for action_id in list(self._reviews)]
        return _sifting.page(found, query, limit, cursor, oldest_first)

    def queue(self, query: ReviewQuery, limit: int, cursor: int | None) -> Page[Review]:
        """A page of the pending reviews that `query` finds, the highest priority first, then the oldest."""
        with self._lock:
            found = [self._review(action_id) for action_id in list(self._reviews)]
        return _sifting.queue(found, query, limit, cursor)

    def choices(self) -> Choices:
        """What decisions can be filtered by, of the last day."""
        with self._lock:
            kinds, rules = list(self._sums.counts), list(self._sums.rules)
        return Choices(
            tuple(sorted({key[2] for key in kinds})),
            tuple(sorted({key[3] for key in kinds} - {""})),
            tuple(sorted({key[3] for key in rules})),
        )

    def span(self) -> tuple[int, int] | None:
        """When the first and the last stored decision were made; None where there is none."""
        with self._lock:
            times = [row.time for row in self._decisions.values()]
        return (min(times), max(times)) if times else None

    def recorded(self, windows: Sequence[tuple[int, int]]) -> list[bool]:
        """Of each window (from, before) whether decisions of it are stored."""
        with self._lock:
            times = [row.time for row in self._decisions.values()]
        return [any(since <= time < until for time in times) for since, until in windows]

    def totals(self, since: int, by: Sequence[str] = ("action_type", "mode")) -> list[Total]:
        """Counts from the minute of `since` on."""
        check_groups(by)
        groups: dict[tuple[Any, ...], Counter[str]] = {} if by else {(): Counter()}
        for key, count in self._since(self._sums.counts, since):
            named: dict[str, Any] = dict(zip(COUNT_KEYS, key, strict=True))
            enforced = named["enforced"]
            verdict = named["outcome"] if enforced else named["would_have"]
            sums = groups.setdefault(tuple(named[name] for name in by), Counter())
            sums["decisions"] += count
            sums["blocked"] += count * (enforced and verdict in ("review", "deny"))
            sums["would_block"] += count * (not enforced and verdict in ("review", "deny"))
            sums["review"] += count * (verdict == "review")
            sums["unavailable"] += count * (named["status"] == "unavailable")
            sums["unknown"] += count * (named["status"] == "unknown")
        names = ("decisions", "blocked", "would_block", "review", "unavailable", "unknown")
        return [
            Total(**{**dict(zip(by, group, strict=True)), **{name: groups[group][name] for name in names}})
            for group in sorted(groups)
        ]

    def spans(self, first: int, until: int, step: int) -> list[Span]:
        """The roll-ups by spans of `step` minutes, from the minute `first` to before `until`."""
        with self._lock:
            sums = [
                [(dict(zip(keys, key, strict=True)), count) for key, count in found.items()]
                for keys, found in (
                    (COUNT_KEYS, self._sums.counts),
                    (RULE_KEYS, self._sums.rules),
                    (LATENCY_KEYS, self._sums.latencies),
                )
            ]
        return spans_of(sums[0], sums[1], sums[2], first, until, step)

    def rule_totals(self, since: int, action_type: str | None = None) -> list[RuleTotal]:
        """Hits by rule, most first."""
        sums: Counter[tuple[Any, ...]] = Counter()
        for key, count in self._since(self._sums.rules, since):
            if action_type in (None, key[1]):
                sums[key[1:]] += count
        ordered = sorted(sums.items(), key=lambda item: (-item[1], item[0]))
        return [RuleTotal(kind, mode, rule, verdict, n) for (kind, mode, rule, verdict), n in ordered]

    def latency(self, since: int, action_type: str | None = None, mode: str | None = None) -> Percentiles:
        """Percentiles of the time to decide."""
        histogram: Counter[int] = Counter()
        for (_, kind, in_mode, bucket), count in self._since(self._sums.latencies, since):
            if action_type in (None, kind) and mode in (None, in_mode):
                histogram[bucket] += count
        return percentiles(histogram)

    def dropped(self, since: int) -> int:
        """How many decisions were dropped since."""
        with self._lock:
            return sum(count for time, count in self._drops if time >= since)

    def purge(self, before: int, batch: int = 1000) -> int:
        """Forget decisions older than `before`, and reviews that are over. Returns the rows."""
        with self._lock:
            settled = [self._review(action_id) for action_id in list(self._reviews)]
            waiting = {review.action_id for review in settled if review.status in transitions.OPEN}
            old = [
                row.action_id for row in self._decisions.values() if row.time < before and row.case_id not in waiting
            ]
            over = [
                review.action_id
                for review in settled
                if review.created_at < before and review.status in transitions.FINAL
            ]
            for action_id in old:
                del self._decisions[action_id]
                self._results.pop(action_id, None)
            for action_id in over:
                del self._reviews[action_id]
            return len(old) + len(over)

    def purge_some(self, before: int, batch: int = 1000) -> int:
        """`purge`."""
        return self.purge(before, batch)

    def authentic(self, action_id: str) -> bool:
        """Whether there is a decision: nobody else can write here."""
        return action_id in self._decisions

    def anchor(self) -> None:
        """None: nothing here is evidence."""

    def close(self) -> None:
        """Nothing to release."""

    def _review(self, action_id: str) -> Review:
        review = self._reviews.get(action_id)
        if review is None:
            raise ReviewNotFound(action_id)
        settled = transitions.settled(review, self._clock())
        self._reviews[action_id] = settled
        return settled

    def _put(self, review: Review, **changes: Any) -> ReviewState:
        self._reviews[review.action_id] = changed = replace(review, **changes)
        return changed.state

    def _with_result(self, row: StoredDecision) -> StoredDecision:
        late = self._results.get(row.action_id)
        return row if late is None or row.result is not None else msgspec.structs.replace(row, result=late)

    def _since(self, sums: Counter[tuple[Any, ...]], since: int) -> Iterable[tuple[tuple[Any, ...], int]]:
        with self._lock:
            return [(key, count) for key, count in sums.items() if key[0] >= since // MINUTE_US]

    def _bound(self) -> None:
        while len(self._decisions) > self._capacity:
            self._results.pop(oldest := next(iter(self._decisions)), None)
            del self._decisions[oldest]
        while len(self._results) > self._capacity:
            del self._results[next(iter(self._results))]
        if len(self._reviews) > self._capacity:
            for review in [self._review(action_id) for action_id in list(self._reviews)]:
                if len(self._reviews) > self._capacity and review.status in transitions.FINAL:
                    del self._reviews[review.action_id]
        minute = self._clock() // MINUTE_US
        if minute != self._swept:
            self._swept = minute
            for sums in (self._sums.counts, self._sums.rules, self._sums.latencies):
                for key in [key for key in sums if key[0] < minute - _HOURS_KEPT * 60]:
                    del sums[key]
