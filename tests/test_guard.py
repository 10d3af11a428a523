"""A guard of real parts: what a caller gets, what the store holds, what the log and the hooks tell."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import pytest
from engine import rows, settings

from supervisor_guards import (
    ApprovalInvalid,
    ApprovalUsed,
    Decision,
    Event,
    Guard,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    approved,
    observing,
)
from supervisor_guards._context import Facts, acting
from supervisor_guards._model import Outcome

SMALL, ODD, LARGE = {"amount": 5}, {"amount": 5_000}, {"amount": 50_000}


@pytest.fixture
def guard_of(tmp_path: Path) -> Iterator[Callable[..., Guard]]:
    made: list[Guard] = []

    def make(mode: str = "enforce", **changes: Any) -> Guard:
        made.append(Guard(settings(tmp_path, mode, **changes)))
        return made[-1]

    yield make
    for guard in made:
        guard.close()


def checked(guard: Guard, *args: Any, **options: Any) -> Decision:
    return guard.check(*args, **options)


def on(backend: str) -> Callable[..., Decision]:
    def acheck(guard: Guard, action_type: str, payload: Any, **options: Any) -> Decision:
        async def main() -> Decision:
            return await guard.acheck(action_type, payload, **options)

        return anyio.run(main, backend=backend)

    return acheck


EITHER = pytest.mark.parametrize("check", [checked, on("asyncio"), on("trio")], ids=["sync", "asyncio", "trio"])


@EITHER
def test_a_decision_and_its_row_say_the_same(check: Any, guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(default_on_review="fail_closed")
    with observing(user_id="u-1"), acting(Facts(subject="user:7", route="/refunds/{id}")):
        decisions = [check(guard, "refund", payload) for payload in (SMALL, ODD, LARGE)]
    assert [type(decision.error) for decision in decisions] == [
        type(None),
        SupervisorReviewPending,
        SupervisorBlocked,
    ]
    stored = {row.action_id: row for row in rows(guard)}
    assert len(stored) == 3
    for decision in decisions:
        row = stored[decision.action_id]
        assert (row.outcome, tuple(row.reasons), tuple(row.rule_ids)) == (
            decision.outcome.value,
            decision.reasons,
            decision.rule_ids,
        )
        assert (row.subject, row.route, row.mode, row.enforced, row.status) == (
            "user:7", "/refunds/{id}", "enforce", True, "evaluated",
        )  # fmt: skip


@EITHER
def test_shadow_lets_everything_pass_and_records_what_enforce_would_do(
    check: Any, guard_of: Callable[..., Guard]
) -> None:
    guard = guard_of("shadow")
    decisions = [check(guard, "refund", payload) for payload in (SMALL, ODD, LARGE)]
    assert [(d.allowed, d.outcome, d.would_have, d.enforced) for d in decisions] == [
        (True, Outcome.ALLOW, None, False)
    ] * 3
    stored = rows(guard)
    assert [row.would_have for row in stored] == ["allow", "review", "deny"]
    assert {row.outcome for row in stored} == {"allow"}


def resolving(guard: Guard, status: str) -> Callable[[Event], None]:
    """A hook that decides each review as soon as it hears of it."""

    def hook(event: Event) -> None:
        if event.kind == "review":
            guard.supervisor.store.resolve(event.action_id, status, "eve", "seen")  # type: ignore[attr-defined]

    return hook


@EITHER
@pytest.mark.parametrize(("status", "error"), [("approved", type(None)), ("rejected", ReviewRejected)])
def test_block_waits_for_a_person_who_heard_of_it_from_a_hook(
    check: Any, status: str, error: type, guard_of: Callable[..., Guard]
) -> None:
    guard = guard_of()
    guard.add_hook(resolving(guard, status))
    decision = check(guard, "refund", ODD)
    assert type(decision.error) is error
    state = guard.supervisor.review(decision.action_id)
    assert state.status == ("used" if status == "approved" else "rejected")


@EITHER
def test_block_that_nobody_answers_is_refused(check: Any, guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(review_timeout_seconds=0.05)
    assert type(check(guard, "refund", ODD).error) is ReviewTimedOut


@EITHER
def test_fail_open_runs_and_leaves_nothing_to_redeem(check: Any, guard_of: Callable[..., Guard]) -> None:
    guard = guard_of()
    decision = check(guard, "refund", ODD, on_review="fail_open")
    assert decision.allowed
    assert guard.supervisor.review(decision.action_id).status == "executed"
    with approved(decision.action_id):
        assert isinstance(check(guard, "refund", ODD).error, ApprovalUsed)


@EITHER
def test_an_approval_runs_one_call_of_the_same_content(check: Any, guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(default_on_review="fail_closed")
    held = check(guard, "refund", ODD)
    with approved(held.action_id):
        assert isinstance(check(guard, "refund", ODD).error, ApprovalInvalid)  # nobody has decided yet
        guard.supervisor.store.resolve(held.action_id, "approved", "eve")  # type: ignore[attr-defined]
        assert isinstance(check(guard, "refund", {"amount": 5_001}).error, ApprovalInvalid)
        assert isinstance(check(guard, "transfer", ODD).error, ApprovalInvalid)
        assert isinstance(check(guard, "refund", LARGE).error, SupervisorBlocked)
        assert check(guard, "refund", SMALL).allowed  # needs no approval, and leaves it be
        assert check(guard, "refund", ODD).allowed
        assert isinstance(check(guard, "refund", ODD).error, ApprovalUsed)


def test_one_approval_has_one_winner_among_threads(guard_of: Callable[..., Guard]) -> None:
    guard = guard_of(default_on_review="fail_closed")
    held = guard.check("refund", ODD)
    guard.supervisor.store.resolve(held.action_id, "approved", "eve")  # type: ignore[attr-defined]
    start, errors = threading.Barrier(8), []

    def redeem() -> None:
        start.wait()
        with approved(held.action_id):
            errors.append(type(guard.check("refund", ODD).error))

    threads = [threading.Thread(target=redeem) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(errors, key=str) == sorted([type(None), *[ApprovalUsed] * 7], key=str)


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_waiting_for_a_review_holds_no_thread_and_can_be_cancelled(
    backend: str, guard_of: Callable[..., Guard]
) -> None:
    guard = guard_of(review_window_seconds=0.0, review_poll_interval_seconds=600.0, review_timeout_seconds=3_600.0)
    waiters, heard, all_wait = 100, [], threading.Event()

    def hear(event: Event) -> None:
        heard.append(event)
        if event.kind == "review" and sum(one.kind == "review" for one in heard) == waiters:
            all_wait.set()

    guard.add_hook(hear)
    ended = []

    async def wait_for_review() -> None:
        try:
            await guard.acheck("refund", ODD)
        finally:
            ended.append(1)

    async def main() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(waiters):
                group.start_soon(wait_for_review)
            assert await anyio.to_thread.run_sync(all_wait.wait, 60)
            assert threading.active_count() < 30
            group.cancel_scope.cancel()

    anyio.run(main, backend=backend)
    assert len(ended) == waiters
