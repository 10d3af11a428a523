"""Every list and every sum is found by an index or a roll-up, however long the log: by the databases' own plans."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from supervisor_guards._desk import DecisionQuery, ReviewQuery
from supervisor_guards._records import queue_cursor
from supervisor_guards.embedded.store import Store
from tests.statements import statements

QUERIES: dict[str, Callable[[Store], Any]] = {
    "older page": lambda store: store.decisions(before=1_000),
    "newer page": lambda store: store.decisions(after=1_000),
    "action": lambda store: store.decisions(action_type="refund"),
    "denied": lambda store: store.decisions(outcome="deny", status="evaluated"),
    "would deny": lambda store: store.decisions(would_have="deny"),
    "unavailable": lambda store: store.decisions(status="unavailable"),
    "one decision": lambda store: store.decision("a1"),
    "one review": lambda store: store.reviews_named("a1"),
    "found by route": lambda store: store.find_decisions(DecisionQuery(route="POST /refunds"), 50, None),
    "found by rule": lambda store: store.find_decisions(DecisionQuery(rule="cap"), 50, 1_000),
    "found by text": lambda store: store.find_decisions(DecisionQuery(text="ann", mode="shadow"), 50, None),
    "found by window": lambda store: store.find_decisions(DecisionQuery(since=1, until=9, outcome="deny"), 50, None),
    "reviews by text": lambda store: store.find_reviews(ReviewQuery(text="ann", status="pending"), 50, None, True),
    "reviews by window": lambda store: store.find_reviews(ReviewQuery(since=1, until=9), 50, None),
    "reviews in the queue": lambda store: store.queue(ReviewQuery(), 50, None),
    "reviews in the queue, further on": lambda store: store.queue(ReviewQuery(), 50, queue_cursor(1, 70)),
    "reviews in the queue, of one priority": lambda store: store.queue(ReviewQuery(priority="high"), 50, None),
    "reviews in the queue, by text": lambda store: store.queue(ReviewQuery(text="ann"), 50, queue_cursor(1, 70)),
    "windows": lambda store: store.recorded([(0, 60_000_000), (60_000_000, 120_000_000)]),
    "span": lambda store: store.span(),
    "choices": lambda store: store.choices(),
    "pending": lambda store: store.reviews("pending", after=0),
    "rejected": lambda store: store.reviews("rejected"),
    "waiting": lambda store: store.waiting(),
    "totals": lambda store: store.totals(1),
    "rules": lambda store: store.rule_totals(1),
    "spans": lambda store: store.spans(1, 60, 30),
    "latency": lambda store: store.latency(1),
    "dropped": lambda store: store.dropped(1),
    "end of the chain": lambda store: store.anchor(),
}


FACTS = ("windows", "span", "choices")
SCANS = {
    # The end of the chain is the first row that a scan from the newest back meets; so are the newest roll-ups.
    "end of the chain": {"SCAN sg_segments"},
    "choices": {
        "SCAN sg_counts USING COVERING INDEX sqlite_autoindex_sg_counts_1",
        "SCAN sg_rule_counts USING COVERING INDEX sqlite_autoindex_sg_rule_counts_1",
    },
}


Statement = tuple[str, Any]


def ran_by(query: Callable[[Store], Any], store: Store) -> list[Statement]:
    """The statements that read for `query`."""
    with statements() as ran:
        query(store)
    return [(text, values) for text, values in ran if text.lstrip().startswith(("SELECT", "WITH"))]


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    path = tmp_path / "decisions.db"
    store = Store(f"sqlite:///{path}")

    def planned(name: str) -> list[str]:
        selects = ran_by(QUERIES[name], store)
        with contextlib.closing(sqlite3.connect(path)) as connection:
            return [
                row[3].replace("SCAN TABLE ", "SCAN ")
                for text, values in selects
                for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)
            ]

    yield planned
    store.close()


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(plan: Callable[[str], list[str]], name: str) -> None:
    steps = plan(name)
    assert steps
    assert {step for step in steps if step.startswith("SCAN sg_")} <= SCANS.get(name, set())
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps if name not in ("totals", "rules"))


@pytest.mark.parametrize("name", [name for name in QUERIES if name.startswith(("found", "reviews")) or name in FACTS])
def test_postgresql_has_an_index_for_what_people_look_for(name: str, postgres_cluster: Any) -> None:
    """Small tables are read whole whatever there is; with that forbidden, the plan shows what an index can do."""
    with postgres_cluster.database("current") as url:
        store = Store(url)
        try:
            selects = ran_by(QUERIES[name], store)
        finally:
            store.close()
        with psycopg.connect(url) as connection:
            connection.execute("SET enable_seqscan = off")
            steps = [row[0] for text, values in selects for row in connection.execute(f"EXPLAIN {text}", values)]
    assert steps
    assert [step for step in steps if "Seq Scan on sg_" in step] == []
