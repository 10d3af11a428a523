"""The decision log and review queue on SQLite or PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, insert
from sqlalchemy.exc import DBAPIError

from supervisor_guards._model import Result, ReviewState
from supervisor_guards.embedded import queries, reviews, transitions
from supervisor_guards.embedded.connections import Connections
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.rollups import RollUps
from supervisor_guards.embedded.rows import (
    DecisionRow,
    Percentiles,
    Review,
    RuleTotal,
    StoredDecision,
    Total,
    as_json,
    check_filters,
    check_groups,
    clean,
    clean_text,
    now_us,
    parameters,
)
from supervisor_guards.embedded.schema import reviews as review_table

__all__ = ["Store"]

T = TypeVar("T")


class Store:
    """Decisions, reviews and roll-ups in one database, shared by threads, forked children and processes.

    `url` is `sqlite:///PATH` or `postgresql://...`; `clock` gives microseconds since the epoch. All times
    are in that unit. What a method wrote is committed when it returns. Every method raises
    `StoreUnavailable` when the database fails it.
    """

    def __init__(self, url: str, *, clock: Callable[[], int] = now_us) -> None:
        self._clock = clock
        self._connections = Connections(url)
        self._driver = self._connections.driver

    # Writing

    def write(
        self,
        rows: Sequence[DecisionRow],
        results: Sequence[tuple[str, Result]] = (),
        drops: int = 0,
        drop_reason: str = "queue-full",
    ) -> None:
        """Store decisions, results that came after their rows, and a number of dropped decisions.

        One transaction. A row or result whose action id is stored already changes nothing.
        """
        if rows or results or drops:
            self._connections.write(lambda held: self._insert(held, rows, results, drops, drop_reason))

    def write_with_review(self, row: DecisionRow, expires_at: int, requester: str | None = None) -> None:
        """Store a decision and its pending review, both or none. A repeated action id changes nothing."""

        def work(held: Connection) -> None:
            def both(row: DecisionRow) -> None:
                with self._driver.begin(held):
                    if queries.known(held, [row.action_id]):
                        return
                    who = clean_text(requester) if requester is not None else None
                    held.execute(insert(review_table), transitions.opened(row, expires_at, who))
                    self._insert_batch(held, [row], (), 0, "")

            try:
                both(row)
            except (*self._driver.TEXT, DBAPIError) as error:
                if isinstance(error, DBAPIError) and not isinstance(error.orig, self._driver.TEXT):
                    raise
                both(clean(row))

        self._connections.write(work)

    def _insert(
        self,
        held: Connection,
        rows: Sequence[DecisionRow],
        results: Sequence[tuple[str, Result]],
        drops: int,
        drop_reason: str,
    ) -> None:
        cleaned = False
        while True:
            try:
                with self._driver.batch(held):
                    self._insert_batch(held, rows, results, drops, drop_reason)
                return
            except self._driver.TEXT:
                if cleaned:
                    raise
                cleaned = True
                rows = [clean(row) for row in rows]
                results = [(clean_text(action_id), result) for action_id, result in results]
            except self._driver.DUPLICATE:
                with self._driver.begin(held):
                    known = queries.known(held, [row.action_id for row in rows])
                fresh = {row.action_id: row for row in reversed(rows) if row.action_id not in known}
                if len(fresh) == len(rows):
                    raise
                rows = list(reversed(fresh.values()))

    def _insert_batch(
        self,
        held: Connection,
        rows: Sequence[DecisionRow],
        results: Sequence[tuple[str, Result]],
        drops: int,
        drop_reason: str,
    ) -> None:
        sums = RollUps.empty()
        sums.add(rows)
        beside: dict[str, list[dict[str, Any]]] = sums.records()
        now = self._clock()
        if results:
            first = dict(reversed(results))
            beside["sg_results"] = [
                {"action_id": action_id, "result": result, "time": now} for action_id, result in first.items()
            ]
        if drops:
            beside["sg_drops"] = [{"time": now, "count": drops, "reason": drop_reason}]
        tables = {name for name, records in beside.items() if records}
        self._driver.write(held, [parameters(row) for row in rows], as_json(beside), tables)

    # Reviews

    def review(self, action_id: str) -> ReviewState:
        """Where the review stands; one that nobody decided in time is expired. Raises `ReviewNotFound`."""
        return self.case(action_id).state

    def case(self, action_id: str) -> Review:
        """The whole review. Raises `ReviewNotFound`."""
        now = self._clock()
        with self._connections.reading() as held:
            found = reviews.find(held, action_id)
        if found is None:
            raise ReviewNotFound(action_id)
        if transitions.lapsed(found, now):
            self._transact(lambda held: reviews.expire(held, now, action_id))
            with self._connections.reading() as held:
                found = reviews.find(held, action_id) or found
        return found

    def resolve(
        self,
        action_id: str,
        status: transitions.Resolution,
        approver: str,
        notes: str | None = None,
        *,
        valid_until: int | None = None,
    ) -> ReviewState:
        """Approve, reject or abandon a pending review. An approval is good until `valid_until`, else until
        the review's own `expires_at`.

        Raises `ReviewResolved` for who comes second, `ReviewNotFound`, and `ValueError` for another status.
        """
        transitions.check_resolution(status)
        now = self._clock()
        return self._transact(
            lambda held: reviews.resolve(held, action_id, status, approver, notes, now, valid_until)
        ).state

    def redeem(self, action_id: str, digest: str, subject: str | None) -> None:
        """Use up the approval, once, for this content and subject.

        Raises `ApprovalUsed` (reason `used` or `already-executed`) or `ApprovalInvalid` (`not-found`,
        `other-subject`, `other-content`, `pending`, `rejected`, `expired`, `abandoned`).
        """
        now = self._clock()
        self._transact(lambda held: reviews.redeem(held, action_id, digest, subject, now))

    def mark_executed(self, action_id: str) -> ReviewState:
        """Note that the action ran without an approval (`fail_open`): nothing is left to redeem.

        Raises `ReviewNotFound`.
        """
        now = self._clock()
        return self._transact(lambda held: reviews.mark_executed(held, action_id, now)).state

    def reviews(self, status: str | None = None, limit: int = 100, before: int | None = None) -> list[Review]:
        """Reviews, newest first; the next page is `before` the last one's `id`."""
        now = self._clock()
        with self._connections.reading() as held:
            due = queries.any_due(held, now)
        if due:
            self._transact(lambda held: reviews.expire(held, now))
        with self._connections.reading() as held:
            return queries.review_page(held, status, limit, before)

    # Reading

    def decision(self, action_id: str) -> StoredDecision | None:
        """The decision on an action; None where there is none."""
        with self._connections.reading() as held:
            return queries.decision(held, action_id)

    def decisions(
        self,
        limit: int = 100,
        before: int | None = None,
        after: int | None = None,
        *,
        rule: str | None = None,
        **filters: Any,
    ) -> list[StoredDecision]:
        """A page of decisions, newest first; the next page is `before` the last one's `id`.

        With `after`, those written since, oldest first: the way to follow the log without missing a row.
        Filters: `rule` (the id of one that hit) and `app_id`, `action_type`, `route`, `subject`, `mode`,
        `outcome`, `would_have`, `status`, `enforced`; None doesn't filter.
        """
        check_filters(filters)
        with self._connections.reading() as held:
            return queries.page(held, limit, before, after, rule, filters)

    def totals(self, since: int, by: Sequence[str] = ("action_type", "mode")) -> list[Total]:
        """Counts from the minute of `since` on, by any of minute, app_id, action_type, route and mode."""
        check_groups(by)
        with self._connections.reading() as held:
            return queries.totals(held, since, by)

    def rule_totals(self, since: int, action_type: str | None = None) -> list[RuleTotal]:
        """Hits by rule from the minute of `since` on, most first."""
        with self._connections.reading() as held:
            return queries.rule_totals(held, since, action_type)

    def latency(self, since: int, action_type: str | None = None, mode: str | None = None) -> Percentiles:
        """Percentiles of the time to decide, from the minute of `since` on."""
        with self._connections.reading() as held:
            return queries.latency(held, since, action_type, mode)

    def dropped(self, since: int) -> int:
        """How many decisions were dropped since."""
        with self._connections.reading() as held:
            return queries.dropped(held, since)

    def purge(self, before: int, batch: int = 1000) -> int:
        """Delete decisions older than `before`, and reviews that are over; roll-ups stay. Returns the rows.

        `batch` rows a transaction, so that writers wait for one batch at most.
        """
        total = 0
        while True:
            gone = self._transact(lambda held: queries.purge(held, before, batch))
            total += gone
            if not gone:
                return total

    def close(self) -> None:
        """Release the connections; idempotent."""
        self._connections.close()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        def begun(held: Connection) -> T:
            with self._driver.begin(held):
                return work(held)

        return self._connections.write(begun)
