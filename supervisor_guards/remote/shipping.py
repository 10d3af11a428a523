"""What the background thread tells the service: shadow calls in batches, and how actions ended."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

from supervisor_guards._events import shown
from supervisor_guards._flow import NotNow
from supervisor_guards._model import Entry, Outcome, Result, Verdict
from supervisor_guards._shells import run
from supervisor_guards.remote import wire
from supervisor_guards.remote.asking import Asking, Exchange, Flow
from supervisor_guards.remote.faults import Fault
from supervisor_guards.remote.questions import NotRedacted, Questions, finished
from supervisor_guards.remote.sockets import Line

logger = logging.getLogger("supervisor_guards")

R = TypeVar("R")
_LEAST_SECONDS, _MOST_SECONDS = 1.0, 3.0
"""How long one batch may take: as long as an evaluation, within these. A fork, and the end of the process, wait for the
batch in hand."""
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


class Shipping:
    """Sends entries over a line of its own, one batch at a time. What can't be sent stays with the worker's queue."""

    def __init__(self, asking: Asking, questions: Questions, open_line: Callable[[], Line], timeout: float) -> None:
        self._seconds = min(max(timeout, _LEAST_SECONDS), _MOST_SECONDS)
        self._asking = asking
        self._questions = questions
        self._open_line = open_line
        self.reset()

    def reset(self) -> None:
        """Without a line: for a forked child."""
        self._line: Line | None = None
        self._lock = threading.Lock()
        self._failures = 0
        self._refusing = False

    @property
    def line(self) -> Line | None:
        """The line in use."""
        return self._line

    def record(self, entries: Sequence[Entry]) -> None:
        """Have shadow calls judged, and tell of calls that ran without a verdict. Raises `NotNow` with what is left."""
        with self._lock:
            service = self._known(entries)
            at = 0
            while at < len(entries):
                end = _batch_end(entries, at) if service.offers("batch") else at + 1
                self._done(self._shipped(service, entries[at:end]), entries[at:])
                at = end

    def report(self, results: Sequence[tuple[str, Result]]) -> None:
        """Tell how actions ended, where the service wants to know. Raises `NotNow` with what is left."""
        with self._lock:
            told = [pair for pair in results if pair[1] != "not-run"]
            service = self._known(results) if told else wire.PLAIN
            most = wire.RESULT_ITEMS if service.offers("results") else 1
            for at in range(0, len(told) if service.offers("result") else 0, most):
                self._done(self._told(told[at : at + most], most > 1), told[at:])

    def close(self) -> None:
        """Close the line."""
        with self._lock:
            if self._line is not None:
                self._line.close()

    def _done(self, flow: Flow[R], left: Sequence[Any]) -> R:
        try:
            done = run(flow, self._perform)
        except Fault as fault:
            pause = self._failed(fault, len(left))
        else:
            self._asking.breaker.passed()
            if self._failures:
                logger.info("the supervisor at %s answers again", self._asking.address)
            self._failures = 0
            return done
        raise NotNow(left, pause)

    def _failed(self, fault: Fault, left: int) -> float:
        self._asking.breaker.failed(fault)
        if not self._failures:
            told = self._asking.unavailable(fault)
            logger.warning("%d decisions wait in memory to be sent, and more as they come: %s", left, told)
        self._failures += 1
        pause = min(_FIRST_PAUSE * 2.0 ** min(self._failures, 10), _LONGEST_PAUSE)
        return max(pause, min(fault.retry_after or 0.0, _LONGEST_PAUSE))

    def _perform(self, effect: Exchange) -> Any:
        if self._line is None:
            self._line = self._open_line()
        return self._line.exchange(effect.request, effect.deadline, effect.reader)

    def _known(self, left: Sequence[Any]) -> wire.Service:
        service = self._asking.service
        return service or self._done(self._asking.known(None, self._deadline()), left)

    def _deadline(self) -> float:
        return time.monotonic() + self._seconds

    def _shipped(self, service: wire.Service, entries: Sequence[Entry]) -> Flow[None]:
        kept: list[tuple[Entry, wire.Question]] = []
        for entry in entries:
            entry.taken = True  # before `result` is read: a result set later is then sent by its caller
            try:
                kept.append((entry, self._questions.of_entry(entry)))
            except NotRedacted:
                _unknown(entry, "redaction-failed")
        if not kept:
            return
        started = time.perf_counter_ns()
        questions = [question for _, question in kept]
        found: Sequence[Verdict | Fault | None]
        try:
            found = yield from self._asking.judged(None, service, questions, self._deadline())
        except Fault as fault:
            if not fault.about_the_request:
                raise
            if len(kept) > 1:  # one of them is what the service refuses
                half = len(entries) // 2
                yield from self._shipped(service, entries[:half])
                yield from self._shipped(service, entries[half:])
                return
            found = [fault]
        elapsed = (time.perf_counter_ns() - started) // 1_000
        for (entry, _), answer in zip(kept, found, strict=True):
            if entry.verdict is not None:  # it ran without a verdict, and that is what its row says
                continue
            entry.latency_us = elapsed
            if answer is None or isinstance(answer, Fault):
                self._refused(entry, answer)
            else:
                entry.verdict = finished(answer, entry.action, service.ours)

    def _refused(self, entry: Entry, answer: Fault | None) -> None:
        _unknown(entry, "not-judged")
        if not self._refusing:
            self._refusing = True
            what = self._asking.unavailable(answer) if answer is not None else "it answered without evaluating"
            kind = shown(entry.action.action_type)
            logger.warning(
                "a shadow call of %s was not judged, so its row says `unknown`; more are only counted: %s", kind, what
            )

    def _told(self, pairs: Sequence[tuple[str, Result]], together: bool) -> Flow[None]:
        if together:
            target, body = wire.RESULTS, wire.results(pairs)
        else:
            ((action_id, result),) = pairs
            target, body = f"/v1/actions/{quote(action_id, safe='')}/result", wire.written({"result": result})
        request = self._asking.request(b"POST", target, body, repeatable=True)
        answer, text = yield from self._asking.sent(None, request, self._deadline())
        try:
            wire.check_status(answer.status, text, answer.retry_after)
        except Fault as fault:
            if (
                not fault.about_the_request and answer.status != 404
            ):  # an action that it doesn't know has no row to say it in
                raise


def _batch_end(entries: Sequence[Entry], start: int) -> int:
    """Where the batch ends that begins at `start`, by items and bytes."""
    size = 0
    for at, entry in enumerate(entries[start : start + wire.BATCH_ITEMS], start):
        size += len(entry.action.snapshot.body) + wire.OVERHEAD
        if size > wire.BATCH_BYTES and at > start:
            return at
    return min(start + wire.BATCH_ITEMS, len(entries))


def _unknown(entry: Entry, reason: str) -> None:
    if entry.verdict is None:
        entry.status = "unknown"
        entry.verdict = Verdict(Outcome.ALLOW, reasons=(reason,))
