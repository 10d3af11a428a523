"""The decision log and review queue on SQLite or PostgreSQL."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from supervisor_guards._desk import Page, ReviewQuery
from supervisor_guards._model import Result, ReviewState
from supervisor_guards.embedded import queries, retention, reviews, search, transitions
from supervisor_guards.embedded.connections import Connections
from supervisor_guards.embedded.errors import ReviewNotFound
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.ledger import Ledger, Within
from supervisor_guards.embedded.openings import Opening, Written, append_all
from supervisor_guards.embedded.queue import find_queue
from supervisor_guards.embedded.reader import Reader
from supervisor_guards.embedded.rows import (
    DecisionRow,
    Event,
    Review,
    clean,
    clean_event,
    clean_text,
    now_us,
)
from supervisor_guards.embedded.transitions import Claim
from supervisor_guards.errors import SupervisorBlocked

__all__ = ["Store"]

T = TypeVar("T")
_TURN_SECONDS = 0.02
"""How long work in many transactions leaves the writer's lock to others: SQLite's look for it now and then."""


class Store(Reader):
    """Decisions, reviews and roll-ups in one database, shared by threads, forked children and processes.

    `url` is `sqlite:///PATH` or `postgresql://...`; `clock` gives microseconds since the epoch. All times
    are in that unit. `sealer` makes the evidence; without one the record is unsigned. `within` is called in each
    transaction that adds to the record, with what it adds, and may write beside it. `migrated_by` is the command that
    makes and upgrades the tables where the store doesn't. What a method wrote is committed when it returns. Every
    method raises `StoreUnavailable` when the database fails it.
    """

    def __init__(
        self,
        url: str,
        *,
        clock: Callable[[], int] = now_us,
        sealer: Sealer | None = None,
        within: Within | None = None,
        migrated_by: str | None = None,
    ) -> None:
        sealer = sealer or Sealer.unsigned()
        super().__init__(Connections(url, migrated_by), sealer)
        self._clock = clock
        self._driver = self._connections.driver
        self._ledger = Ledger(sealer, self._driver, clock, within)

    def write(
        self,
        rows: Sequence[DecisionRow],
        results: Sequence[tuple[str, Result]] = (),
        drops: int = 0,
        drop_reason: str = "queue-full",
    ) -> None:
        """Store decisions, results that came after their rows, and a number of dropped decisions.

        One transaction. A row whose action id is stored already changes nothing; of several results of one
        action the first counts.
        """
        if rows or results or drops:
            now = self._clock()
            first = dict(reversed(results))
            events = [clean_event(Event(action_id=name, time=now, kind=result)) for name, result in first.items()]
            self._connections.write(lambda held: self._insert(held, rows, events, drops, drop_reason))

    def write_with_review(
        self, row: DecisionRow, expires_at: int, requester: str | None = None, *, same_since: int | None = None
    ) -> str:
        """Store a decision and its pending review, both or none; the action id of the review.

        A review that is pending or approved since `same_since`, of the same action type, route, content, subject
        and requester, is the same case: the decision then joins it. A repeated action id changes nothing.
        """
        (written,) = self.write_all([(row, Opening(expires_at, requester, same_since))])
        return written.case_id or row.action_id

    def write_all(self, items: Sequence[tuple[DecisionRow, Opening | None]]) -> list[Written]:
        """Store decisions of one batch, those with an `Opening` with their reviews: all of them or none.

        What became of each, in their order. A row whose action id is stored already changes nothing. Raises
        `RowsRefused` where one of them is at fault.
        """

        look = cleaned = False  # an id that is stored already is rare: a retry
        while True:
            try:
                return self._transact(partial(self._append_all, items=items, look=look, cleaned=cleaned))
            except _Unclean:
                items, cleaned = [(clean(row), opening) for row, opening in items], True
            except _Known:
                look = True

    def _append_all(
        self, held: Connection, items: Sequence[tuple[DecisionRow, Opening | None]], look: bool, cleaned: bool
    ) -> list[Written]:
        try:
            return append_all(held, self._ledger, items, self._clock(), look=look)
        except (*self._driver.TEXT, *self._driver.DUPLICATE, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            if isinstance(cause, self._driver.TEXT) and not cleaned:
                raise _Unclean from error
            if isinstance(cause, self._driver.DUPLICATE) and not look:
                raise _Known from error
            raise

    def transact(self, work: Callable[[Connection, Callable[[Event], None]], T]) -> T:
        """What `work` returns, done in one transaction with the events it notes: all of it or nothing.

        For tables that stand in the same database as the record. `work` may be called again, after a rollback.
        """

        def noted(held: Connection) -> T:
            events: list[Event] = []
            done = work(held, events.append)
            if events:
                self._ledger.append(held, events=[clean_event(event) for event in events])
            return done

        return self._transact(noted)

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for one short read of tables beside the record."""
        return self._connections.reading()

    def _insert(
        self, held: Connection, rows: Sequence[DecisionRow], events: Sequence[Event], drops: int, drop_reason: str
    ) -> None:
        """Append, by a guess where the driver allows it, else in a transaction."""
        guess = self._ledger.guesses
        cleaned = False
        while True:
            try:
                with nullcontext() if guess else self._driver.begin(held):
                    self._ledger.append(held, rows, events, drops=drops, reason=drop_reason, guess=guess)
                self._ledger.committed()
                return
            except self._driver.TEXT:
                if cleaned:
                    raise
                cleaned = True
                rows = [clean(row) for row in rows]
            except self._driver.DUPLICATE:
                # An action id is stored already, or another process took the segment.
                with self._driver.begin(held):
                    known = queries.case_ids(held, [row.action_id for row in rows])
                fresh = {row.action_id: row for row in reversed(rows) if row.action_id not in known}
                if len(fresh) == len(rows) and not guess:
                    raise
                rows = list(reversed(fresh.values()))
                guess = False

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
            self._expire(now, lambda held: [action_id] if reviews.expire(held, now, action_id) else [])
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
        approver, notes = clean_text(approver), None if notes is None else clean_text(notes)
        event = Event(
            action_id=action_id, time=now, kind=status, actor=approver, notes=notes, until=valid_until
        )  # fmt: skip

        def work(held: Connection) -> Review:
            decided = reviews.resolve(held, action_id, status, approver, notes, now, valid_until)
            self._ledger.append(held, events=[event])
            return decided

        return self._transact(work).state

    def redeem(self, action_id: str, claim: Claim) -> None:
        """Use up the approval, once, for what was approved. A refused try is noted in the record.

        Raises `ApprovalUsed` (reason `used` or `already-executed`) or `ApprovalInvalid` (`not-found`,
        `other-subject`, `other-tenant`, `other-route`, `other-action`, `other-content`, `pending`, `rejected`,
        `expired`, `abandoned`, `approval-not-authentic`).
        """
        now = self._clock()

        def work(held: Connection) -> SupervisorBlocked | None:
            error = reviews.redeem(held, action_id, claim, now, self._ledger.sealer)
            if error is None:
                self._ledger.append(held, events=[Event(action_id=action_id, time=now, kind="used")])
            elif error.reasons != ["not-found"]:
                tried = Event(action_id=action_id, time=now, kind="refused", notes=error.reasons[0])
                self._ledger.append(held, events=[tried])
            return error

        error = self._transact(work)
        if error is not None:
            raise error

    def mark_executed(self, action_id: str) -> ReviewState:
        """Note that the action ran without an approval (`fail_open`): nothing is left to redeem.

        Raises `ReviewNotFound`.
        """
        now = self._clock()

        def work(held: Connection) -> Review:
            changed, review = reviews.mark_executed(held, action_id, now)
            if changed:
                self._ledger.append(held, events=[Event(action_id=action_id, time=now, kind="executed")])
            return review

        return self._transact(work).state

    def _expire(self, now: int, work: Callable[[Connection], Sequence[str]]) -> int:
        def noted(held: Connection) -> int:
            over = work(held)
            if over:
                self._ledger.append(held, events=[Event(action_id=name, time=now, kind="expired") for name in over])
            return len(over)

        return self._transact(noted)

    def reviews(
        self, status: str | None = None, limit: int = 100, before: int | None = None, after: int | None = None
    ) -> list[Review]:
        """Reviews, newest first; the next page is `before` the last one's `id`. With `after`, oldest first."""
        self.expire_due()
        with self._connections.reading() as held:
            return queries.review_page(held, status, limit, before, after)

    def find_reviews(
        self, query: ReviewQuery, limit: int, cursor: int | None, oldest_first: bool = False
    ) -> Page[Review]:
        """A page of what `query` finds, newest first unless `oldest_first`."""
        self.expire_due()
        with self._connections.reading() as held:
            return search.find_reviews(held, query, limit, cursor, oldest_first)

    def queue(self, query: ReviewQuery, limit: int, cursor: int | None) -> Page[Review]:
        """A page of the pending reviews that `query` finds, the highest priority first, then the oldest."""
        self.expire_due()
        with self._connections.reading() as held:
            return find_queue(held, query, limit, cursor)

    def waiting(self) -> int:
        """How many reviews are pending."""
        self.expire_due()
        with self._connections.reading() as held:
            return queries.waiting(held)

    def reviews_named(self, prefix: str, limit: int = 100) -> list[Review]:
        """Reviews whose action id begins with `prefix`."""
        self.expire_due()
        with self._connections.reading() as held:
            return queries.reviews_named(held, prefix, limit)

    def expire_due(self, batch: int = 500) -> None:
        """Turn reviews that nobody decided in time into expired ones, up to `batch` a transaction.

        Between two of them others may write, in this process and elsewhere.
        """
        now = self._clock()
        with self._connections.reading() as held:
            due = reviews.any_due(held, now)
        while due:
            due = self._expire(now, lambda held: reviews.expire_some(held, now, batch)) == batch
            if due:
                time.sleep(_TURN_SECONDS)

    def purge(self, before: int, batch: int = 1000) -> int:
        """Delete what was written before then: decisions, events, reviews that are over. Returns the rows.

        Roll-ups stay. About `batch` rows a transaction, so that writers wait for one batch at most.
        """
        total = 0
        while gone := self.purge_some(before, batch):
            total += gone
        return total

    def purge_some(self, before: int, batch: int = 1000) -> int:
        """One batch of `purge`; 0 when nothing is left to delete."""
        self.expire_due()
        now = self._clock()
        return self._transact(lambda held: retention.purge(held, before, batch, now, self._ledger.sealer))

    def close(self) -> None:
        """Release the connections; idempotent."""
        self._connections.close()

    def _transact(self, work: Callable[[Connection], T]) -> T:
        def begun(held: Connection) -> T:
            try:
                with self._driver.begin(held):
                    done = work(held)
            except BaseException:
                self._ledger.forget()
                raise
            self._ledger.committed()
            return done

        return self._connections.write(begun)


class _Known(Exception):
    """An action id is stored already: the transaction is rolled back, and tried again with a look at them."""


class _Unclean(Exception):
    """A text that the database refuses: the transaction is rolled back, and tried again without it."""
