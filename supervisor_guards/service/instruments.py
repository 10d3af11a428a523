"""What Prometheus reads of the service: counted by each process, and told by whichever process is asked.

Where `PROMETHEUS_MULTIPROC_DIR` names a folder (`supervisor-guards serve --workers N` makes one), the processes of a
host count into files there, and each tells the sums of all of them. The library reads the variable when it is imported.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector

from supervisor_guards.embedded.rows import DecisionRow

__all__ = ["CONTENT_TYPE", "FOLDER", "Instruments", "Standing"]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
FOLDER = "PROMETHEUS_MULTIPROC_DIR"
OTHER = "(other)"
"""The action type of what no policy covers: callers make such names up, and each would be a series of its own."""
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000)


class Standing(msgspec.Struct, frozen=True):
    """A family that is read from the database: its numbers by state, `""` where it has one number alone."""

    name: str
    text: str
    numbers: Mapping[str, float]
    counts: bool = False
    """Whether it only ever grows."""


class Instruments:
    """The counters of one process."""

    def __init__(self) -> None:
        self._shared = os.environ.get(FOLDER)
        registry = self._registry = CollectorRegistry()
        self._requests = Histogram(
            "supervisor_request_seconds",
            "Requests, by the route that answered.",
            ("method", "route", "status"),
            buckets=_SECONDS,
            registry=registry,
        )
        self._decisions = Counter(
            "supervisor_decisions",
            "Decisions that were stored. decision is the policy's; in shadow nobody was held up by it.",
            ("action", "decision", "mode"),
            registry=registry,
        )
        self._dropped = Counter(
            "supervisor_dropped", "Shadow calls that were answered without being judged.", registry=registry
        )
        self._commits = Histogram(
            "supervisor_commit_seconds", "Transactions of decisions.", buckets=_SECONDS, registry=registry
        )
        self._rows = Histogram(
            "supervisor_commit_rows", "Decisions in one transaction.", buckets=_ROWS, registry=registry
        )
        self._waiting = Gauge(
            "supervisor_queue_rows",
            "Decisions that wait to be committed.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        # A labelled series takes longer to look up than to count.
        self._known: dict[tuple[str, ...], Any] = {}

    def requested(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request was answered by the route of this template."""
        key = (method, route, str(status))
        series = self._known.get(key)
        if series is None:
            series = self._known[key] = self._requests.labels(*key)
        series.observe(seconds)

    def decided(self, row: DecisionRow) -> None:
        """A decision was stored."""
        key = ("", row.action_type if row.policy_name is not None else OTHER, row.would_have or row.outcome, row.mode)
        series = self._known.get(key)
        if series is None:
            series = self._known[key] = self._decisions.labels(*key[1:])
        series.inc()

    def dropped(self) -> None:
        """A shadow call ran unjudged."""
        self._dropped.inc()

    def committed(self, rows: int, seconds: float, waiting: int) -> None:
        """A transaction of decisions ended, and so many rows wait for the next one."""
        self._commits.observe(seconds)
        self._rows.observe(rows)
        self._waiting.set(waiting)

    def text(self, found: Sequence[Standing]) -> bytes:
        """All of it as Prometheus reads it. `found` is what the database knows."""
        registry = self._registry
        if self._shared:
            registry = CollectorRegistry()
            MultiProcessCollector(registry, self._shared)  # type: ignore[no-untyped-call]
        read = CollectorRegistry()
        read.register(_Found(found))
        return generate_latest(registry) + generate_latest(read)

    def close(self) -> None:
        """This process waits for nothing any more."""
        if self._shared:
            mark_process_dead(os.getpid(), self._shared)  # type: ignore[no-untyped-call]


class _Found(Collector):
    def __init__(self, found: Sequence[Standing]) -> None:
        self._found = found

    def collect(self) -> Iterable[Any]:
        for one in self._found:
            kind = CounterMetricFamily if one.counts else GaugeMetricFamily
            family = kind(one.name, one.text, labels=() if "" in one.numbers else ("state",))
            for state, number in one.numbers.items():
                family.add_metric((state,) if state else (), number)
            yield family
