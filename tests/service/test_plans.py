"""What the API reads is found by an index or from sums, however long the history: by SQLite's own plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from supervisor_guards.service import reading
from supervisor_guards.service.api import operations
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.metrics import summary
from supervisor_guards.service.principals import Integration, Person
from tests.statements import statements

SHOP = Integration("shop", "shop", ("*",))
NARROW = Integration("shop", "shop", ("refund", "payment"))
ALL = Person("", "admin token", "administrator")

QUERIES: dict[str, Callable[[Connection], Any]] = {
    "metrics of one application": lambda held: summary(held, "30d", SHOP),
    "metrics of some action types": lambda held: summary(held, "7d", NARROW),
    "metrics of all": lambda held: summary(held, "24h", ALL),
    "own decisions": lambda held: reading.find_decisions(held, SHOP, 50),
    "all decisions": lambda held: reading.find_decisions(held, ALL, 50, before=1_000),
    "own denials": lambda held: reading.find_decisions(held, SHOP, 50, outcome="deny"),
    "decisions of a page of reviews": lambda held: reading.decisions_of(held, ["a", "b"]),
    "own reviews that wait": lambda held: reading.find_reviews(held, SHOP, "pending", 50),
    "own reviews that were approved": lambda held: reading.find_reviews(held, SHOP, "approved", 50),
    "own reviews that were rejected, the next page": lambda held: reading.find_reviews(
        held, SHOP, "rejected", 50, (1_000, 7)
    ),
    "reviews that wait": lambda held: reading.find_reviews(held, ALL, "pending", 50),
}


@pytest.fixture
def service(made_sqlite: Path, tmp_path: Path) -> Service:
    return Service(ServiceConfig.load({}, state_dir=str(tmp_path / "state")))


def _plan(service: Service, call: Callable[[], Any]) -> list[str]:
    """The steps of every query that `call` runs."""
    with statements() as ran:
        call()
    connection = sqlite3.connect(service.config.url.removeprefix("sqlite:///"))
    selects = [(text, values) for text, values in ran if text.lstrip().startswith("SELECT")]
    found = [row[3] for text, values in selects for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
    connection.close()
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(service: Service, name: str) -> None:
    def call() -> None:
        with service.store.reading() as held:
            QUERIES[name](held)

    steps = _plan(service, call)
    service.close()
    assert steps
    assert [step for step in steps if step.startswith("SCAN") and "json" not in step] == []
    assert not any("TEMP B-TREE FOR ORDER BY" in step for step in steps)


def test_metrics_never_read_decisions_or_reviews(service: Service) -> None:
    def call() -> None:
        with service.store.reading() as held:
            summary(held, "30d", SHOP)

    steps = " ".join(_plan(service, call))
    service.close()
    assert "sg_counts" in steps
    assert "sg_decisions" not in steps
    assert "sg_reviews" not in steps


def test_what_waits_is_counted_by_small_indexes(service: Service) -> None:
    steps = _plan(service, lambda: operations.standing(service))
    service.close()
    assert [step for step in steps if step.startswith("SCAN") and "sv_subscriptions" not in step] == []
    assert any("sv_deliveries_" in step for step in steps)
    assert any("sg_reviews_status" in step or "sg_reviews_due" in step for step in steps)
