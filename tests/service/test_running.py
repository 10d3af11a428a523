"""Starting many processes at once, and ending one under load: nothing is made twice, nothing acknowledged is lost."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.keys import Keys
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from tests.service.processes import ServiceProcess
from tests.service.serving import ADMIN, POLICY, Caller, body, put_in_force, serving, until

PROCESSES = 8


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database with nothing in it, not even tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty/service.db"
        return
    with request.getfixturevalue("postgres_cluster").database() as url:
        yield url


def test_eight_processes_start_at_once_on_an_empty_database(empty_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "state"
    started: list[ServiceProcess] = []
    failed: list[BaseException] = []

    def start() -> None:
        try:
            started.append(ServiceProcess(empty_url, folder))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=start) for _ in range(PROCESSES)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert failed == []
        made = httpx.post(f"{started[0].base_url}/v1/integrations", json={"name": "shop"}, headers=ADMIN).json()
        caller = Caller(made)
        for one in started:
            with caller.client(one.base_url) as http:
                assert http.post("/v1/actions/evaluate", json=body(1)).json()["decision"] == "deny"
    finally:
        for one in started:
            one.close()
    service = Service(ServiceConfig.load({}, database_url=empty_url, state_dir=str(folder)))
    assert service.store.totals(0, by=())[0].decisions == PROCESSES
    service.close()


@pytest.fixture
def load(service_url: str, tmp_path: Path) -> Iterator[tuple[ServiceProcess, Service, Caller]]:
    folder = tmp_path / "state"
    service = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(folder)))
    put_in_force(service, POLICY)
    made, secret = service.integrations.create("shop", ["*"], "tests")
    process = ServiceProcess(service_url, folder)
    yield process, service, Caller({"id": made.id, "name": made.name, "shared_secret": secret})
    process.close()
    service.close()


def test_a_process_that_is_asked_to_end_loses_nothing_that_it_acknowledged(
    load: tuple[ServiceProcess, Service, Caller], tmp_path: Path
) -> None:
    process, service, caller = load
    answered: dict[str, str] = {}
    refused: list[int] = []

    def ask(number: int) -> None:
        with caller.client(process.base_url) as http:
            for count in range(1_000_000):
                name = f"{number}-{count}"
                try:
                    answer = http.post("/v1/actions/evaluate", json=body((1, 60, 500)[count % 3], id=name, digest=name))
                except httpx.TransportError:
                    return
                if answer.status_code != 200:
                    refused.append(answer.status_code)
                    return
                answered[name] = answer.json()["decision"]

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    until(lambda: len(answered) > 100)
    process.terminate()
    for thread in threads:
        thread.join()
    assert refused == []
    stored = {row.action_id: row.outcome for row in service.store.decisions(limit=1_000_000)}
    assert {name: stored.get(name) for name in answered} == answered
    # What was committed as the connection went is there once, at most one for each caller.
    assert len(stored) - len(answered) <= len(threads)
    keys = Keys.load(tmp_path / "state")
    assert service.store.verify([Sealer(keys.subkey("evidence"), keys.key_id)], []).findings == ()


def test_a_process_that_ends_is_not_ready(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state") as running:
        assert httpx.get(f"{running.base_url}/readyz", trust_env=False).status_code == 200
        running.service.wakeups.end()
        answer = httpx.get(f"{running.base_url}/readyz", trust_env=False)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert httpx.get(f"{running.base_url}/healthz", trust_env=False).status_code == 200
