"""The desk of a remote supervisor: people read and decide what the service keeps, over the wire.

It reads as the reviewer whose token it has, else as the application, which sees its own. A plain version 1 service
searches nothing and sums nothing up: what it lists is searched here, the newest 500 of its decisions.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Literal, NoReturn, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from supervisor_guards import _sifting
from supervisor_guards._desk import (
    Choices,
    DecisionQuery,
    NoDesk,
    NotAReviewer,
    OwnAction,
    Page,
    Principal,
    ReviewNotFound,
    ReviewQuery,
    ReviewResolved,
    check_may_review,
    own_name,
)
from supervisor_guards._model import ReviewState
from supervisor_guards._records import Review, StoredDecision, clean_text
from supervisor_guards.remote import pages, records, wire
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.requests import Answer, Reader, Request, Whole
from supervisor_guards.remote.token import ReviewerToken, header_value

if TYPE_CHECKING:
    from supervisor_guards.remote.client import RemoteSupervisor

T = TypeVar("T")
Row = TypeVar("Row", StoredDecision, Review)

DESK = "/v1/desk"
RECENT = "/v1/actions/recent"
DECISIONS, REVIEWS = 500, 100
"""How many a service lists in one page, at most."""
LIST_BYTES = 67_108_864
"""A plain service lists every case that there ever was."""
READ_ONLY = (
    "reviews can only be read from here: set SUPERVISOR_REVIEWER_TOKEN (reviewer_token) to a reviewer's token of the "
    "service to decide them"
)
_OWN = "nobody approves their own"
"""The service's words for an approval by who asked."""


class RemoteDesk:
    """Every method raises `SupervisorUnavailable` where the service gave no usable answer within `timeout` seconds.

    `NoDesk` says what this service, or this token, can't do.
    """

    def __init__(self, supervisor: RemoteSupervisor, reviewer: ReviewerToken | None, timeout: float) -> None:
        self._supervisor = supervisor
        self._asking = supervisor.asking
        self._reviewer = reviewer
        self._timeout = timeout

    def __repr__(self) -> str:
        return f"<RemoteDesk of {self._supervisor!r}>"

    @property
    def read_only(self) -> str | None:
        """Why nobody can decide here; None where a reviewer's token is set."""
        return READ_ONLY if self._reviewer is None else None

    def find_decisions(self, query: DecisionQuery, limit: int = 50, cursor: int | None = None) -> Page[StoredDecision]:
        """A page of what `query` finds, newest first."""
        asked = _asked(query)

        def page(some: int, at: int | None) -> Page[StoredDecision]:
            target = _target(RECENT, {**asked, "limit": some, "before": at})
            answer, body = self._read(target, f"{RECENT}?limit={DECISIONS}")
            rows = self._made(records.decisions, body)
            if self._searches:
                return self._paged(rows, answer, some)
            found = pages.sifted(rows, query, some, at)
            return msgspec.structs.replace(found, complete=found.cursor is not None or len(rows) < DECISIONS)

        return pages.together(page, limit, cursor, DECISIONS)

    def find_reviews(
        self, query: ReviewQuery, limit: int = 50, cursor: int | None = None, *, oldest_first: bool = False
    ) -> Page[Review]:
        """A page of what `query` finds, newest first unless `oldest_first`."""
        order = "oldest" if oldest_first else "newest"
        return self._reviews(query, order, limit, cursor, lambda rows: rows[::-1] if oldest_first else rows)

    def queue(self, query: ReviewQuery, limit: int = 50, cursor: int | None = None) -> Page[Review]:
        """A page of the pending reviews that `query` finds, the highest priority first, then the oldest."""
        return self._reviews(query, "queue", limit, cursor, _sifting.queued)

    def _reviews(
        self,
        query: ReviewQuery,
        order: str,
        limit: int,
        cursor: int | None,
        ordered: Callable[[Sequence[Review]], Sequence[Review]],
    ) -> Page[Review]:
        """A page in the service's `order`; what a plain one lists, newest first, is `ordered` here."""
        asked = _asked(query)
        asked["state"] = asked.pop("status", None)
        asked["order"] = order
        plain = f"{wire.REVIEWS}?status=pending" if order == "queue" else wire.REVIEWS

        def page(some: int, at: int | None) -> Page[Review]:
            answer, body = self._read(_target(wire.REVIEWS, {**asked, "limit": some, "before": at}), plain)
            rows = [one.review for one in self._made(records.cases, body)]
            return self._paged(rows, answer, some) if self._searches else pages.sifted(ordered(rows), query, some, at)

        return pages.together(page, limit, cursor, REVIEWS)

    def reviews_named(self, prefix: str, limit: int = 100) -> list[Review]:
        """Reviews whose action id begins with `prefix`, of those that a search looks through."""
        page = self.find_reviews(ReviewQuery(text=prefix), limit)
        return [one for one in page.rows if one.action_id.startswith(prefix)]

    def decision(self, action_id: str) -> StoredDecision | None:
        """One decision; None where there is none, or none that this desk may see."""
        answer, body = self._read(f"/v1/decisions/{_named(action_id)}", missing=True)
        return None if answer.status == 404 else self._made(records.decision, body)

    def review(self, action_id: str) -> Review:
        """The whole case. Raises `ReviewNotFound`."""
        return self._case(action_id).review

    def waiting(self) -> int:
        """How many reviews are pending."""
        _, body = self._read(DESK, f"{wire.REVIEWS}?status=pending")
        return self._made(records.sums, body).waiting if self._searches else len(self._made(records.cases, body))

    def choices(self) -> Choices:
        """What there is to filter decisions by."""
        found = self._sums()
        return Choices(found.action_types, found.routes, found.rules)

    def span(self) -> tuple[int, int] | None:
        """When the first and the last stored decision were made, as far as this desk may see them."""
        return self._sums().span

    def recorded(self, windows: Sequence[tuple[int, int]]) -> list[bool]:
        """Of each window whether decisions were recorded in it; an application is told what its own reach into."""
        return list(self._sums(windows).recorded)

    def resolve(
        self, action_id: str, decision: Literal["approved", "rejected"], notes: str | None, reviewer: Principal
    ) -> ReviewState:
        """Approve or reject a pending review, once.

        The record names the person whose token this desk has; with an administrator's, `reviewer` as a claim. Raises
        what every desk raises.
        """
        if decision not in ("approved", "rejected"):
            raise ValueError(f"decision {decision!r}: choose approved or rejected")
        token = self._deciding(reviewer, action_id)
        case = self._case(action_id)
        # The service knows the names of the token's person; who sits here is known here alone.
        own = own_name(case.review, reviewer) if decision == "approved" else None
        if own is not None:
            raise OwnAction(own, action_id)
        return self._decided(case, "resolve", {"decision": decision, "notes": notes}, reviewer, token)

    def abandon(self, action_id: str, reviewer: Principal, notes: str | None = None) -> ReviewState:
        """Close a pending review that nobody needs any more. Raises `NoDesk` at a plain service, which can't."""
        token = self._deciding(reviewer, action_id)
        case = self._case(action_id)
        if not self._searches:
            raise NoDesk(f"the service at {self._asking.address} abandons no reviews: reject it [action {action_id}]")
        return self._decided(case, "abandon", {"notes": notes}, reviewer, token)

    @property
    def _searches(self) -> bool:
        """Whether the service, which was asked before, searches and sums up."""
        service = self._asking.service
        return service is not None and service.offers("desk")

    def _deciding(self, reviewer: Principal, action_id: str) -> ReviewerToken:
        check_may_review(reviewer, action_id)
        if self._reviewer is None:
            raise NoDesk(READ_ONLY)
        return self._reviewer

    def _decided(
        self, case: records.Case, what: str, content: object, reviewer: Principal, token: ReviewerToken
    ) -> ReviewState:
        action_id = case.review.action_id
        target = f"{wire.REVIEWS}/{quote(case.id, safe='')}/{what}"
        claim = () if token.is_persons else ((b"X-Approver", header_value(reviewer.name)),)
        body = wire.written(content)
        # Not repeatable: where the answer was lost, the page that is looked at next says what was decided.
        request = self._asking.request(b"POST", target, body, extra=claim, reviewer=token)
        whole = Whole()
        answer = self._sent(lambda service: (request, whole), action_id)
        if answer.status == 403:
            raise (OwnAction if _OWN in wire.detail(whole.body) else NotAReviewer)(reviewer.name, action_id)
        if answer.status == 404:
            raise ReviewNotFound(action_id)
        if answer.status == 409:
            now = self.review(action_id)
            raise ReviewResolved(action_id, now.status, now.approver, _when(now.resolved_at))
        self._check(answer, whole.body, token)
        return self._made(records.case, whole.body).review.state

    def _case(self, action_id: str) -> records.Case:
        answer, body = self._read(f"{wire.REVIEWS}/{_named(action_id)}", wire.REVIEWS, missing=True)
        if self._searches:
            if answer.status == 404:
                raise ReviewNotFound(action_id)
            return self._made(records.case, body)
        for one in self._made(records.cases, body):
            if one.review.action_id == action_id:
                return one
        raise ReviewNotFound(action_id)

    def _sums(self, windows: Sequence[tuple[int, int]] = ()) -> records.Sums:
        asked = urlencode([("window", f"{since}-{until}") for since, until in windows])
        _, body = self._read(f"{DESK}?{asked}" if asked else DESK, f"{RECENT}?limit={DECISIONS}")
        if self._searches:
            found = self._made(records.sums, body)
            if len(found.recorded) != len(windows):
                self._fail(Fault("wrong", "answered for other windows of time than it was asked about"))
            return found
        rows = self._made(records.decisions, body)
        times = [row.time for row in rows]
        return records.Sums(
            0,
            tuple(sorted({row.action_type for row in rows})),
            span=(min(times), max(times)) if times else None,
            recorded=tuple(any(since <= at < until for at in times) for since, until in windows),
        )

    def _read(self, target: str, plain: str | None = None, *, missing: bool = False) -> tuple[Answer, bytes]:
        """What is at `target`; at `plain` where the service doesn't search. With `missing` a 404 is an answer."""
        whole = Whole(LIST_BYTES)
        credential: list[ReviewerToken | None] = []

        def make(service: wire.Service) -> tuple[Request, Reader]:
            searches = service.offers("desk")
            credential.append(self._reviewer if searches else None)
            there = target if searches or plain is None else plain
            return self._asking.request(b"GET", there, repeatable=True, reviewer=credential[-1]), whole

        answer = self._sent(make)
        if not (missing and answer.status == 404):
            self._check(answer, whole.body, credential[-1])
        return answer, whole.body

    def _sent(self, make: Callable[[wire.Service], tuple[Request, Reader]], action_id: str | None = None) -> Answer:
        deadline = time.monotonic() + self._timeout
        return self._supervisor.perform(self._asking.once(self._supervisor.lines, make, deadline), action_id)

    def _check(self, answer: Answer, body: bytes, credential: ReviewerToken | None) -> None:
        if answer.status == 401 and credential is not None:
            raise NoDesk(
                f"the supervisor at {self._asking.address} refuses the reviewer's token{wire.detail(body)}; set "
                "SUPERVISOR_REVIEWER_TOKEN (reviewer_token) to one that is in force there"
            )
        try:
            wire.check_status(answer.status, body, answer.retry_after)
        except Fault as fault:
            self._fail(fault)

    def _made(self, make: Callable[[bytes], T], body: bytes) -> T:
        try:
            return make(body)
        except Fault as fault:
            self._fail(fault)

    def _paged(self, rows: Sequence[Row], answer: Answer, limit: int) -> Page[Row]:
        try:
            return pages.linked(rows, answer.link, limit)
        except Fault as fault:
            self._fail(fault)

    def _fail(self, fault: Fault) -> NoReturn:
        raise self._asking.unavailable(fault) from None


def _named(action_id: str) -> str:
    return quote(clean_text(action_id), safe="")


def _asked(query: DecisionQuery | ReviewQuery) -> dict[str, str | int | None]:
    return {name: getattr(query, name) for name in query.__struct_fields__}


def _target(path: str, asked: dict[str, str | int | None]) -> str:
    return f"{path}?{urlencode({name: value for name, value in asked.items() if value is not None}, errors='replace')}"


def _when(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return datetime.fromtimestamp(microseconds / 1_000_000, timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")
