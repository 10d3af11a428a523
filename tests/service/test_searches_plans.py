"""What an integration's desk asks is found by an index, or among a bounded number of rows: by SQLite's own plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from supervisor_guards._desk import DecisionQuery, ReviewQuery
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.service import searching
from supervisor_guards.service.database import open_database
from supervisor_guards.service.principals import Integration
from tests.statements import statements

SHOP = Integration("shop", "shop", ("*",))
NARROW = Integration("shop", "shop", ("refund", "payment"))
Plan = Callable[[str, Integration], list[str]]


def decisions(held: Connection, caller: Integration, **asked: Any) -> Any:
    return searching.find_decisions(held, caller, DecisionQuery(**asked), 50, None, include_shadow=True)


def reviews(held: Connection, caller: Integration, **asked: Any) -> Any:
    return searching.find_reviews(held, caller, ReviewQuery(**asked), 50, None, oldest_first=True)


ASKED: dict[str, Callable[[Connection, Integration], Any]] = {
    "decisions": decisions,
    "decisions by action": lambda held, caller: decisions(held, caller, action_type="refund"),
    "decisions by text": lambda held, caller: decisions(held, caller, text="ann"),
    "denials": lambda held, caller: decisions(held, caller, outcome="deny"),
    "reviews": reviews,
    "reviews by state": lambda held, caller: reviews(held, caller, status="pending"),
    "waiting": searching.waiting,
    "span": searching.span,
}


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Plan]:
    path = tmp_path / "new" / "service.db"
    store = open_database(f"sqlite:///{path}", Sealer.unsigned())

    def planned(name: str, caller: Integration) -> list[str]:
        with store.reading() as held, statements() as ran:
            ASKED[name](held, caller)
        connection = sqlite3.connect(path)
        wanted = [(text, values) for text, values in ran if text.split()[0] in ("SELECT", "WITH")]
        found = [row[3] for text, values in wanted for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        connection.close()
        return found

    yield planned
    store.close()


@pytest.mark.parametrize("caller", [SHOP, NARROW], ids=["shop", "narrow"])
@pytest.mark.parametrize("name", ASKED)
def test_no_table_is_read_from_end_to_end(plan: Plan, name: str, caller: Integration) -> None:
    found = plan(name, caller)
    assert any("sg_" in step for step in found)
    for step in found:
        assert not step.startswith(("SCAN sg_decisions", "SCAN sg_reviews")), found
