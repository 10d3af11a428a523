"""What is asked of the service, in which order, and what follows from its answers: flows, without I/O.

A flow yields `Exchange` and `Turn`; a line performs the first, a caller's wait the second. So sync and async callers,
on whichever event loop, go through the same branches.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import msgspec

from supervisor_guards._address import Address
from supervisor_guards._model import Verdict
from supervisor_guards.errors import SupervisorUnavailable
from supervisor_guards.remote import wire
from supervisor_guards.remote.breaker import Breaker
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.lines import Lines, Ticket, result
from supervisor_guards.remote.requests import Answer, Reader, Request, Whole
from supervisor_guards.remote.token import ReviewerToken, Token

logger = logging.getLogger("supervisor_guards")

R = TypeVar("R")
Flow = Generator[Any, Any, R]

_QUICK = 0.004
"""Seconds within which an exchange is over that a larger batch makes more of than a further line."""
_WORTH_A_LINE = 0.001
"""Seconds of a slower one for each line that batches may use: nobody should wait long for a line to get free."""
_FORGOTTEN = 1.1
"""By how much the quickest exchange that is remembered grows with each: what is measured holds this process's own
delays, and the quickest of late holds the least of them."""


class Exchange(msgspec.Struct, frozen=True):
    """Send `request` on `line` and read its answer by `deadline`. Replies with an `Answer`."""

    line: Any
    request: Request
    deadline: float
    reader: Reader

    def __iter__(self) -> Flow[Answer]:
        return (yield self)  # type: ignore[no-any-return]


class Turn(msgspec.Struct, frozen=True):
    """Wait until `ticket` has its turn, or its time is over."""

    ticket: Ticket

    def __iter__(self) -> Flow[None]:
        yield self


class Others(msgspec.Struct, frozen=True):
    """Let tasks of this event loop that are about to ask join the queue. Threads need no leave to run."""

    def __iter__(self) -> Flow[None]:
        yield self


class Asking:
    """The questions of one application to one service. `service` is what that offers, None until it was asked."""

    def __init__(
        self,
        address: Address,
        token: Token,
        breaker: Breaker,
        max_connections: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.address = address
        self.breaker = breaker
        self.service: wire.Service | None = None
        self._token = token
        self._most = max_connections
        self._clock = clock
        self._quickest = math.inf
        self._headers = (
            (b"Host", address.authority.encode("ascii")),
            (b"User-Agent", b"supervisor-guards"),
            (b"Accept", b"application/json"),
            (b"Accept-Encoding", b"identity"),
        )

    def request(
        self,
        method: bytes,
        target: str,
        body: bytes | None = None,
        *,
        repeatable: bool = False,
        extra: tuple[tuple[bytes, bytes], ...] = (),
        reviewer: ReviewerToken | None = None,
    ) -> Request:
        """A request with its headers; `target` is the path below the service's address.

        With `reviewer` it is theirs and not the application's: a service takes one credential in a request.
        """
        headers = (*self._headers, (reviewer or self._token).header(), *extra)
        if body is not None:
            headers += ((b"Content-Type", b"application/json"), (b"Content-Length", b"%d" % len(body)))
        return Request(method, (self.address.prefix + target).encode("ascii"), body, headers, repeatable)

    def unavailable(self, fault: Fault, action_id: str | None = None) -> SupervisorUnavailable:
        """What a caller is told: what happened, where, and what to do."""
        return SupervisorUnavailable(f"the supervisor at {self.address} {fault.what}; {fault.remedy}", action_id)

    def evaluate(self, lines: Lines[Any], question: wire.Question, deadline: float) -> Flow[Verdict]:
        """The verdict on `question`. Raises `Fault`."""
        self.breaker.admit()
        ticket = Ticket(question, deadline)
        line = lines.enter(ticket)
        if line is None:
            line = yield from self._turned(lines, ticket)
            if line is None:
                return self._brought(ticket)
        together = [ticket]
        try:
            service = yield from self.known(line, deadline)
            if service.offers("batch"):
                if lines.crowded:
                    yield from Others()
                together = lines.gather(ticket)
            questions = [one.question for one in together if one.question is not None]
            answers = yield from self._judged(lines, line, service, questions, deadline)
            # Before the line is left: who wakes now and asks again is in the queue when the next one leaves with it.
            for other, answer in zip(together[1:], answers[1:], strict=True):
                lines.answered(other, answer)
        except Fault as fault:
            self._failed(lines, together[1:], fault)
            raise
        except BaseException:
            lines.again(together[1:])  # the caller was cancelled, and those who left with it were not
            raise
        finally:
            lines.leave(line)
        self.breaker.passed()
        if isinstance(answers[0], Fault):
            raise answers[0]
        return answers[0]

    def _turned(self, lines: Lines[Any], ticket: Ticket) -> Flow[Any]:
        """The line that `ticket` has after its turn; None where it has none. Who is cancelled takes none along."""
        try:
            yield from Turn(ticket)
        except BaseException:
            line = lines.settled(ticket)
            if line is not None:
                lines.leave(line)
            raise
        return lines.settled(ticket)

    def _brought(self, ticket: Ticket) -> Verdict:
        if ticket.answer is None:
            self.breaker.failed(Fault("late", "had no connection free in time"))
        verdict: Verdict = result(ticket)
        return verdict

    def _failed(self, lines: Lines[Any], others: list[Ticket], fault: Fault) -> None:
        """Where the time of who asked was over, those with time left ask again: their ids are still theirs."""
        self.breaker.failed(fault)
        patient = [
            other for other in others if fault.kind == "late" and not other.tried and other.deadline > self._clock()
        ]
        for other in others:
            other.tried = True
        lines.again(patient)
        for other in others:
            if other not in patient:
                lines.answered(other, fault)

    def _judged(
        self,
        lines: Lines[Any],
        line: Any,
        service: wire.Service,
        questions: list[wire.Question],
        deadline: float,
    ) -> Flow[list[Verdict | Fault]]:
        started = self._clock()
        found = yield from self.judged(line, service, questions, deadline)
        self._quickest = min(self._clock() - started, self._quickest * _FORGOTTEN)
        lines.allowed = self._allowed(service)
        return [Fault("wrong", "answered without evaluating the action") if one is None else one for one in found]

    def judged(
        self, line: Any, service: wire.Service, questions: list[wire.Question], deadline: float
    ) -> Flow[list[Verdict | Fault | None]]:
        """The verdicts on `questions`, of which there is one where the service takes no batches. Raises `Fault`."""
        batched = service.offers("batch")
        first = questions[0] if service.ours else questions[0].plain
        body = wire.batch(questions) if batched else wire.written(first)
        # With an id of ours the service knows a question that it has answered already.
        request = self.request(b"POST", wire.BATCH if batched else wire.EVALUATE, body, repeatable=service.ours)
        answer, text = yield from self.sent(line, request, deadline)
        if answer.status == 404 and service.ours:
            self.service = None  # another version answers now: ask it what it offers
        wire.check_status(answer.status, text, answer.retry_after)
        return wire.verdicts(text, questions) if batched else [wire.verdict(text, first)]

    def _allowed(self, service: wire.Service) -> int:
        if not service.offers("batch"):
            return self._most
        return 1 if self._quickest < _QUICK else min(self._most, int(self._quickest / _WORTH_A_LINE))

    def known(self, line: Any, deadline: float) -> Flow[wire.Service]:
        """What the service offers; asked once. Raises `Fault`."""
        if self.service is None:
            request = self.request(b"GET", wire.CAPABILITIES, repeatable=True)
            answer, text = yield from self.sent(line, request, deadline)
            service = wire.service(answer.status, text)
            if not service.offers("redeem") and self.service is None:
                logger.warning(
                    "the supervisor at %s redeems no approvals: approved() and the approval header are refused; a call "
                    "that waits for its review (on_review=block) runs once it is approved",
                    self.address,
                )
            self.service = service
        return self.service

    def sent(
        self, line: Any, request: Request, deadline: float, reader: Whole | None = None
    ) -> Flow[tuple[Answer, bytes]]:
        """The answer to `request` and its body. Where a connection ends and asking twice is safe, asks once more."""
        whole = reader or Whole()
        try:
            answer = yield from Exchange(line, request, deadline, whole)
        except Fault as fault:
            if fault.kind != "broken" or not request.repeatable or self._clock() >= deadline:
                raise
            whole = Whole()
            answer = yield from Exchange(line, request, deadline, whole)
        return answer, whole.body

    def once(
        self, lines: Lines[Any], make: Callable[[wire.Service], tuple[Request, Reader]], deadline: float
    ) -> Flow[Answer]:
        """The answer to one request that waits for a line as evaluations do. Raises `Fault`.

        `make` gives the request and its reader, by what the service offers.
        """
        self.breaker.admit()
        ticket = Ticket(None, deadline)
        line = lines.enter(ticket)
        if line is None:
            line = yield from self._turned(lines, ticket)
            if line is None:
                raise Fault("late", "had no connection free in time")
        try:
            service = yield from self.known(line, deadline)
            request, reader = make(service)
            answer = yield from Exchange(line, request, deadline, reader)
        except Fault as fault:
            self.breaker.failed(fault)
            raise
        finally:
            lines.leave(line)
        self.breaker.passed()
        return answer
