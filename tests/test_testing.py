"""The scripted supervisor: each script through the plain decorators, sync and async, and what it kept of the calls."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import anyio
import pytest
import trio

from supervisor_guards import (
    ApprovalInvalid,
    ApprovalUsed,
    ConfigurationError,
    Guard,
    GuardConfig,
    PayloadUnusable,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
    approved,
    configure,
    get_client,
    get_guard,
    guarded,
    observing,
    supervised,
)
from supervisor_guards.testing import Answer, ScriptedSupervisor, allow, deny, down, review, scripted, slow

RAN: list[int] = []


@supervised("refund")
def refund(amount: int) -> int:
    RAN.append(amount)
    return amount


@supervised("refund")
async def arefund(amount: int) -> int:
    RAN.append(amount)
    return amount


WAYS: dict[str, Callable[[int], int]] = {
    "sync": refund,
    "asyncio": lambda amount: asyncio.run(arefund(amount)),
    "trio": lambda amount: trio.run(arefund, amount),
}


@pytest.fixture(params=WAYS)
def pay(request: pytest.FixtureRequest) -> Callable[[int], int]:
    """The guarded function, called each way."""
    RAN.clear()
    return WAYS[request.param]


@pytest.mark.parametrize(
    ("script", "error", "reasons"),
    [
        (allow(), None, None),
        (deny("too-much", "too-late"), SupervisorBlocked, ["too-much", "too-late"]),
        (review(approve_after=0), None, None),
        (review(approve_after=2), None, None),
        (review("odd", reject_after=2, notes="twice"), ReviewRejected, ["odd", "review-rejected", "twice"]),
        (down("no route to the service"), SupervisorUnavailable, None),
        (slow(deadline=0.001), SupervisorUnavailable, None),
    ],
)  # fmt: skip
def test_a_script_is_what_the_caller_gets(
    pay: Callable[[int], int], script: Answer, error: type[Exception] | None, reasons: list[str] | None
) -> None:
    with scripted(script) as supervisor:
        if error is None:
            assert pay(5) == 5
        else:
            with pytest.raises(error) as caught:
                pay(5)
            assert type(caught.value) is error
            assert getattr(caught.value, "reasons", None) == reasons
            assert script.message in str(caught.value)
        [call] = supervisor.calls
    assert (call.action_type, call.payload, call.enforced, call.answer) == ("refund", {"amount": 5}, True, script)
    assert call.polls == (max(script.polls, 1) if script.resolution else 0)
    assert call.result == ("not-run" if error else "returned")
    assert len(RAN) == (0 if error else 1)


def test_answers_come_one_after_the_other_and_the_last_stays(pay: Callable[[int], int]) -> None:
    with scripted() as supervisor:
        supervisor.on("refund", deny("first"), allow(), lambda payload: deny() if payload["amount"] > 10 else allow())
        with pytest.raises(SupervisorBlocked, match="first"):
            pay(1)
        assert [pay(2), pay(3)] == [2, 3]
        with pytest.raises(SupervisorBlocked):
            pay(11)
        assert pay(10) == 10
        assert guarded("payment", {"amount": 99}, lambda: "paid") == "paid"
        assert [call.payload["amount"] for call in supervisor.calls_of("refund")] == [1, 2, 3, 11, 10]
        assert [call.action_type for call in supervisor.calls] == ["refund"] * 5 + ["payment"]


@pytest.mark.parametrize("script", [deny(), review(), down(), slow(deadline=600.0)])
def test_shadow_runs_whatever_the_script_says_and_waits_for_nothing(pay: Callable[[int], int], script: Answer) -> None:
    with scripted(script, settings={"enforcement_mode": "shadow"}) as supervisor:
        assert pay(5) == 5
        [call] = supervisor.calls
        assert (call.enforced, call.mode, call.result) == (False, "shadow", "returned")
        [row] = supervisor.store.decisions()
        judged = script.message == "" and script.verdict is not None
        assert row.would_have == (script.verdict.outcome.value if judged and script.verdict else None)


def test_fail_open_runs_what_nobody_judged(pay: Callable[[int], int]) -> None:
    with scripted(down(), settings={"on_unavailable": "fail_open"}) as supervisor:
        assert pay(5) == 5
        assert supervisor.store.decisions()[0].status == "unavailable"


@pytest.mark.parametrize("settings", [{"on_review": "block", "timeout": 0}, {"on_review": "fail_closed", "timeout": 5}])
def test_a_review_that_nobody_decides(pay: Callable[[int], int], settings: dict[str, Any]) -> None:
    changes = {"default_on_review": settings["on_review"], "review_timeout_seconds": settings["timeout"]}
    with scripted(review(), settings=changes) as supervisor:
        with pytest.raises(ReviewTimedOut if settings["on_review"] == "block" else SupervisorReviewPending):
            pay(5)
        assert [case.status for case in supervisor.store.reviews()] == ["pending"]


def test_the_test_decides_while_the_caller_waits(pay: Callable[[int], int]) -> None:
    paid: list[int] = []
    with scripted(review(), settings={"review_timeout_seconds": 60.0}) as supervisor:
        caller = threading.Thread(target=lambda: paid.append(pay(5)))
        caller.start()
        supervisor.wait_for_calls(1)
        assert paid == []
        supervisor.approve(notes="fine")
        caller.join()
        assert (paid, supervisor.calls[0].result) == ([5], "returned")
        with pytest.raises(LookupError, match="no review is pending"):
            supervisor.reject(timeout=0.0)


def test_a_slow_answer_comes_when_it_is_released(pay: Callable[[int], int]) -> None:
    paid: list[int] = []
    with scripted(slow(deadline=60.0)) as supervisor:
        caller = threading.Thread(target=lambda: paid.append(pay(5)))
        caller.start()
        supervisor.wait_for_calls(1)
        assert paid == []
        supervisor.release()
        caller.join()
    assert paid == [5]


def test_slow_and_async_holds_no_thread() -> None:
    async def many() -> list[int]:
        async def one(amount: int) -> None:
            paid.append(await arefund(amount))

        paid: list[int] = []
        async with anyio.create_task_group() as group:
            for amount in range(100):
                group.start_soon(one, amount)
            while len(supervisor.calls) < 100:
                await anyio.sleep(0)
            assert (threading.active_count(), paid) == (before, [])
            supervisor.release()
        return sorted(paid)

    before = threading.active_count()
    with scripted(slow(deadline=60.0)) as supervisor:
        assert asyncio.run(many()) == list(range(100))


def test_an_approval_runs_once_and_only_what_was_approved(pay: Callable[[int], int]) -> None:
    with scripted(review(), settings={"default_on_review": "fail_closed"}) as supervisor:
        with pytest.raises(SupervisorReviewPending) as pending:
            pay(5)
        with approved(pending.value.action_id):
            with pytest.raises(ApprovalInvalid, match="pending"):
                pay(5)
            supervisor.approve(pending.value.action_id)
            with pytest.raises(ApprovalInvalid, match="other-content"):
                pay(6)
            assert pay(5) == 5
            with pytest.raises(ApprovalUsed):
                pay(5)


def test_a_payload_that_no_supervisor_could_judge_is_refused_as_always(pay: Callable[[int], int]) -> None:
    with scripted(settings={"max_payload_bytes": 10}), pytest.raises(PayloadUnusable):
        guarded("refund", lambda: None, refund, 5)


def test_hooks_hear_of_it_before_the_caller_goes_on(pay: Callable[[int], int]) -> None:
    heard: list[str] = []
    with scripted(review(approve_after=1)):
        get_guard().add_hook(lambda event: heard.append(f"{event.kind} {event.would_have}"))
        assert pay(5) == 5
        assert heard == ["decision review", "review review"]


def test_who_and_why_is_kept() -> None:
    with scripted() as supervisor, observing(user_id="u-1", goal="pay"):
        refund(5)
        assert supervisor.calls[0].context == {"user_id": "u-1", "goal": "pay"}


def test_the_application_may_configure_inside() -> None:
    """An app factory that calls `configure` gets its settings, and the scripted answers all the same."""
    with scripted(deny("too-much")) as supervisor:
        configure("https://supervisor.example", "app", "secret", enforcement_mode="shadow")
        assert refund(5) == 5
        assert Guard(GuardConfig(enforcement_mode="enforce")).check("refund", {}).reasons == ("too-much",)
        assert len(supervisor.calls) == 2
        assert get_client().evaluate("refund", {"amount": 1}).decision == "deny"


def test_the_guard_that_was_there_comes_back(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = ScriptedSupervisor(deny("mine"))
    guard = Guard(GuardConfig(enforcement_mode="enforce"), mine)
    from supervisor_guards._default import set_guard

    set_guard(guard)
    try:
        with scripted() as outer:
            refund(1)
            with scripted(deny("inner")), pytest.raises(SupervisorBlocked, match="inner"):
                refund(2)
            refund(3)
            assert guard.check("refund", {}).reasons == ("mine",)
        with pytest.raises(SupervisorBlocked, match="mine"):
            refund(4)
        assert get_guard() is guard
        assert [call.payload["amount"] for call in outer.calls] == [1, 3]
    finally:
        set_guard(None)


@pytest.mark.parametrize(
    ("wrong", "error", "match"),
    [
        (lambda: review(approve_after=1, reject_after=2), ValueError, "approve_after=1 and reject_after=2"),
        (lambda: slow(down()), ValueError, "never slow"),
        (lambda: ScriptedSupervisor().on("refund"), ValueError, r"on\('refund'\): give at least one answer"),
        (lambda: scripted(settings={"enforcement_mode": "enforced"}).__enter__(), ConfigurationError, "'enforced'"),
        (lambda: ScriptedSupervisor().wait_for_calls(1, 0.0), TimeoutError, "0 calls came within 0 s, not 1"),
    ],
)
def test_scripts_that_can_not_be_meant(wrong: Callable[[], object], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        wrong()
