"""Policies are found by an index, however many versions there are: by SQLite's own plan."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.store import Store
from supervisor_guards.policy.document import read_policies
from supervisor_guards.service.database import open_database
from supervisor_guards.service.policies import StoredPolicies
from supervisor_guards.service.replaying import Replay
from supervisor_guards.service.versions import Versions, read_one
from tests.service.policies import document
from tests.statements import statements

CURSOR = (10**15, "0" * 32)
QUERIES: dict[str, Callable[[Store], Any]] = {
    "page": lambda store: Versions(store).list(10),
    "next page": lambda store: Versions(store).list(10, before=CURSOR),
    "in force": lambda store: Versions(store).list(10, active=True),
    "of an action type": lambda store: Versions(store).list(10, action_type="refund"),
    "what judges": lambda store: StoredPolicies(store),
    "storing": lambda store: Versions(store).create(read_one(document("refund", 2)), "tests"),
    "promoting": lambda store: Versions(store).create(read_one(document("refund", 3)), "tests", promote=True),
    "replay": lambda store: Replay(store, read_policies(document("refund"))[0], "24h").step(),
    "size of a replay": lambda store: Replay(store, read_policies(document("refund"))[0], "24h").expected(),
}
FIRST = {"page", "next page"}
"""What is read along an index, from its end on, as far as the page goes."""


@pytest.fixture
def plan(tmp_path: Path) -> Iterator[Callable[[str], list[str]]]:
    path = tmp_path / "new" / "service.db"
    store = open_database(f"sqlite:///{path}", Sealer.unsigned())
    Versions(store).create(read_one(document("refund")), "tests", promote=True)

    def planned(name: str) -> list[str]:
        with statements() as ran:
            QUERIES[name](store)
        connection = sqlite3.connect(path)
        wanted = [(text, values) for text, values in ran if text.split()[0] in ("SELECT", "UPDATE", "WITH")]
        found = [row[3] for text, values in wanted for row in connection.execute(f"EXPLAIN QUERY PLAN {text}", values)]
        connection.close()
        return found

    yield planned
    store.close()


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(plan: Callable[[str], list[str]], name: str) -> None:
    steps = plan(name)
    assert steps
    scans = [step for step in steps if (step.startswith("SCAN") and "sv_" in step) or "SCAN sg_decisions" in step]
    if name in FIRST:
        assert not any("TEMP B-TREE" in step for step in steps)
        scans = [step for step in scans if "USING INDEX sv_policies_created" not in step]
    # What is in force, and which webhooks are on, is all that their partial indexes hold.
    partial = ("INDEX sv_policy_actions_one", "INDEX sv_subscriptions_active")
    assert [step for step in scans if not any(index in step for index in partial)] == []
