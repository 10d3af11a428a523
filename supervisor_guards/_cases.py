"""The reviews that a guard asked for and that are still open, so that hooks hear how each of them ended."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from itertools import islice
from typing import TYPE_CHECKING

import msgspec

from supervisor_guards._model import ReviewState

if TYPE_CHECKING:
    from supervisor_guards._events import Event

logger = logging.getLogger("supervisor_guards")

CAPACITY = 10_000
LOOKUPS = 50
"""How many cases one round asks for."""
_INTERVAL = 1.0
_BUDGET = 0.1
"""Seconds of one round: the thread that asks also records, so a slow supervisor gets fewer questions."""
_GRACE = 60.0
"""Seconds after which a case that should have expired is given up: clocks differ."""


class OpenCases:
    """At most `CAPACITY` cases, asked for in turn; past that the oldest is forgotten.

    `expires_seconds` is how long a review is open. `clock` is monotonic, `now` counts from the epoch, both in
    seconds. Used by one thread at a time.
    """

    def __init__(
        self,
        expires_seconds: float = 86_400.0,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._expires = expires_seconds
        self._clock = clock
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Forget all: a forked child doesn't tell how its parent's reviews end."""
        self._cases: dict[str, tuple[Event, float]] = {}
        self._looked = -_INTERVAL
        self.errors = 0

    def __len__(self) -> int:
        return len(self._cases)

    def opened(self, event: Event, asked: float) -> bool:
        """Keep the case of a review `event`, asked for at `asked`; False if it is kept already."""
        if event.action_id in self._cases:
            return False
        if len(self._cases) >= CAPACITY:
            del self._cases[next(iter(self._cases))]
        self._cases[event.action_id] = (event, asked + self._expires + _GRACE)
        return True

    def ended(self, review: Callable[[str], ReviewState]) -> list[Event]:
        """A resolution event for each case found to have ended, once; at most one round a second.

        `review` says how a case stands. What it raises is counted in `errors`; the round then ends, because a
        store that is down would make each question wait.
        """
        started = self._clock()
        if not self._cases or started - self._looked < _INTERVAL:
            return []
        self._looked = started
        events = []
        for action_id in list(islice(self._cases, LOOKUPS)):
            try:
                state = review(action_id)
            except LookupError as error:
                self._failed(error)
                del self._cases[action_id]  # purged: nobody will ever know
                continue
            except Exception as error:
                self._failed(error)
                self._later(action_id)
                break
            if state.status == "pending":
                self._later(action_id)
            else:
                events.append(_resolution(self._cases.pop(action_id)[0], state))
            if self._clock() - started >= _BUDGET:
                break
        return events

    def _later(self, action_id: str) -> None:
        case = self._cases.pop(action_id)
        if self._now() < case[1]:
            self._cases[action_id] = case

    def _failed(self, error: Exception) -> None:
        self.errors += 1
        if self.errors == 1:
            logger.error("how a review ended could not be looked up; more are only counted", exc_info=error)


def _resolution(event: Event, state: ReviewState) -> Event:
    return msgspec.structs.replace(
        event, kind="resolution", status=state.status, approver=state.approver, notes=state.notes
    )
