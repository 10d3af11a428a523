"""The remote supervisor and the published client, side by side against the same server on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import published, workload
from benchmarks.figures import Figure, median, middle, percentile
from benchmarks.scale import Scale
from benchmarks.service_process import Served

LATENCIES_MS = (0, 5, 50)
CALLERS = (1, 8, 64)
KINDS = ("threads", "tasks")
_ROUNDS = 3
_GOAL = 8.0
_CALLS = {1: 200, 8: 50, 64: 16}
"""Calls of each caller in one round, by callers, with an instant server: long enough that starting them is no part."""
_SLOW_CALLS = {1: 10, 8: 8, 64: 6}


@dataclasses.dataclass(frozen=True)
class Round:
    """What one round of one client came to. Times in microseconds."""

    times: list[float]
    seconds: float
    cpu: float
    memory: float
    failed: int = 0

    @property
    def rate(self) -> float:
        """Decisions a second."""
        return len(self.times) / self.seconds


class Client:
    """A worker process that makes enforced calls against one server."""

    def __init__(
        self, python: Path, base_url: str, app_id: str = "benchmark", secret: str = "a secret of thirty-two characters"
    ) -> None:
        self._process = published.started(python, "remote_worker.py")
        self._send({"base_url": base_url, "app_id": app_id, "secret": secret, "fields": workload.FIELDS})
        self.round("threads", 1, 3)  # its connection is opened and its imports are done

    def round(self, kind: str, callers: int, calls: int) -> Round:
        """`calls` calls by each of `callers`."""
        self._send({"kind": kind, "callers": callers, "calls": calls})
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the worker ended with status {self._process.wait()}; see above")
        return Round(**json.loads(line))

    def _send(self, command: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()

    def close(self) -> None:
        """End the process."""
        published.end(self._process)


def figures(scale: Scale, versus: bool = True) -> Iterator[Figure]:
    """The remote rows; those of the published package only with `versus`. A quick run keeps to the instant server."""
    quick = scale.rounds <= _ROUNDS
    for latency in LATENCIES_MS[:1] if quick else LATENCIES_MS:
        with contextlib.ExitStack() as stack:
            base_url = stack.enter_context(published.server(latency))
            ours = stack.enter_context(contextlib.closing(Client(Path(sys.executable), base_url)))
            theirs = None
            if versus:
                theirs = stack.enter_context(contextlib.closing(Client(published.interpreter(), base_url)))
            if latency == 0:
                yield from _alone(scale, ours)
            for kind in KINDS:
                for callers in CALLERS[::2] if quick else CALLERS:
                    yield from _beside(ours, theirs, kind, callers, f"server of {latency} ms", latency)


def with_service(database: str, service: Served, versus: bool) -> Iterator[Figure]:
    """The same clients with `supervisor-guards serve`: its rules, its record and its fsync are in each call."""
    with contextlib.ExitStack() as stack:
        found = [Path(sys.executable), *([published.interpreter()] if versus else [])]
        ours, *others = (
            stack.enter_context(contextlib.closing(Client(python, service.base_url, service.app_id, service.secret)))
            for python in found
        )
        theirs = others[0] if others else None
        for kind in KINDS:
            for callers in CALLERS:
                yield from _beside(ours, theirs, kind, callers, f"service on {database}", None)


def _alone(scale: Scale, ours: Client) -> Iterator[Figure]:
    calls = scale.published_calls * 2
    guarded: list[list[float]] = []
    raw: list[list[float]] = []
    for _ in range(_ROUNDS * 3):
        guarded.append(ours.round("threads", 1, calls).times)
        raw.append(ours.round("raw", 1, calls).times)
    yield Figure("raw httpcore round trip, the same bytes", "us", middle(raw), middle(raw, 99))
    yield Figure("remote enforce, one caller", "us", middle(guarded), middle(guarded, 99))
    ratios = [percentile(mine, 50) / percentile(bare, 50) for mine, bare in zip(guarded, raw, strict=True)]
    yield Figure("remote enforce over the raw round trip, in hundredths", "%", 100 * median(ratios), goal=125)


def _beside(
    ours: Client, theirs: Client | None, kind: str, callers: int, server: str, latency: int | None
) -> Iterator[Figure]:
    """Both clients in turns. `latency` is the server's in ms, `None` where it isn't made."""
    calls = (_SLOW_CALLS if latency else _CALLS)[callers]
    mine: list[Round] = []
    other: list[Round] = []
    ours.round(kind, callers, 2)
    for _ in range(_ROUNDS):
        mine.append(ours.round(kind, callers, calls if latency else calls * 3))
        if theirs is not None:
            other.append(theirs.round(kind, callers, calls))
    where = f"{callers} {kind if callers > 1 else kind[:-1]}, {server}"
    yield from _rows("remote", where, mine)
    if not other:
        return
    yield from _rows("published", where, other)
    times = median([one.rate for one in mine]) / median([one.rate for one in other])
    # The goal is one of the client. With a server that takes its time, callers that wait for their answers make as many
    # calls a second as it lets them, whoever asks.
    wanted = _GOAL if callers == 64 and latency == 0 else None
    yield Figure(f"remote, times the decisions of published, {where}", "x", times, goal=wanted, at_least=True)


def _rows(who: str, where: str, rounds: Sequence[Round]) -> Iterator[Figure]:
    waits = [one.times for one in rounds]
    cpu = median([one.cpu for one in rounds])
    note = f"CPU {cpu:.0f} us a call, {rounds[-1].memory:.0f} MB over a bare interpreter"
    failed = sum(one.failed for one in rounds)
    note += f"; {failed} calls raised" if failed else ""
    yield Figure(f"{who}, {where}, decisions", "/s", median([one.rate for one in rounds]), note=note)
    yield Figure(f"{who}, {where}, one call", "us", middle(waits), middle(waits, 99))
