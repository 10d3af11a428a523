"""The circuit breaker: while every answer fails, the service is not asked, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Literal

from supervisor_guards.remote.faults import Fault


class Breaker:
    """Opens after `failures` in a row; each `seconds` after that, one call asks again, and an answer closes it.

    It stands in front of the connections only: what it refuses is a failure like any other, never an answer.
    """

    def __init__(self, failures: int, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit = failures
        self._seconds = seconds
        self._clock = clock
        self.reset()

    def reset(self) -> None:
        """Closed, with nothing counted: for a forked child."""
        self._lock = threading.Lock()
        self._failures = 0
        self._next = 0.0
        self._last = ""

    @property
    def state(self) -> Literal["closed", "half-open", "open"]:
        """`closed` (asks), `open` (doesn't), `half-open` (the next call asks)."""
        if self._failures < self._limit:
            return "closed"
        return "open" if self._clock() < self._next else "half-open"

    def admit(self) -> None:
        """Let a call through. Raises `Fault` while the breaker is open."""
        if self._failures < self._limit:
            return
        with self._lock:
            left = self._next - self._clock()
            if left <= 0:
                self._next = self._clock() + self._seconds  # this one asks; the next after as long again
                return
        what = f"was not asked: {self._failures} failures in a row, the last: {self._last}; asked again in {left:.1f} s"
        raise Fault("unreached", what)

    def passed(self) -> None:
        """The service answered."""
        if self._failures:
            with self._lock:
                self._failures = 0

    def failed(self, fault: Fault) -> None:
        """It didn't. A service that refuses one request is a service that works."""
        if fault.about_the_request:
            self.passed()
            return
        with self._lock:
            self._failures += 1
            self._last = fault.what
            if self._failures >= self._limit:
                self._next = self._clock() + self._seconds
