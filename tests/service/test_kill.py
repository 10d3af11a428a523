"""`kill -9` of one of two processes under load, again and again: what was acknowledged is there, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.callers import Load
from tests.service.processes import ServiceProcess
from tests.service.serving import POLICY, Caller, put_in_force, until

KILLS = 20


@pytest.fixture
def postgres_url(service_cluster: Any) -> Iterator[str]:
    """An empty database of the service on PostgreSQL."""
    with service_cluster.database("service") as url:
        yield url


def test_twenty_kills_lose_nothing_that_was_acknowledged_and_nothing_is_there_twice(
    postgres_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "state"
    service = Service(ServiceConfig.load({}, database_url=postgres_url, state_dir=str(folder)))
    put_in_force(service, POLICY)
    made, secret = service.integrations.create("shop", ["*"], "tests")
    caller = Caller({"id": made.id, "name": made.name, "shared_secret": secret})
    processes = [ServiceProcess(postgres_url, folder) for _ in range(2)]
    load = Load(caller, processes)
    try:
        for number in range(KILLS):
            seen = len(load.answers)
            until(lambda seen=seen: len(load.answers) > seen + 10)  # it is at work
            processes[number % 2].kill()
            processes[number % 2].start()
    finally:
        load.stop()
        for one in processes:
            one.close()
    assert load.wrong == []
    decisions = {row.action_id: row for row in service.store.decisions(limit=1_000_000)}
    assert service.store.totals(0, by=())[0].decisions == len(decisions)
    reviews = {case.action_id: case for case in service.store.reviews(limit=1_000_000)}
    assert len(load.answers) > 10 * KILLS
    for name, answer in load.answers.items():
        row = decisions[name]
        assert (row.outcome, row.app_id, list(row.reasons) or ["passes-policy-and-risk"]) == (
            answer["decision"],
            made.id,
            answer["reasons"],
        )
        assert (name in reviews) is (answer["decision"] == "review")
    for name, (decision, notes) in load.resolved.items():
        used = decision == "approved" and name in load.tried
        assert (reviews[name].status, reviews[name].notes) == ("used" if used else decision, notes)
    assert load.redeemed <= load.tried <= load.resolved.keys()
    assert load.redeemed
    keys = Keys.load(folder)
    report = service.store.verify([Sealer(keys.subkey("evidence"), keys.key_id)], [])
    assert report.findings == ()
    assert report.decisions == len(decisions)
    service.close()
