"""The record: what its evidence costs, how fast it is checked, and how a long log answers."""

from __future__ import annotations

import functools
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, median, percentile
from benchmarks.scale import Scale

_BATCH = 1_000
_RARE = 10_000
"""One decision in so many is a refusal, of an action type of its own; and as many reviews wait."""


def figures(scale: Scale) -> Iterator[Figure]:
    """Evidence first, then a log of `scale.log_rows` decisions."""
    yield from _evidence(scale)
    yield from _redemption(scale)
    yield from _long_log(scale)


def _evidence(scale: Scale) -> Iterator[Figure]:
    """Batches into two stores, by turns: with the hashes, and with constants in their place."""
    from supervisor_guards.embedded.evidence import Sealer
    from supervisor_guards.embedded.store import Store

    class Constant(Sealer):
        def _hash(self, purpose: bytes, values: Sequence[Any]) -> str:
            return "0" * 32

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        sides = {
            sealer: Store(f"sqlite:///{name}/{number}/decisions.db", sealer=sealer)
            for number, sealer in enumerate((Sealer(b"k" * 32, "key"), Constant(b"", "key")))
        }
        rates: list[list[float]] = [[], []]
        for turn in scale.in_time():
            for side, store in enumerate(sides.values()):
                rows = [_row(turn * 10_000_000 + number) for number in range(4 * _BATCH)]
                started = time.perf_counter()
                for start in range(0, len(rows), _BATCH):
                    store.write(rows[start : start + _BATCH])
                rates[side].append(len(rows) / (time.perf_counter() - started))
        yield Figure("rows stored in batches of 1,000, sealed", "/s", median(rates[0]))
        kept = median([100 * with_ / without for with_, without in zip(*rates, strict=True)])
        yield Figure("of the rows stored without hashes", "%", kept)
        sealer, store = next(iter(sides.items()))
        checked = []
        for _ in scale.in_time(0.5):
            started = time.perf_counter()
            report = store.verify([sealer])
            checked.append(report.decisions / (time.perf_counter() - started))
            if report.findings:
                raise RuntimeError(f"the record doesn't verify: {report.findings[0]}")
        yield Figure("verify, rows checked", "/s", median(checked))
        for store in sides.values():
            store.close()


def _redemption(scale: Scale) -> Iterator[Figure]:
    """One approval used up: lock, check of its seal, update, event, commit with fsync."""
    from supervisor_guards.embedded import transitions
    from supervisor_guards.embedded.evidence import Sealer
    from supervisor_guards.embedded.store import Store

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        store = Store(f"sqlite:///{name}/decisions.db", sealer=Sealer(b"k" * 32, "key"))
        taken = []
        for number in range(200):
            row = _row(number, outcome="review", digest=str(number))
            store.write_with_review(row, row.time + 10**12)
            store.resolve(row.action_id, "approved", "bob", valid_until=2 * row.time)
            redeem = functools.partial(store.redeem, row.action_id, transitions.Claim(str(number)))
            taken.append(_microseconds(redeem))
        store.close()
    yield Figure("one approval redeemed", "us", percentile(taken, 50), percentile(taken, 99))


def _long_log(scale: Scale) -> Iterator[Figure]:
    from supervisor_guards.embedded.store import Store

    with tempfile.TemporaryDirectory(prefix="supervisor-benchmark-") as name:
        path = Path(name) / "decisions.db"
        store = Store(f"sqlite:///{path}")
        for start in range(0, scale.log_rows, _BATCH):
            store.write([_row(number) for number in range(start, min(start + _BATCH, scale.log_rows))])
        for number in range(scale.log_rows // _RARE * 10):
            row = _row(scale.log_rows + number, outcome="review")
            store.write_with_review(row, row.time + 10**15)
        for name_, query in _queries(store).items():
            times = [_microseconds(query) / 1_000 for _ in range(5)]
            yield Figure(
                f"{scale.log_rows:,} decisions: {name_}",
                "ms",
                median(times),
                max(times),
                goal=1_000,
                note=_plan(path, query),
            )
        store.close()


def _queries(store: Any) -> dict[str, Callable[[], Any]]:
    return {
        "the newest page": lambda: store.decisions(100),
        "a page in the middle": lambda: store.decisions(100, before=5_000),
        "a rare action": lambda: store.decisions(100, action_type="payment"),
        "a rare action that isn't there": lambda: store.decisions(100, action_type="nothing"),
        "what would be denied": lambda: store.decisions(100, would_have="deny"),
        "what was denied": lambda: store.decisions(100, outcome="deny", status="evaluated"),
        "what was unavailable": lambda: store.decisions(100, status="unavailable"),
        "one action id": lambda: store.decision("action-0000000042"),
        "reviews that wait longest": lambda: store.reviews("pending", 100, after=0),
        "how many reviews wait": store.waiting,
        "a review by its first characters": lambda: store.reviews_named("action-00010000"),
        "totals by action and mode": lambda: store.totals(0),
        "hits by rule": lambda: store.rule_totals(0),
        "p50, p95, p99": lambda: store.latency(0),
    }


def _plan(path: Path, query: Callable[[], Any]) -> str:
    """How SQLite answers: the plan of each statement that `query` runs."""
    import sqlite3

    from sqlalchemy import event
    from sqlalchemy.engine import Engine

    ran: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        ran.append((statement, parameters))

    event.listen(Engine, "before_cursor_execute", keep)
    try:
        query()
    finally:
        event.remove(Engine, "before_cursor_execute", keep)
    connection = sqlite3.connect(path)
    try:
        found = [
            row[3]
            for statement, parameters in ran
            if statement.lstrip().startswith("SELECT")
            for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)
        ]
    finally:
        connection.close()
    return "; ".join(dict.fromkeys(found))


def _microseconds(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return (time.perf_counter() - started) * 1_000_000


def _row(number: int, **changes: Any) -> Any:
    from supervisor_guards._model import Hit
    from supervisor_guards.embedded.rows import DecisionRow

    rare = number % _RARE == 7
    fields: dict[str, Any] = {
        "action_id": f"action-{number:010}",
        "time": 1_800_000_000_000_000 + number * 1_000,
        "app_id": "shop",
        "action_type": "payment" if rare else "refund",
        "mode": "shadow",
        "enforced": False,
        "outcome": "allow",
        "would_have": "deny" if rare else "allow",
        "hits": (Hit("hard-cap", "deny", "amount-exceeds-hard-cap"),) if rare else (),
        "rule_ids": ("hard-cap",) if rare else (),
        "policy_name": "refund.base",
        "policy_version": "1",
        "policy_hash": "ab" * 32,
        "payload": '{"order_id":"pi_3OaBcDeFgHiJkLmN","amount":4200,"currency":"USD","customer_id":"cus_8842"}',
        "digest": "cd" * 32,
        "latency_us": 37 + number % 50,
        "result": "returned",
    }
    return DecisionRow(**{**fields, **changes})
