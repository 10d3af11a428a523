"""What the service's lists read on PostgreSQL of a long history: an index's rows, as many as the page needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from supervisor_guards.embedded.evidence import Sealer
from supervisor_guards.embedded.store import Store
from supervisor_guards.service import reading
from supervisor_guards.service.database import open_database
from supervisor_guards.service.integrations import Integrations
from supervisor_guards.service.metrics import summary
from supervisor_guards.service.principals import Integration, Person
from supervisor_guards.service.versions import Versions
from supervisor_guards.service.webhooks import deliveries
from supervisor_guards.service.webhooks.counting import counted
from supervisor_guards.service.webhooks.subscriptions import Subscriptions
from tests.service import planning, test_searches_plans
from tests.service.planning import NOW_US, scans

OLD = Integration("old", "old", ("*",))
SHOP = Integration("shop", "shop", ("*",))
NARROW = Integration("shop", "shop", ("refund", "payment"))
ALL = Person("", "admin token", "administrator")
VAULT: Any = None  # nothing is opened here
ONE = hashlib.md5(b"i7").hexdigest()
"""The id of an integration in `planning`."""

Query = Callable[[Connection], Any]
OWN = {"sg_reviews_app", "sg_reviews_resolved"}
MADE = {"sg_events_action"}


def reviews(caller: Any, status: str | None, before: tuple[int, int] | None = None) -> Query:
    return lambda held: reading.find_reviews(held, caller, status, 50, before)


def decisions(caller: Any, **asked: Any) -> Query:
    return lambda held: reading.find_decisions(held, caller, 50, **asked)


STATES = (None, "pending", "approved", "rejected", "used", "executed", "expired", "abandoned")
LISTS: dict[str, tuple[Query, set[str], int]] = {
    **{f"own reviews, {state or 'all'}": (reviews(SHOP, state), OWN, 400) for state in STATES},
    **{f"reviews long ago, {state or 'all'}": (reviews(OLD, state), OWN, 400) for state in STATES},
    "next page of own reviews": (reviews(SHOP, "approved", (NOW_US, 20_000)), {*OWN, "sg_reviews_status"}, 400),
    "every review": (reviews(ALL, None), {"sg_reviews_pkey"}, 51),
    "own decisions": (decisions(SHOP), {"sg_decisions_app", *MADE}, 110),
    "own decisions, the next page": (decisions(SHOP, before=30_000), {"sg_decisions_app", *MADE}, 110),
    "decisions long ago": (decisions(OLD), {"sg_decisions_app", *MADE}, 110),
    "decisions of narrowed scopes": (decisions(NARROW), {"sg_decisions_app", *MADE}, 400),
    "own denials": (decisions(SHOP, outcome="deny"), {"sg_decisions_app", "sg_decisions_refused", *MADE}, 1_000),
    "own allows": (decisions(SHOP, outcome="allow"), {"sg_decisions_app", *MADE}, 400),
    "every decision": (decisions(ALL), {"sg_decisions_pkey", *MADE}, 110),
    "every denial": (decisions(ALL, outcome="deny"), {"sg_decisions_refused", "sg_decisions_pkey", *MADE}, 800),
    "evidence": (
        lambda held: reading.decisions_of(held, ["act-1", "act-77"]), {"sg_decisions_action_id_key", *MADE}, 4
    ),
    "metrics of one application": (
        lambda held: summary(held, "30d", SHOP), {"sg_counts_pkey", "sv_latencies_pkey", "sv_approvals_pkey"}, 9_000
    ),
    "due deliveries": (deliveries.due, {"sv_subscriptions_active", "sv_deliveries_due"}, 100),
    "deliveries": (
        lambda held: deliveries.find(held, "hook-3", 10),
        {"sv_deliveries_subscription", "sv_deliveries_status", "sv_deliveries_pkey"}, 400,
    ),
    "failed deliveries": (
        lambda held: deliveries.find(held, "hook-10", 10, None, "failed"), {"sv_deliveries_status"}, 11
    ),
    "counted deliveries": (
        counted, {"sv_subscriptions_active", "sv_deliveries_due", "sv_deliveries_status", "sv_deliveries_pkey"}, 600
    ),
}  # fmt: skip
SERVED: dict[str, tuple[Callable[[Store], Any], set[str], int]] = {
    "policies": (lambda store: Versions(store).list(10), {"sv_policies_created"}, 11),
    "policies, the next page": (
        lambda store: Versions(store).list(10, before=(NOW_US, "0")), {"sv_policies_created"}, 11
    ),
    "policies in force": (
        lambda store: Versions(store).list(10, active=True),
        {"sv_policies_created", "sv_policy_actions_policy", "sv_policy_actions_one", "sv_policies_pkey"}, 1_000,
    ),
    "policies of an action type": (
        lambda store: Versions(store).list(10, action_type="type-7"), {"sv_policy_actions_pkey", "sv_policies_pkey"}, 50
    ),
    "webhooks": (lambda store: Subscriptions(store, VAULT, 0).list(10), {"sv_subscriptions_created"}, 11),
    "an integration": (lambda store: Integrations(store, VAULT, 0).get(ONE), {"sv_integrations_pkey"}, 1),
    "overdue reviews": (lambda store: store.expire_due(), {"sg_reviews_due", "sg_reviews_status"}, 200),
}  # fmt: skip


@pytest.fixture(scope="module")
def store(postgres_cluster: Any) -> Iterator[Store]:
    with postgres_cluster.database() as url:
        opened = open_database(url, Sealer.unsigned())
        planning.fill(opened)
        yield opened
        opened.close()


def check(store: Store, call: Callable[[], Any], indexes: set[str], most: int) -> None:
    """That `call` reads the big tables by some of `indexes` alone, and at most so many rows."""
    read = scans(store, call)
    assert read
    assert {one.index for one in read} <= indexes, read
    assert sum(one.rows for one in read) <= most, read


@pytest.mark.parametrize("name", LISTS)
def test_a_list_reads_an_index_as_far_as_its_page_goes(store: Store, name: str) -> None:
    query, indexes, most = LISTS[name]

    def call() -> None:
        with store.reading() as held:
            query(held)

    check(store, call, indexes, most)


@pytest.mark.parametrize("name", SERVED)
def test_so_does_what_opens_its_own_connection(store: Store, name: str) -> None:
    call, indexes, most = SERVED[name]
    check(store, lambda: call(store), indexes, most)


@pytest.mark.parametrize("status", [state for state in STATES if state not in (None, "pending")])
def test_everybodys_reviews_of_a_state_are_read_as_far_as_the_page_goes(store: Store, status: str) -> None:
    def call() -> None:
        with store.reading() as held:
            reading.find_reviews(held, ALL, status, 50)

    states = len(reading.RESOLVED.get(status, (status,)))
    check(store, call, {"sg_reviews_latest", "sg_reviews_status"}, 120 * states)


@pytest.mark.parametrize("caller", [SHOP, NARROW, OLD], ids=["shop", "narrow", "old"])
@pytest.mark.parametrize("name", test_searches_plans.ASKED)
def test_a_search_looks_through_a_bounded_number_of_rows(store: Store, name: str, caller: Integration) -> None:
    def call() -> None:
        with store.reading() as held:
            test_searches_plans.ASKED[name](held, caller)

    read = scans(store, call)
    assert read
    assert None not in {one.index for one in read}, read
    assert max(one.rows for one in read) <= 20_001, read
