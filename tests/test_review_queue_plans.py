"""The queue is read in its own order by its index, by the plans that the databases make of many rows."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy import Connection

from supervisor_guards._desk import ReviewQuery
from supervisor_guards._records import queue_cursor
from supervisor_guards.embedded.queue import find_queue
from supervisor_guards.embedded.schema import reviews
from supervisor_guards.embedded.store import Store
from tests.statements import statements

ALL, WAITING = 40_000, 2_000
"""The newest wait."""
FILLED = """
INSERT INTO sg_reviews (action_id, app_id, created_at, expires_at, status, digest, subject, action_type, payload,
    reasons, priority, segment)
SELECT 'a' || n, 'shop', n, 9000000000000000, CASE WHEN n > {decided} THEN 'pending' ELSE 'used' END, 'd' || n, 'ann',
    'refund', '{{"amount"\\:2000,"order"\\:"A-' || n || '"}}', '["odd"]', CASE n % 50 WHEN 0 THEN 0 WHEN 1 THEN 1
    WHEN 2 THEN 3 ELSE 2 END, 0
FROM {numbers} AS numbers
"""
NUMBERS = {
    "sqlite": "(WITH RECURSIVE counted(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < {all}) "
    "SELECT n FROM counted)",
    "postgresql": "(SELECT generate_series(1, {all}) AS n)",
}
PAGES: dict[str, tuple[ReviewQuery, int | None]] = {
    "the first": (ReviewQuery(), None),
    "the first, by its status too": (ReviewQuery(status="pending"), None),
    "one in the middle": (ReviewQuery(), queue_cursor(2, ALL - WAITING // 2)),
    "one priority": (ReviewQuery(priority="high"), queue_cursor(1, ALL - WAITING + 500)),
}
SEARCHES: dict[str, tuple[ReviewQuery, int | None]] = {
    "by text": (ReviewQuery(text="nobody", priority="normal"), None),
    "by subject, further on": (ReviewQuery(subject="bob"), queue_cursor(1, ALL - WAITING + 500)),
}


class Filled:
    """A store with many reviews, and what its database plans to do."""

    def __init__(self, url: str) -> None:
        self.engine = sa.create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        numbers = NUMBERS[self.engine.dialect.name].format(all=ALL)
        with self.engine.begin() as held:
            held.execute(sa.text(FILLED.format(decided=ALL - WAITING, numbers=numbers)))
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as held:
            # As a server does by itself: after it, an index tells what is in it without the table.
            held.execute(sa.text("VACUUM" if held.dialect.name == "sqlite" else "VACUUM ANALYZE"))
            held.execute(sa.text("ANALYZE"))

    def steps(self, read: Callable[[Connection], Any]) -> list[str]:
        """One text for each statement that `read` runs: what the planner chose, by itself."""
        with self.engine.connect() as held:
            with statements() as ran:
                read(held)
            return [self._plan(held, *one) for one in ran]

    def _plan(self, held: Connection, statement: str, parameters: Any) -> str:
        if self.engine.dialect.name == "sqlite":
            found = held.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            return "; ".join(row[3] for row in found)
        raw: psycopg.Connection[Any] = held.connection.driver_connection  # type: ignore[assignment]
        (plan,) = raw.execute(f"EXPLAIN (FORMAT JSON) {statement}", parameters).fetchone() or ("",)
        return json.dumps(plan)


@pytest.fixture
def filled(store_url: str) -> Iterator[Filled]:
    Store(store_url).close()
    made = Filled(store_url)
    with contextlib.closing(Store(store_url)):
        yield made
    made.engine.dispose()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_of_the_queue_is_a_stretch_of_its_index(filled: Filled, name: str) -> None:
    query, cursor = PAGES[name]
    (step,) = filled.steps(lambda held: find_queue(held, query, 50, cursor))
    assert "sg_reviews_queue" in step
    assert not any(word in step for word in ("Seq Scan", "Sort", "SCAN", "TEMP B-TREE")), step


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_looks_at_those_that_wait_alone(filled: Filled, name: str) -> None:
    query, cursor = SEARCHES[name]
    steps = filled.steps(lambda held: find_queue(held, query, 50, cursor))
    assert any("sg_reviews_queue" in step for step in steps)
    for step in steps:
        assert not any(word in step for word in ("Seq Scan", "SCAN", "TEMP B-TREE")), step


def test_an_applications_own_are_looked_for_among_those_that_wait(filled: Filled) -> None:
    own = [reviews.c.app_id == "other"]
    steps = filled.steps(lambda held: find_queue(held, ReviewQuery(), 50, None, own))
    for step in steps:
        assert "sg_reviews_" in step
        assert not any(word in step for word in ("Seq Scan", "SCAN")), step
