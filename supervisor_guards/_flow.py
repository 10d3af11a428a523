"""The decision flow: every branch between a verdict and a caller, written once, without I/O.

A flow is a generator that yields effects and receives their replies; `_shells` performs them, for sync and
for async callers. A failing effect is thrown into the flow, so the failure policy is an ordinary `except`.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import msgspec

from supervisor_guards._config import Terms
from supervisor_guards._model import Action, Decision, Entry, Outcome, ReviewState, Status, Verdict
from supervisor_guards.errors import (
    ApprovalInvalid,
    ApprovalUsed,
    GuardError,
    PayloadUnusable,
    ReviewRejected,
    ReviewTimedOut,
    SupervisorBlocked,
    SupervisorReviewPending,
    SupervisorUnavailable,
)

R = TypeVar("R")
Flow = Generator[Any, Any, R]


_NOT_ITS_OWN = frozenset({"other-action", "other-content"})
# Who waits with others for one approval may find that another of them was faster: the same as losing the redemption.
_ENDED: dict[str, type[SupervisorBlocked]] = {
    "rejected": ReviewRejected, "used": ApprovalUsed, "executed": ApprovalUsed,
}  # fmt: skip


class Evaluate(msgspec.Struct, frozen=True):
    """Ask the supervisor. Replies with a `Verdict`."""

    action: Action

    def __iter__(self) -> Flow[Verdict]:
        return (yield self)  # type: ignore[no-any-return]


class Recheck(msgspec.Struct, frozen=True):
    """Ask where a review stands. Replies with a `ReviewState`.

    A supervisor that can may keep the question for `hold` seconds, until something changes.
    """

    action_id: str
    hold: float = 0.0

    def __iter__(self) -> Flow[ReviewState]:
        return (yield self)  # type: ignore[no-any-return]


class Wait(msgspec.Struct, frozen=True):
    """Let `seconds` pass."""

    seconds: float

    def __iter__(self) -> Flow[None]:
        yield self


class Redeem(msgspec.Struct, frozen=True):
    """Use up the approval of `action_id` for `action`, atomically and once."""

    action_id: str
    action: Action

    def __iter__(self) -> Flow[None]:
        yield self


class Record(msgspec.Struct, frozen=True):
    """Store a decision before the caller goes on."""

    entry: Entry

    def __iter__(self) -> Flow[None]:
        yield self


Effect = Evaluate | Recheck | Wait | Redeem | Record


class Unrecorded(SupervisorUnavailable):
    """Raised by a supervisor that has a verdict and could not store it: the failure policy opens no refusal."""

    def __init__(self, verdict: Verdict, cause: Exception) -> None:
        super().__init__(str(cause))
        self.verdict = verdict


class NotNow(Exception):
    """Raised by `Supervisor.record` and `report` where nothing can be stored at the moment.

    Of what was given, `left` is to be given again after `seconds`; the rest is stored.
    """

    def __init__(self, left: Sequence[Any], seconds: float) -> None:
        super().__init__(f"{len(left)} decisions wait {seconds:g} s")
        self.left = left
        self.seconds = seconds


def decide(entry: Entry, terms: Terms, clock: Callable[[], float], enqueue: Callable[[Entry], bool]) -> Flow[Decision]:
    """Ask the supervisor, wait out a pending review, apply the failure policy.

    `clock` counts seconds monotonically; `enqueue` hands the entry to the background thread, to be stored and
    announced, and says whether there was room. The decision's `error` is what a refusal raises.
    """
    action = entry.action
    try:
        verdict = yield from Evaluate(action)
        entry.verdict, entry.outcome = verdict, verdict.outcome
        if verdict.recorded:
            enqueue(entry)  # to be announced, and now: a person who is to decide must hear of it before the wait
        elif terms.audit == "sync":
            yield from Record(entry)
            entry.verdict = msgspec.structs.replace(verdict, recorded=True)
            enqueue(entry)  # to be announced
        elif not enqueue(entry):
            yield from Record(entry)
    except Exception as error:
        if isinstance(error, Unrecorded):
            entry.verdict = error.verdict
        return _unavailable(entry, terms, error)
    if verdict.unusable:
        return _refused(action, verdict, PayloadUnusable, Outcome.DENY)
    if verdict.outcome is Outcome.DENY:
        return _refused(action, verdict, SupervisorBlocked, Outcome.DENY)
    if verdict.outcome is Outcome.REVIEW:
        return (yield from _reviewed(action, verdict, terms, clock))
    return _decision(action, verdict, Outcome.ALLOW)


def _reviewed(action: Action, verdict: Verdict, terms: Terms, clock: Callable[[], float]) -> Flow[Decision]:
    if action.approval is not None:
        return (yield from _redeemed(action.approval, action, verdict))
    if terms.on_review in ("fail_open", "shadow"):
        return _decision(action, verdict, Outcome.ALLOW)
    if terms.on_review == "fail_closed":
        pending = SupervisorReviewPending(_id(action, verdict), list(verdict.reasons))
        return _decision(action, verdict, Outcome.REVIEW, pending)
    return (yield from _waited(action, verdict, terms, clock))


def _waited(action: Action, verdict: Verdict, terms: Terms, clock: Callable[[], float]) -> Flow[Decision]:
    """Poll until a person decides. A supervisor that fails meanwhile may come back; a timeout is a deny."""
    action_id = _id(action, verdict)
    deadline = clock() + terms.review_timeout_seconds
    while True:
        asked = clock()
        try:
            state = yield from Recheck(action_id, max(0.0, deadline - asked))
        except Exception:
            state = ReviewState(action_id, "pending")
        if state.status == "approved":
            return (yield from _redeemed((action_id,), action, verdict))
        if state.status != "pending":
            notes = (state.notes,) if state.notes else ()
            reasons = (*verdict.reasons, f"review-{state.status}", *notes)
            return _refused(action, verdict, _ENDED.get(state.status, ApprovalInvalid), Outcome.REVIEW, reasons)
        now = clock()
        remaining = deadline - now
        if remaining <= 0:
            reasons = (*verdict.reasons, f"review-timeout-after-{terms.review_timeout_seconds:g}s")
            return _refused(action, verdict, ReviewTimedOut, Outcome.REVIEW, reasons)
        # A question that was kept has waited already.
        yield from Wait(max(0.0, min(terms.review_poll_interval_seconds - (now - asked), remaining)))


def _unready(approvals: tuple[str, ...]) -> Flow[SupervisorBlocked | None]:
    """Of several approvals for one request none is used up before all are there: each runs a part of it."""
    for approval in approvals if len(approvals) > 1 else ():
        try:
            state = yield from Recheck(approval)
        except Exception:  # noqa: S112 - redeeming it says what is wrong
            continue
        if state.status in ("pending", "rejected", "expired", "abandoned"):
            return ApprovalInvalid("deny", [state.status], approval)
    return None


def _redeemed(approvals: tuple[str, ...], action: Action, verdict: Verdict) -> Flow[Decision]:
    """One approval, one execution: whoever loses the redemption does not run, whatever the failure policy."""
    refusal = yield from _unready(approvals)
    if refusal is not None:
        return _decision(action, verdict, Outcome.REVIEW, refusal)
    for approval in approvals:
        try:
            yield from Redeem(approval, action)
        except (ApprovalInvalid, ApprovalUsed) as error:
            # Of several, one belongs to this action: what is wrong with that one is what to say.
            if refusal is None or not _NOT_ITS_OWN.isdisjoint(refusal.reasons):
                refusal = error
        except Exception as error:
            message = f"the approval {approval} of {action.action_type!r} could not be redeemed: {error}"
            return _decision(action, verdict, Outcome.REVIEW, _chained(message, action, error))
        else:
            return _decision(action, verdict, Outcome.ALLOW)
    return _decision(action, verdict, Outcome.REVIEW, refusal or ApprovalInvalid("review", ["not-found"]))


def _unavailable(entry: Entry, terms: Terms, cause: Exception) -> Decision:
    """The failure policy. What the request itself made unusable stays refused, whatever is set."""
    action = entry.action
    verdict = entry.verdict or Verdict(Outcome.DENY, reasons=("supervisor-unavailable",))
    entry.status = "unavailable"
    if action.snapshot.fault is not None:
        faulty = Verdict(Outcome.DENY, reasons=(action.snapshot.fault,), unusable=True)
        entry.outcome = Outcome.DENY
        return _refused(action, faulty, PayloadUnusable, Outcome.DENY, status="unavailable")
    if entry.verdict is not None and entry.verdict.outcome is not Outcome.ALLOW:
        # The verdict was had and only its record failed: fail_open opens faults, not refusals.
        entry.outcome = Outcome.DENY
        return _refused(action, verdict, SupervisorBlocked, Outcome.DENY, status="unavailable")
    if terms.on_unavailable == "fail_open":
        entry.outcome = Outcome.ALLOW
        return _decision(action, verdict, Outcome.ALLOW, status="unavailable")
    entry.outcome = Outcome.DENY
    message = (
        f"no verdict for {action.action_type!r}, so it did not run (on_unavailable=fail_closed): "
        f"{cause or type(cause).__name__} [action {action.action_id}]"
    )
    return _decision(action, verdict, Outcome.DENY, _chained(message, action, cause), status="unavailable")


def _chained(message: str, action: Action, cause: Exception) -> SupervisorUnavailable:
    error = SupervisorUnavailable(message, action.action_id)
    error.__cause__ = cause
    return error


def _id(action: Action, verdict: Verdict) -> str:
    return verdict.action_id or action.action_id


def _refused(
    action: Action,
    verdict: Verdict,
    kind: type[SupervisorBlocked],
    outcome: Outcome,
    reasons: tuple[str, ...] | None = None,
    *,
    status: Status = "evaluated",
) -> Decision:
    why = verdict.reasons if reasons is None else reasons
    # A review that ended without an approval is a deny to who catches it, as in the published package.
    ended = issubclass(kind, (ReviewRejected, ReviewTimedOut))
    word = Outcome.DENY if ended else outcome
    error = kind(word.value, list(why), _id(action, verdict), [dict(t) for t in verdict.threats])
    return _decision(action, verdict, outcome, error, status=status)


def _decision(
    action: Action,
    verdict: Verdict,
    outcome: Outcome,
    error: GuardError | None = None,
    *,
    status: Status = "evaluated",
) -> Decision:
    return Decision(
        action_id=_id(action, verdict),
        action_type=action.action_type,
        mode=action.mode,
        outcome=outcome,
        enforced=True,
        reasons=verdict.reasons,
        rule_ids=verdict.rule_ids if verdict.hits else (),
        would_have=verdict.outcome,
        status=status,
        policy_version=verdict.policy_version,
        error=error,
    )
