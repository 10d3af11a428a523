"""Every list and every sum is found by an index or a roll-up, however long the log: by SQLite's own plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine

from supervisor_guards.embedded.store import Store

QUERIES: dict[str, Callable[[Store], Any]] = {
    "older page": lambda store: store.decisions(before=1_000),
    "newer page": lambda store: store.decisions(after=1_000),
    "action": lambda store: store.decisions(action_type="refund"),
    "denied": lambda store: store.decisions(outcome="deny", status="evaluated"),
    "would deny": lambda store: store.decisions(would_have="deny"),
    "unavailable": lambda store: store.decisions(status="unavailable"),
    "one decision": lambda store: store.decision("a1"),
    "one review": lambda store: store.reviews_named("a1"),
    "pending": lambda store: store.reviews("pending", after=0),
    "rejected": lambda store: store.reviews("rejected"),
    "waiting": lambda store: store.waiting(),
    "totals": lambda store: store.totals(1),
    "rules": lambda store: store.rule_totals(1),
    "latency": lambda store: store.latency(1),
    "dropped": lambda store: store.dropped(1),
    "end of the chain": lambda store: store.anchor(),
}


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    path = tmp_path / "decisions.db"
    store = Store(f"sqlite:///{path}")
    ran: list[tuple[str, Any]] = []

    def keep(connection: Any, cursor: Any, statement: str, parameters: Any, *more: Any) -> None:
        ran.append((statement, parameters))

    def planned(name: str) -> list[str]:
        event.listen(Engine, "before_cursor_execute", keep)
        try:
            QUERIES[name](store)
        finally:
            event.remove(Engine, "before_cursor_execute", keep)
        connection = sqlite3.connect(path)
        selects = [(text, values) for text, values in ran if text.lstrip().startswith("SELECT")]
        found = [row[3] for text, values in selects for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        connection.close()
        return found

    yield planned
    store.close()


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(plan: Callable[[str], list[str]], name: str) -> None:
    steps = plan(name)
    assert steps
    # The end of the chain is the first row that a scan from the newest back meets.
    allowed = {"SCAN sg_segments", "SCAN TABLE sg_segments"} if name == "end of the chain" else set()
    assert [step for step in steps if step.startswith("SCAN") and step not in allowed] == []
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps if name not in ("totals", "rules"))
