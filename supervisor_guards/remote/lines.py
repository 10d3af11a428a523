"""Who may use which connection: callers that find all of them busy queue, and leave together. No I/O."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from supervisor_guards.remote import wire
from supervisor_guards.remote.faults import Fault

L = TypeVar("L")


class Ticket:
    """One caller's question and the time by which it needs an answer (seconds, monotonic).

    A ticket without a question is alone on its line. `turned` is set when it has its turn: a line of its own, or
    an answer that another caller brought.
    """

    __slots__ = ("answer", "deadline", "gone", "line", "question", "tried", "turned")

    def __init__(self, question: wire.Question | None, deadline: float) -> None:
        self.question = question
        self.deadline = deadline
        self.line: Any = None
        self.answer: Any = None
        self.turned: Any = None
        self.tried = False
        self.gone = False


class Lines(Generic[L]):
    """Connections that are opened when needed, at most `allowed` at once.

    `open_line` makes one, `event` what a caller in the queue waits for. The lock is never held while anything
    waits, so it serves an event loop as well.
    """

    def __init__(self, open_line: Callable[[], L], event: Callable[[], Any], allowed: int = 1) -> None:
        self._open_line = open_line
        self._event = event
        self._lock = threading.Lock()
        self._idle: list[L] = []
        self._busy = 0
        self._queue: deque[Ticket] = deque()
        self.allowed = allowed
        self.crowded = False
        """Whether several left together the last time."""

    def enter(self, ticket: Ticket) -> L | None:
        """A line for `ticket`, or None: it is in the queue then."""
        with self._lock:
            line = self._free()
            if line is None:
                ticket.turned = self._event()
                self._queue.append(ticket)
            return line

    def enter_now(self) -> L | None:
        """A line, or None; nobody queues."""
        with self._lock:
            return self._free()

    def settled(self, ticket: Ticket) -> L | None:
        """After its turn came, or its time was over: the line that `ticket` has.

        None where another brought its answer, which is in `answer`, or where it has neither.
        """
        with self._lock:
            line: L | None = ticket.line
            ticket.line = None
            if line is None and ticket.answer is None:
                ticket.gone = True
            return line

    def gather(self, first: Ticket) -> list[Ticket]:
        """`first` and those in the queue that fit into one batch with it."""
        with self._lock:
            together, size = [first], first.question.size if first.question else 0
            kept: deque[Ticket] = deque()
            while self._queue and len(together) < wire.BATCH_ITEMS:
                ticket = self._queue.popleft()
                if ticket.gone:
                    continue
                if ticket.question is None or size + ticket.question.size > wire.BATCH_BYTES:
                    kept.append(ticket)
                    continue
                size += ticket.question.size
                together.append(ticket)
            self._queue.extendleft(reversed(kept))
            self.crowded = len(together) > 1
            return together

    def answered(self, ticket: Ticket, answer: Any) -> None:
        """Hand `answer` (a verdict or a fault) to a caller that waits."""
        with self._lock:
            ticket.answer = answer
            ticket.turned.set()

    def again(self, tickets: list[Ticket]) -> None:
        """Back to the head of the queue: who asked for them could not."""
        with self._lock:
            self._queue.extendleft(reversed([ticket for ticket in tickets if not ticket.gone]))

    def leave(self, line: L) -> None:
        """`line` is free: it goes to who waits longest."""
        with self._lock:
            self._busy -= 1
            self._idle.append(line)
            while self._queue:
                ticket = self._queue.popleft()
                if ticket.gone:
                    continue
                free = self._free()
                if free is None:
                    self._queue.appendleft(ticket)
                    return
                ticket.line = free
                ticket.turned.set()

    def _free(self) -> L | None:
        if self._busy >= self.allowed:
            return None
        line = self._idle.pop() if self._idle else self._open_line()
        self._busy += 1  # not before: a line that can't be made takes no place
        return line

    def emptied(self) -> list[L]:
        """The idle lines, which are no longer here: to be closed."""
        with self._lock:
            idle, self._idle = self._idle, []
            return idle

    def inherited(self) -> list[L]:
        """The idle lines, in a forked child: the lock may be held by a thread that it doesn't have."""
        return self._idle


def result(ticket: Ticket) -> Any:
    """The answer that another caller brought. Raises it where it is a `Fault`, and `Fault` where there is none."""
    if ticket.answer is None:
        raise Fault("late", "had no connection free in time")
    if isinstance(ticket.answer, Fault):
        raise ticket.answer
    return ticket.answer
