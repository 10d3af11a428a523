"""Webhooks in the database: found by an index however many there are, kept for a while, written with their event."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from supervisor_guards.embedded.errors import StoreUnavailable
from supervisor_guards.embedded.openings import Opening
from supervisor_guards.embedded.rows import DecisionRow, now_us
from supervisor_guards.service.config import ServiceConfig
from supervisor_guards.service.core import Service
from supervisor_guards.service.schema import deliveries as table
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.dispatcher import KEPT_US
from supervisor_guards.service.webhooks.redelivery import Disabled, redeliver, send_test
from supervisor_guards.service.webhooks.subscriptions import Subscription
from tests.statements import statements

NOW = now_us()


@pytest.fixture
def service(service_url: str, tmp_path: Path) -> Iterator[Service]:
    """A process of the service that isn't started: nothing is delivered."""
    opened = Service(ServiceConfig.load({}, database_url=service_url, state_dir=str(tmp_path / "state")))
    yield opened
    opened.close()


@pytest.fixture
def subscription(service: Service) -> Subscription:
    """One that wants every decision."""
    return service.subscriptions.create("https://receiver.example/", ["decision.made"], "tests")[0]


def decide(service: Service, *names: str) -> None:
    """Write decisions on these actions."""
    rows = [
        DecisionRow(action_id=name, time=NOW, action_type="refund", mode="enforce", enforced=True, outcome="allow")
        for name in names
    ]
    service.store.write_all([(row, None) for row in rows])


def found(service: Service, subscription: Subscription) -> list[deliveries.Delivery]:
    """Its deliveries, newest first."""
    with service.store.reading() as held:
        return deliveries.find(held, subscription.id, 100)


def written(service: Service, work: Callable[[Connection], Any]) -> Any:
    """What `work` returns, committed."""
    return service.store.transact(lambda held, _note: work(held))


QUERIES: dict[str, Callable[[Service, Connection, str], Any]] = {
    "due": lambda service, held, name: deliveries.due(held),
    "claimed": lambda service, held, name: deliveries.claim(held, name, 4, NOW, NOW + 1, "lease"),
    "page": lambda service, held, name: deliveries.find(held, name, 10, 500),
    "failed": lambda service, held, name: deliveries.find(held, name, 10, 500, "failed"),
    "one": lambda service, held, name: deliveries.get(held, name, 5),
    "purged": lambda service, held, name: deliveries.purge(held, NOW, 5),
    "webhooks": lambda service, held, name: service.subscriptions.list(10, (NOW, name)),
}


@pytest.mark.parametrize("name", QUERIES)
def test_no_table_is_read_from_end_to_end(service: Service, subscription: Subscription, name: str) -> None:
    decide(service, *(f"a-{number}" for number in range(1_000)))
    with statements() as sent:
        written(service, lambda held: QUERIES[name](service, held, subscription.id))
    ran = [one for one in sent if one[0].lstrip().startswith("SELECT")]
    steps: list[str] = []
    with service.store.reading() as held:
        sqlite = held.dialect.name == "sqlite"
        if not sqlite:
            held.exec_driver_sql("ANALYZE sv_deliveries")
            held.exec_driver_sql("SET LOCAL enable_seqscan = off")  # else a small table is read as a whole
        for text, values in ran:
            explain = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
            steps += [str(row[-1]) for row in held.exec_driver_sql(explain + text, values) if "advisory" not in text]
    assert steps
    if sqlite:
        # Active subscriptions are a hundred at most, and have an index of their own; ids are read from the first on.
        bounded = ("INDEX sv_subscriptions_active", " sv_deliveries")
        scanned = [step for step in steps if step.startswith("SCAN")]
        assert [step for step in scanned if not step.endswith(bounded)] == []
        assert any(step.endswith(" sv_deliveries") for step in scanned) is (name == "purged")
        assert not any("TEMP B-TREE" in step for step in steps)
    else:
        assert not any("Seq Scan" in step for step in steps)
        assert not any("Sort" in step for step in steps if name != "claimed")


def test_an_event_that_isnt_written_is_told_to_nobody(service: Service, subscription: Subscription) -> None:
    def fail(held: Connection, note: Any) -> None:
        held.execute(insert(table).values(deliveries.new_delivery(subscription.id, "decision.made", "a-1", "{}", NOW)))
        raise RuntimeError("after all")

    with pytest.raises(RuntimeError):
        service.store.transact(fail)
    assert found(service, subscription) == []


def test_a_subscription_that_was_rolled_back_is_forgotten(service: Service) -> None:
    """Its act tells the outbox of it, within the transaction."""
    create = service.subscriptions.create

    def fail(held: Connection, decisions: Any, events: Any) -> None:
        inner(held, decisions, events)
        raise StoreUnavailable("the disk is full")

    ledger: Any = service.store._ledger
    inner, ledger._within = ledger._within, fail
    with pytest.raises(StoreUnavailable):
        create("https://receiver.example/", ["decision.made"], "tests")
    ledger._within = inner
    decide(service, "a-1")
    kept, _ = create("https://receiver.example/", ["decision.made"], "tests")
    decide(service, "a-2")
    assert [one.action_id for one in found(service, kept)] == ["a-2"]


def test_a_lease_keeps_others_away_until_it_lapses(service: Service, subscription: Subscription) -> None:
    decide(service, "a-1", "a-2", "a-3")
    due = now_us()

    def claim(now: int, lease: str, limit: int = 10) -> list[deliveries.Claimed]:
        return written(service, lambda held: deliveries.claim(held, subscription.id, limit, now, now + 1_000, lease))  # type: ignore[no-any-return]

    first = claim(due, "one", 2)
    assert [one.delivery.action_id for one in first] == ["a-1", "a-2"]
    assert [one.delivery.action_id for one in claim(due + 999, "two")] == ["a-3"]
    again = claim(due + 1_000, "three")
    assert [one.delivery.action_id for one in again] == ["a-1", "a-2"]
    # Who lost the lease can say that the receiver has it, and nothing else.
    lost = [deliveries.Settled(first[0], "200", True, due), deliveries.Settled(first[1], "500", False, due)]
    written(service, lambda held: deliveries.settle(held, lost, 5))
    assert {one.action_id: (one.status, one.attempts) for one in found(service, subscription)} == {
        "a-1": ("delivered", 1), "a-2": ("pending", 0), "a-3": ("pending", 0),
    }  # fmt: skip


def test_old_deliveries_are_deleted_those_that_wait_are_not(service: Service, subscription: Subscription) -> None:
    decide(service, "old", "waiting", "new")
    ages = {"old": (NOW - KEPT_US - 1, "failed"), "waiting": (NOW - KEPT_US - 1, "pending"), "new": (NOW, "delivered")}
    for name, (at, status) in ages.items():
        query = table.update().where(table.c.action_id == name).values(created_at=at, status=status)
        written(service, lambda held, query=query: held.execute(query))
    assert written(service, lambda held: deliveries.purge(held, NOW - KEPT_US, 100)) == 1
    assert [one.action_id for one in found(service, subscription)] == ["new", "waiting"]


def test_what_is_sent_again_to_a_webhook_that_was_disabled_meanwhile_waits_for_nobody(
    service: Service, subscription: Subscription
) -> None:
    decide(service, "a-1")
    service.subscriptions.disable(subscription.id, "tests")
    # `subscription` is what was read before that, as by a request under way.
    with pytest.raises(Disabled, match="create another one"):
        redeliver(service.store, subscription, found(service, subscription)[0].id, "tests")
    with pytest.raises(Disabled):
        send_test(service.store, subscription, "tests")
    assert [one.status for one in found(service, subscription)] == ["canceled"]


def test_without_a_subscription_nothing_is_written(service: Service) -> None:
    decide(service, "a-1")
    with service.store.reading() as held:
        assert held.execute(select(table.c.id)).all() == []


def test_each_review_is_told_of_as_resolved_once(service: Service) -> None:
    subscription, _ = service.subscriptions.create("https://receiver.example/", ["review.resolved"], "tests")
    for name in ("approved", "rejected", "abandoned", "expired", "lapsed"):
        row = DecisionRow(
            action_id=name, time=NOW, action_type="refund", mode="enforce", enforced=True, outcome="review"
        )
        service.store.write_with_review(row, NOW if name == "expired" else NOW + 10**12)
    service.store.expire_due()
    service.store.resolve("approved", "approved", "Ann")
    service.store.resolve("rejected", "rejected", "Ann")
    service.store.resolve("abandoned", "abandoned", "Ann")
    service.store.resolve("lapsed", "approved", "Ann", valid_until=NOW)
    service.store.expire_due()
    told = [json.loads(one.body)["data"] for one in found(service, subscription)]
    assert service.store.review("lapsed").status == "expired"
    assert [(one["id"], one["status"], one["state"]) for one in reversed(told)] == [
        ("expired", "rejected", "expired"),
        ("approved", "approved", "approved"),
        ("rejected", "rejected", "rejected"),
        ("abandoned", "rejected", "abandoned"),
        ("lapsed", "approved", "approved"),
    ]


def test_reviews_that_end_in_several_batches_are_each_told_of_once(service: Service) -> None:
    subscription, _ = service.subscriptions.create("https://receiver.example/", ["review.resolved"], "tests")
    names = [f"a-{number}" for number in range(25)]
    rows = [
        DecisionRow(action_id=name, time=NOW, action_type="refund", mode="enforce", enforced=True, outcome="review")
        for name in names
    ]
    service.store.write_all([(row, Opening(NOW)) for row in rows])
    service.store.expire_due(batch=10)
    assert sorted(one.action_id for one in found(service, subscription)) == sorted(names)
