"""Every branch between a verdict and a caller, driven by hand: no supervisor, no clock, no waiting."""

from __future__ import annotations

from typing import Any

import anyio
import msgspec
import pytest
from engine import ALLOW, DENY, REVIEW, TERMS, entry

from supervisor_guards._flow import Evaluate, Recheck, Record, Redeem, Unrecorded, Wait, decide
from supervisor_guards._model import Decision, Entry, Outcome, ReviewState, Verdict
from supervisor_guards._shells import arun, run
from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    PayloadUnusable,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
)

FAULT = OSError("no route to host")
UNUSABLE = Verdict(Outcome.DENY, ("rule-error:cap",), unusable=True, recorded=True)
SERVICE = msgspec.structs.replace(REVIEW, action_id="service-7")
PENDING = ReviewState("action-1", "pending")
APPROVED = ReviewState("action-1", "approved", approver="eve")
USED = ApprovalUsed("review", ["used"], "action-1")
OTHER = ApprovalInvalid("review", ["other-content"], "action-1")


class Script:
    """Plays the world to one flow: answers each effect by kind, in order; an answer that is an error is raised.

    Waits pass by themselves: they move the clock. `asked` is what the flow wanted.
    """

    def __init__(self, *, room: bool = True, **answers: Any) -> None:
        self.answers = {kind: list(value) if isinstance(value, list) else [value] for kind, value in answers.items()}
        self.room = room
        self.now = 0.0
        self.asked: list[Any] = []
        self.queued: list[Entry] = []

    def perform(self, effect: Any) -> Any:
        self.asked.append(effect)
        if isinstance(effect, Wait):
            self.now += effect.seconds
            return None
        answer = self.answers[type(effect).__name__.lower()].pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def aperform(self, effect: Any) -> Any:
        return self.perform(effect)

    def enqueue(self, one: Entry) -> bool:
        if self.room:
            self.queued.append(one)
        return self.room

    @property
    def kinds(self) -> list[type]:
        return [type(effect) for effect in self.asked]

    def flow(self, one: Entry, **terms: Any) -> Any:
        return decide(one, msgspec.structs.replace(TERMS, **terms), lambda: self.now, self.enqueue)


def sync_run(script: Script, one: Entry, terms: dict[str, Any]) -> Decision:
    return run(script.flow(one, **terms), script.perform)


def asyncio_run(script: Script, one: Entry, terms: dict[str, Any]) -> Decision:
    return anyio.run(arun, script.flow(one, **terms), script.aperform)


def trio_run(script: Script, one: Entry, terms: dict[str, Any]) -> Decision:
    return anyio.run(arun, script.flow(one, **terms), script.aperform, backend="trio")


EITHER = pytest.mark.parametrize("shell", [sync_run, asyncio_run, trio_run])

# verdict and later answers, terms, what the caller gets: error (None runs), outcome, status
TABLE: dict[str, tuple[dict[str, Any], dict[str, Any], type[Exception] | None, str, str]] = {
    "allow": ({"evaluate": ALLOW}, {}, None, "allow", "evaluated"),
    "deny": ({"evaluate": DENY}, {}, SupervisorBlocked, "deny", "evaluated"),
    "deny, everything open": (
        {"evaluate": DENY},
        {"on_unavailable": "fail_open", "on_review": "fail_open"},
        SupervisorBlocked,
        "deny",
        "evaluated",
    ),
    "unusable": ({"evaluate": UNUSABLE}, {"on_unavailable": "fail_open"}, PayloadUnusable, "deny", "evaluated"),
    "review, fail_open": ({"evaluate": REVIEW}, {"on_review": "fail_open"}, None, "allow", "evaluated"),
    "review, shadow": ({"evaluate": REVIEW}, {"on_review": "shadow"}, None, "allow", "evaluated"),
    "review, fail_closed": (
        {"evaluate": REVIEW}, {"on_review": "fail_closed"}, SupervisorReviewPending, "review", "evaluated"
    ),
    "approved": ({"evaluate": REVIEW, "recheck": APPROVED, "redeem": None}, {}, None, "allow", "evaluated"),
    "approved later": (
        {"evaluate": REVIEW, "recheck": [PENDING, PENDING, APPROVED], "redeem": None}, {}, None, "allow", "evaluated"
    ),
    "approved after faults": (
        {"evaluate": REVIEW, "recheck": [FAULT, FAULT, APPROVED], "redeem": None}, {}, None, "allow", "evaluated"
    ),
    "rejected": (
        {"evaluate": REVIEW, "recheck": ReviewState("action-1", "rejected", notes="not today")},
        {}, ReviewRejected, "review", "evaluated",
    ),
    "expired": (
        {"evaluate": REVIEW, "recheck": ReviewState("action-1", "expired")}, {}, ApprovalInvalid, "review", "evaluated"
    ),
    "abandoned": (
        {"evaluate": REVIEW, "recheck": ReviewState("action-1", "abandoned")},
        {}, ApprovalInvalid, "review", "evaluated",
    ),
    "used by another who waited": (
        {"evaluate": REVIEW, "recheck": ReviewState("action-1", "used")}, {}, ApprovalUsed, "review", "evaluated"
    ),
    "executed by the one that did not wait": (
        {"evaluate": REVIEW, "recheck": ReviewState("action-1", "executed")}, {}, ApprovalUsed, "review", "evaluated"
    ),
    "timeout": ({"evaluate": REVIEW, "recheck": [PENDING] * 31}, {}, ReviewTimedOut, "review", "evaluated"),
    "timeout while the supervisor fails": (
        {"evaluate": REVIEW, "recheck": [FAULT] * 31}, {"on_unavailable": "fail_open"},
        ReviewTimedOut, "review", "evaluated",
    ),
    "timeout of zero looks once": (
        {"evaluate": REVIEW, "recheck": PENDING}, {"review_timeout_seconds": 0.0}, ReviewTimedOut, "review", "evaluated"
    ),
    "redemption lost": (
        {"evaluate": REVIEW, "recheck": APPROVED, "redeem": USED}, {}, ApprovalUsed, "review", "evaluated"
    ),
    "approval for something else": (
        {"evaluate": REVIEW, "recheck": APPROVED, "redeem": OTHER}, {}, ApprovalInvalid, "review", "evaluated"
    ),
    "redemption fails": (
        {"evaluate": REVIEW, "recheck": APPROVED, "redeem": FAULT}, {}, SupervisorUnavailable, "review", "evaluated"
    ),
    "redemption fails, fail_open": (
        {"evaluate": REVIEW, "recheck": APPROVED, "redeem": FAULT},
        {"on_unavailable": "fail_open"}, SupervisorUnavailable, "review", "evaluated",
    ),
    "unavailable": ({"evaluate": FAULT}, {}, SupervisorUnavailable, "deny", "unavailable"),
    "unavailable, fail_open": ({"evaluate": FAULT}, {"on_unavailable": "fail_open"}, None, "allow", "unavailable"),
}  # fmt: skip


@EITHER
@pytest.mark.parametrize("row", TABLE)
def test_a_verdict_becomes_a_decision(row: str, shell: Any) -> None:
    answers, terms, error, outcome, status = TABLE[row]
    decision = shell(Script(**answers), entry(), terms)
    assert (type(decision.error) if decision.error else None, decision.outcome.value, decision.status) == (
        error,
        outcome,
        status,
    )
    assert decision.allowed is (error is None)
    assert decision.action_id == "action-1"
    assert decision.enforced


def test_a_refusal_carries_reasons_threats_and_the_services_own_id() -> None:
    verdict = msgspec.structs.replace(DENY, action_id="service-7", threats=({"kind": "injection"},))
    error = sync_run(Script(evaluate=verdict), entry(), {}).error
    assert isinstance(error, SupervisorBlocked)
    assert (error.decision, error.reasons, error.action_id) == ("deny", ["too-much"], "service-7")
    assert error.threats == [{"kind": "injection"}]


def test_a_rejection_says_what_the_reviewer_wrote() -> None:
    state = ReviewState("action-1", "rejected", notes="not today")
    error = sync_run(Script(evaluate=REVIEW, recheck=state), entry(), {}).error
    assert isinstance(error, ReviewRejected)
    assert error.reasons == ["odd", "review-rejected", "not today"]
    assert error.decision == "deny"  # as the published package says it


def test_block_polls_at_its_interval_and_never_past_the_timeout() -> None:
    script = Script(evaluate=SERVICE, recheck=[PENDING] * 4)
    terms = {"review_timeout_seconds": 5.0, "review_poll_interval_seconds": 2.0}
    error = sync_run(script, entry(), terms).error
    assert isinstance(error, ReviewTimedOut)
    assert "review-timeout-after-5s" in error.reasons
    assert error.decision == "deny"
    assert [effect.seconds for effect in script.asked if isinstance(effect, Wait)] == [2.0, 2.0, 1.0]
    assert {effect.action_id for effect in script.asked if isinstance(effect, Recheck)} == {"service-7"}


def test_a_call_with_an_approval_redeems_it_and_never_waits() -> None:
    script = Script(evaluate=REVIEW, redeem=None)
    one = entry(approval=("earlier-1",))
    assert sync_run(script, one, {}).allowed
    assert script.asked == [Evaluate(one.action), Redeem("earlier-1", one.action)]


@pytest.mark.parametrize(("on_review", "lost"), [("fail_open", USED), ("fail_closed", OTHER), ("block", FAULT)])
def test_an_approval_that_fails_refuses_whatever_is_set(on_review: str, lost: Exception) -> None:
    decision = sync_run(Script(evaluate=REVIEW, redeem=lost), entry(approval=("earlier-1",)), {"on_review": on_review})
    assert decision.error is lost or decision.error.__cause__ is lost  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("answers", "tried", "error"),
    [
        ([OTHER, None], ["a", "b"], None),
        ([None], ["a"], None),
        ([OTHER, USED, OTHER], ["a", "b", "c"], USED),
        ([USED, OTHER, OTHER], ["a", "b", "c"], USED),
        ([OTHER, OTHER, OTHER], ["a", "b", "c"], OTHER),
    ],
)
def test_of_several_approvals_the_action_s_own_decides(answers: list[Any], tried: list[str], error: Any) -> None:
    script = Script(evaluate=REVIEW, redeem=answers)
    decision = sync_run(script, entry(approval=("a", "b", "c")), {})
    assert decision.error is error
    assert [effect.action_id for effect in script.asked if isinstance(effect, Redeem)] == tried


def test_a_deny_of_today_beats_an_approval_of_yesterday() -> None:
    script = Script(evaluate=DENY)
    assert isinstance(sync_run(script, entry(approval=("earlier-1",)), {}).error, SupervisorBlocked)
    assert script.kinds == [Evaluate]


@pytest.mark.parametrize("verdict", [ALLOW, DENY, REVIEW])
@pytest.mark.parametrize("policy", ["fail_open", "fail_closed"])
def test_a_faulty_payload_is_never_opened(policy: str, verdict: Verdict) -> None:
    one = entry(fault="too-large")
    decision = sync_run(Script(evaluate=FAULT), one, {"on_unavailable": policy})
    assert isinstance(decision.error, PayloadUnusable)
    assert decision.error.reasons == ["too-large"]
    assert one.outcome is Outcome.DENY


def test_an_allow_goes_to_the_queue_and_is_written_by_the_caller_when_there_is_no_room() -> None:
    roomy, full = Script(evaluate=ALLOW), Script(evaluate=ALLOW, room=False, record=None)
    first, second = entry(), entry()
    assert sync_run(roomy, first, {}).allowed
    assert (roomy.kinds, roomy.queued) == ([Evaluate], [first])
    assert sync_run(full, second, {}).allowed
    assert full.asked == [Evaluate(second.action), Record(second)]


def test_audit_sync_writes_an_allow_before_the_action() -> None:
    script = Script(evaluate=ALLOW, record=None)
    assert sync_run(script, entry(), {"audit": "sync"}).allowed
    assert script.kinds == [Evaluate, Record]
    assert [one.verdict for one in script.queued] == [msgspec.structs.replace(ALLOW, recorded=True)]  # hooks hear it


@pytest.mark.parametrize(("policy", "allowed"), [("fail_open", True), ("fail_closed", False)])
def test_an_allow_that_cannot_be_recorded_is_a_fault(policy: str, allowed: bool) -> None:
    script = Script(evaluate=ALLOW, record=FAULT)
    decision = sync_run(script, entry(), {"audit": "sync", "on_unavailable": policy})
    assert (decision.allowed, decision.status) == (allowed, "unavailable")


@pytest.mark.parametrize("verdict", [DENY, REVIEW])
def test_a_refusal_whose_record_failed_is_never_opened(verdict: Verdict) -> None:
    verdict = msgspec.structs.replace(verdict, recorded=False)
    script = Script(evaluate=verdict, record=FAULT, room=False)
    decision = sync_run(script, entry(), {"on_unavailable": "fail_open", "on_review": "fail_open"})
    assert isinstance(decision.error, SupervisorBlocked)
    assert decision.error.reasons == list(verdict.reasons)


def test_an_unavailable_error_names_action_setting_and_cause() -> None:
    error = sync_run(Script(evaluate=FAULT), entry(), {}).error
    assert isinstance(error, SupervisorUnavailable)
    assert error.__cause__ is FAULT
    for part in ("refund", "on_unavailable=fail_closed", "no route to host", "action-1"):
        assert part in str(error)


class Cancelled(BaseException):
    """What cancellation looks like: not an `Exception`."""


@EITHER
@pytest.mark.parametrize("where", ["evaluate", "record", "recheck", "redeem"])
def test_cancellation_closes_the_flow_and_passes(where: str, shell: Any) -> None:
    answers: dict[str, Any] = {"evaluate": ALLOW if where == "record" else REVIEW, "recheck": APPROVED}
    script = Script(**{**answers, where: Cancelled()})
    flow = script.flow(entry(), on_unavailable="fail_open", audit="sync")
    script.flow = lambda *_, **__: flow  # type: ignore[method-assign]
    with pytest.raises(Cancelled):
        shell(script, entry(), {})
    assert flow.gi_frame is None
    assert type(script.asked[-1]).__name__.lower() == where


@pytest.mark.parametrize("verdict", [DENY, REVIEW])
@pytest.mark.parametrize("policy", ["fail_open", "fail_closed"])
def test_a_verdict_that_the_supervisor_could_not_store_is_no_missing_verdict(verdict: Verdict, policy: str) -> None:
    one = entry()
    decision = sync_run(Script(evaluate=Unrecorded(verdict, FAULT)), one, {"on_unavailable": policy})
    assert isinstance(decision.error, SupervisorBlocked)
    assert (decision.error.reasons, decision.status) == (list(verdict.reasons), "unavailable")
    assert one.verdict is verdict
