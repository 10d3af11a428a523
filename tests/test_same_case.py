"""A request that is repeated while its review is open joins it: one case, one approval, one execution."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from engine import POLICY

from supervisor_guards import ApprovalUsed, Guard, GuardConfig, SupervisorReviewPending, approved, observing
from supervisor_guards._context import Facts, acting
from supervisor_guards.embedded.desk import Principal, ReviewDesk
from supervisor_guards.embedded.rows import DecisionRow

START = 1_800_000_000_000_000
HOUR = 3_600_000_000
MINUTE = 60_000_000


def row(number: int, **changes: Any) -> DecisionRow:
    fields: dict[str, Any] = {
        "action_id": f"a{number}", "time": START + number, "action_type": "refund", "digest": "d", "subject": "user:7",
        "mode": "enforce", "enforced": True, "outcome": "review",
    }  # fmt: skip
    return DecisionRow(**{**fields, **changes})


def ask(store: Any, number: int, since: int | None = START - MINUTE, requester: str = "ann", **changes: Any) -> str:
    case: str = store.write_with_review(row(number, **changes), START + HOUR, requester, same_since=since)
    return case


def test_ten_tries_make_one_review(any_store: Any) -> None:
    assert {ask(any_store, number) for number in range(10)} == {"a0"}
    assert [case.action_id for case in any_store.reviews()] == ["a0"]
    assert {decision.case_id for decision in any_store.decisions()} == {"a0"}
    assert len(any_store.decisions()) == 10, "each try is a decision of its own"


@pytest.mark.parametrize(
    "changes",
    [
        {"digest": "other"},
        {"subject": "user:8"},
        {"subject": None},
        {"tenant": "shop-2"},
        {"route": "/elsewhere"},
        {"action_type": "payment"},
        {"requester": "bob"},
        {"since": None},
        {"since": START + MINUTE},
        {"digest": None},
    ],
    ids=str,
)
def test_anything_else_is_a_review_of_its_own(any_store: Any, changes: dict[str, Any]) -> None:
    ask(any_store, 0)
    assert ask(any_store, 1, **changes) == "a1"


@pytest.mark.parametrize("end", ["rejected", "abandoned"])
def test_a_review_that_is_over_is_not_joined(any_store: Any, end: Any) -> None:
    ask(any_store, 0)
    any_store.resolve("a0", end, "bob")
    assert ask(any_store, 1) == "a1"


def test_an_expired_one_is_not_joined_and_an_approved_one_is(any_store: Any, store_clock: Any) -> None:
    ask(any_store, 0)
    any_store.resolve("a0", "approved", "bob")
    assert ask(any_store, 1) == "a0"
    store_clock.now = START + 2 * HOUR
    assert ask(any_store, 2) == "a2"


def test_twenty_threads_with_one_request_make_one_review(any_store: Any) -> None:
    gate = threading.Barrier(20)
    cases: list[str] = []

    def asked(number: int) -> None:
        gate.wait()
        cases.append(ask(any_store, number))

    threads = [threading.Thread(target=asked, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(cases), len(set(cases)), len(any_store.reviews())) == (20, 1, 1)


@pytest.fixture
def guard(tmp_path: Path) -> Iterator[Guard]:
    (tmp_path / "supervisor.yaml").write_text(POLICY)
    made = Guard(
        GuardConfig.load(
            {},
            policy=str(tmp_path / "supervisor.yaml"),
            state_dir=str(tmp_path / ".supervisor"),
            enforcement_mode="enforce",
            default_on_review="fail_closed",
        )
    )
    yield made
    made.close()


def pending(guard: Guard, amount: int = 2_000) -> str:
    with pytest.raises(SupervisorReviewPending) as caught:
        guard.require("refund", {"amount": amount})
    return caught.value.action_id


def test_an_agent_that_insists_gets_the_same_case_and_one_execution(guard: Guard) -> None:
    with observing(user_id="ann"):
        case = pending(guard)
        assert [pending(guard) for _ in range(3)] == [case] * 3
        assert pending(guard, 2_001) != case
    with observing(user_id="bob"):
        assert pending(guard) != case
    ReviewDesk(guard.supervisor.store).resolve(case, "approved", None, Principal("dora"))  # type: ignore[attr-defined]
    with observing(user_id="ann"), approved(case):
        guard.require("refund", {"amount": 2_000})
        with pytest.raises(ApprovalUsed):
            guard.require("refund", {"amount": 2_000})
    with observing(user_id="ann"):
        assert pending(guard) != case, "what was used up is over"


def test_two_users_never_share_a_case(guard: Guard) -> None:
    with acting(Facts("user:7", "POST /refunds")):
        case = pending(guard)
    with acting(Facts("user:8", "POST /refunds")):
        assert pending(guard) != case
    with acting(Facts("user:7", "POST /refunds", tenant="shop-2")):
        assert pending(guard) != case


def test_an_action_that_runs_anyway_has_a_case_of_its_own(guard: Guard) -> None:
    held = pending(guard)
    decision = guard.check("refund", {"amount": 2_000}, on_review="fail_open")
    assert decision.allowed
    statuses = {case.action_id: case.status for case in guard.supervisor.store.reviews()}  # type: ignore[attr-defined]
    assert statuses[held] == "pending", "what ran elsewhere doesn't use up what a person is looking at"
    assert sorted(statuses.values()) == ["executed", "pending"]
