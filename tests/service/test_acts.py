"""What administrators did is found by an index, however much else the record holds, on each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from supervisor_guards.embedded.rows import DecisionRow, Event, now_us
from supervisor_guards.service import acts
from supervisor_guards.service.acts import Act, act
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.statements import statements

KINDS = ("integration", "person", "person", "webhook", "policy")
QUERIES: dict[str, tuple[Callable[[Connection], list[Act]], str]] = {
    "all": (lambda held: acts.find(held, 10), "sv_acts"),
    "the next page": (lambda held: acts.find(held, 10, 900), "sv_acts"),
    "of one person": (lambda held: acts.find(held, 10, by="ann"), "sv_acts_by"),
    "of one person, the next page": (lambda held: acts.find(held, 10, 900, by="ann"), "sv_acts_by"),
    "on one kind": (lambda held: acts.find(held, 10, kind="policy"), "sv_acts_policy"),
    "on one kind, the next page": (lambda held: acts.find(held, 10, 900, kind="policy"), "sv_acts_policy"),
    **{f"on a {kind}": (partial(acts.find, limit=10, kind=kind), f"sv_acts_{kind}") for kind in acts.KINDS},
    "of one person on one kind": (lambda held: acts.find(held, 10, by="ann", kind="policy"), "sv_acts_"),
    "on one thing": (lambda held: acts.find(held, 10, about="policy:a@v1"), "sg_events_action"),
}


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Iterator[Service]:
    """A process whose record holds a hundred acts among many more events."""
    opened = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(tmp_path / "state")))
    now = now_us()
    rows = [
        DecisionRow(action_id=f"a-{number}", time=now, action_type="refund", mode="enforce", enforced=True,
                    outcome="allow")
        for number in range(2_000)
    ]  # fmt: skip

    def work(_held: Connection, note: Callable[[Event], None]) -> None:
        for number in range(100):
            note(act(KINDS[number % 5], f"{'a@v1' if number == 4 else number}", "ann" if number % 2 else "bob", "did"))
            for row in rows[number * 20 : number * 20 + 20]:
                note(Event(action_id=row.action_id, time=now, kind="returned"))

    opened.store.write(rows)
    opened.store.transact(work)
    yield opened
    opened.close()


def _plan(service: Service, call: Callable[[Connection], Any]) -> list[str]:
    """The steps of every query that `call` runs, with their indexes."""
    with service.store.reading() as held:
        with statements() as ran:
            call(held)
        sqlite = held.dialect.name == "sqlite"
        if not sqlite:
            held.exec_driver_sql("ANALYZE sg_events")
        explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
        return [str(row[-1]) for text, values in ran for row in held.exec_driver_sql(explain + text, values)]


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(service: Service, name: str) -> None:
    call, index = QUERIES[name]
    steps = _plan(service, call)
    assert any(index in step for step in steps), steps
    assert not any("Seq Scan" in step or "USE TEMP B-TREE" in step for step in steps), steps


def test_each_filter_finds_what_it_says(service: Service) -> None:
    def found(**asked: Any) -> list[Act]:
        with service.store.reading() as held:
            return acts.find(held, 1_000, **asked)

    everything = [one for one in found() if one.by in ("ann", "bob")]
    assert len(everything) == 100
    assert [one.id for one in everything] == sorted((one.id for one in everything), reverse=True)
    assert {one.what for one in everything} == {"did"}
    assert found(by="ann") == [one for one in everything if one.by == "ann"]
    for kind in acts.KINDS:
        assert [one for one in found(kind=kind) if one in everything] == [one for one in everything if one.kind == kind]
    assert found(by="bob", kind="policy") == [one for one in everything if (one.by, one.kind) == ("bob", "policy")]
    assert [one.subject for one in found(about="policy:a@v1")] == ["a@v1"]
    assert found(before=everything[50].id, by="ann") == [one for one in everything[51:] if one.by == "ann"]


def test_what_things_are_called_is_found_with_them(service: Service) -> None:
    made, _ = service.integrations.create("till", ["*"], "ann")
    dana = service.people.create("dana", "viewer", "ann")
    with service.store.reading() as held:
        page = acts.find(held, 3)
        assert acts.names(held, page) == {("integration", made.id): "till", ("person", dana.id): "dana"}
