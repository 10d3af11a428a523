"""A store whose tables another program makes is checked, and never made or changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from supervisor_guards.embedded import open_store, opening
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.ledger import DecisionRow

COMMAND = "`shop migrate`"
ROW = DecisionRow(action_id="a1", time=1, action_type="refund", mode="shadow", enforced=False, outcome="allow")


def run(url: str, *statements: str) -> None:
    engine = opening.connect(opening.parse(url))
    with engine.begin() as held:
        for statement in statements:
            held.exec_driver_sql(statement)
    engine.dispose()


def refusal(url: str, migrated_by: str | None = COMMAND) -> str:
    with pytest.raises(StoreUnavailable) as caught:
        open_store(url, migrated_by=migrated_by)
    return str(caught.value)


def test_tables_that_are_there_are_used(store_url: str) -> None:
    open_store(store_url).close()
    with closing(open_store(store_url, migrated_by=COMMAND)) as store:
        store.write([ROW])
        assert [row.action_id for row in store.decisions()] == ["a1"]


def test_missing_tables_are_named_with_the_command_and_not_made(new_store_url: str) -> None:
    if new_store_url.startswith("sqlite"):
        file = Path(new_store_url.removeprefix("sqlite:///"))
        assert refusal(new_store_url) == f"the decision store {file} isn't there: run {COMMAND}"
        assert not file.parent.exists()
        file.parent.mkdir(parents=True)
        file.touch()
    for _ in range(2):
        told = refusal(new_store_url)
        assert "has no sg_decisions, sg_events, " in told
        assert told.endswith(f"sg_meta: run {COMMAND}")


def test_a_table_of_an_earlier_release_is_named_by_its_missing_column(store_url: str) -> None:
    open_store(store_url).close()
    run(store_url, "ALTER TABLE sg_decisions DROP COLUMN latency_us")
    assert f"has no sg_decisions.latency_us: run {COMMAND}" in refusal(store_url)


def test_a_schema_of_a_newer_release_is_refused(store_url: str) -> None:
    open_store(store_url).close()
    newer = "PRAGMA user_version = 99" if store_url.startswith("sqlite") else "UPDATE sg_meta SET value = '99'"
    run(store_url, newer)
    assert "has schema 99" in refusal(store_url)


def test_tables_of_another_s_making_are_not_upgraded(store_url: str) -> None:
    open_store(store_url).close()
    older = "PRAGMA user_version = 1" if store_url.startswith("sqlite") else "UPDATE sg_meta SET value = '1'"
    run(store_url, "DROP TABLE sg_alembic_version", older)
    assert "another program's migrations" in refusal(store_url, None)


def test_an_emptied_store_goes_on(store_url: str) -> None:
    with closing(open_store(store_url)) as store:
        store.write([ROW])
    run(store_url, *(f"DELETE FROM {name}" for name in ("sg_decisions", "sg_segments", "sg_counts", "sg_meta")))
    with closing(open_store(store_url, migrated_by=COMMAND)) as store:
        store.write([ROW])
        assert [row.action_id for row in store.decisions()] == ["a1"]
