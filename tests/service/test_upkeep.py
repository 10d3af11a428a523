"""Retention and anchors of the service: one process at a time, and another one when that is gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Connection, delete, insert, select

from supervisor_guards.embedded.anchors import read
from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.schema import events as table
from supervisor_guards.embedded.schema import meta
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.database import open_database
from supervisor_guards.service.upkeep import Upkeep
from tests.service.serving import Running, body, serving, until

SECOND = 1_000_000


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Service:
    return Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(tmp_path / "state")))


def test_one_process_at_a_time(service: Service, tmp_path: Path) -> None:
    now = [1_000 * SECOND]
    config = ServiceConfig.load({}, anchor=str(tmp_path / "anchors"), retention_days=1.0)
    one, other = (Upkeep(service.store, config, lambda: now[0]) for _ in range(2))
    assert (one.tend(), other.tend()) == (True, False)
    now[0] += 15 * SECOND
    assert (other.tend(), one.tend()) == (False, True)
    now[0] += 29 * SECOND
    assert other.tend() is False
    now[0] += 2 * SECOND  # the first one is gone
    assert (other.tend(), one.tend()) == (True, False)
    other.finish()
    assert one.tend() is True
    service.close()


def test_what_was_written_last_is_anchored_when_the_service_ends(service_url: str, tmp_path: Path) -> None:
    anchors = tmp_path / "anchors"
    settings = {"anchor": str(anchors), "anchor_interval_seconds": 3_600.0}
    with serving(service_url, tmp_path / "state", **settings) as running:
        until(lambda: running.service.upkeep.holds)
        _ask(running)
        end = running.service.store.anchor()
    assert end is not None
    assert read(anchors)[-1].segment == end.segment


def test_what_is_too_old_is_deleted_and_the_sums_stay(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", retention_days=1e-9) as running:
        _ask(running)
        until(lambda: not running.service.store.decisions())
        with running.admin() as admin:
            assert admin.get("/v1/metrics/summary").json()["total_evaluations"] == 1


def test_a_fault_is_logged_and_is_not_the_end_of_it(
    service_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _lease(service_url, "somebody soon")  # as no release of ours writes it
    with serving(service_url, tmp_path / "state", retention_days=1.0) as running:
        until(lambda: any("retention or anchors failed" in said for said in caplog.messages))
        _lease(service_url, "somebody 0")
        until(lambda: running.service.upkeep.holds)


def test_a_service_whose_upkeep_fails_ends_and_lets_go_of_its_database(
    service_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _lease(service_url, "somebody soon")
    with serving(service_url, tmp_path / "state", retention_days=1.0) as running:
        until(lambda: bool(caplog.messages))
    with pytest.raises(StoreUnavailable, match="closed"):
        running.service.store.anchor()


def _lease(url: str, value: str) -> None:
    store = open_database(url, Sealer.unsigned())

    def work(held: Connection, _note: object) -> None:
        held.execute(delete(meta).where(meta.c.key == "service-upkeep"))
        held.execute(insert(meta).values(key="service-upkeep", value=value))

    store.transact(work)
    store.close()


def test_an_overdue_review_ends_though_nobody_looks(service_url: str, tmp_path: Path) -> None:
    with serving(service_url, tmp_path / "state", review_expires_seconds=0.1) as running:
        _ask(running, 60)
        expired = select(table.c.kind).where(table.c.kind == "expired")

        def told() -> bool:
            with running.service.store.reading() as held:
                return held.execute(expired).first() is not None

        until(told)


def _ask(running: Running, amount: float = 1) -> None:
    caller = running.integration()
    with caller.client(running.base_url) as http:
        http.post("/v1/actions/evaluate", json=body(amount)).raise_for_status()
