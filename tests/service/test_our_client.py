"""Our own client knows more of this service than version 1 has words for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor_guards import Guard, GuardConfig
from supervisor_guards.errors import ApprovalUsed
from tests.service.serving import PATIENCE, Caller, Running, payload, two_processes, until


@contextmanager
def guard_of(running: Running, caller: Caller, **settings: Any) -> Iterator[Guard]:
    """An enforced guard of `caller`, closed afterwards."""
    values = {
        "base_url": running.base_url, "app_id": caller.id, "shared_secret": caller.secret,
        "enforcement_mode": "enforce", "default_on_review": "fail_closed", "evaluate_timeout_seconds": PATIENCE,
        "review_timeout_seconds": PATIENCE, **settings,
    }  # fmt: skip
    guard = Guard(GuardConfig(**values))
    yield guard
    guard.close()


@pytest.fixture
def guard(running: Running, shop: Caller) -> Iterator[Guard]:
    with guard_of(running, shop) as one:
        yield one


@pytest.mark.parametrize("end", ["pending", "approved", "rejected", "used", "executed", "expired", "abandoned"])
def test_a_review_is_told_with_its_whole_status(running: Running, guard: Guard, end: str) -> None:
    action_id = guard.check("refund", payload(50)).action_id
    store = running.service.store
    if end in ("approved", "used"):
        running.resolve(action_id)
    if end in ("rejected", "abandoned"):
        store.resolve(action_id, end, "ada", "ordered twice")  # type: ignore[arg-type]
    if end == "used":
        digest = store.case(action_id).digest
        assert digest is not None
        guard.supervisor.redeem(action_id, digest, None)
        with pytest.raises(ApprovalUsed):
            guard.supervisor.redeem(action_id, digest, None)
    if end == "executed":
        store.mark_executed(action_id)
    if end == "expired":

        def late(held: Any, _note: Any) -> None:
            held.exec_driver_sql(f"UPDATE sg_reviews SET expires_at = 1 WHERE action_id = '{action_id}'")

        store.transact(late)
    state = guard.supervisor.review(action_id)
    assert (state.action_id, state.status) == (action_id, end)
    if end == "rejected":
        assert (state.approver, state.notes) == ("ada", "ordered twice")


def test_a_call_that_waits_runs_when_another_process_approves(service_url: str, tmp_path: Path) -> None:
    with two_processes(service_url, tmp_path / "state") as (one, other):
        caller = one.integration()
        came: list[Any] = []
        with guard_of(one, caller, default_on_review="block") as guard:
            waiting = threading.Thread(target=lambda: came.append(guard.check("refund", payload(50))))
            waiting.start()
            with caller.client(other.base_url) as http:
                until(lambda: http.get("/v1/review-cases").json())
                [case] = http.get("/v1/review-cases").json()
                other.resolve(case["id"])
                waiting.join()
                assert http.get(f"/v1/review-cases/{case['id']}").json()["state"] == "used"
    assert [(decision.allowed, decision.action_id) for decision in came] == [(True, case["id"])]


def test_what_was_shipped_in_the_background_is_recorded_as_it_was(
    running: Running, shop: Caller, http: httpx.Client
) -> None:
    with guard_of(running, shop, enforcement_mode="shadow") as guard:
        for amount in (1, 50, 500):
            assert guard.check("refund", payload(amount)).allowed
        assert guard.flush(PATIENCE)
    found = http.get("/v1/actions/recent").json()
    assert sorted((one["payload"]["amount"], one["shadow_would_have"], one["mode"]) for one in found) == [
        (1, "allow", "shadow"),
        (50, "review", "shadow"),
        (500, "deny", "shadow"),
    ]
    assert http.get("/v1/review-cases").json() == []
