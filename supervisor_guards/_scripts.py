"""What a scripted supervisor may answer; `supervisor_guards.testing` has the public names."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from supervisor_guards._model import Hit, Outcome, Verdict


@dataclass(frozen=True)
class Answer:
    """One answer of a script; made by `allow`, `deny`, `review`, `down` and `slow`."""

    verdict: Verdict | None
    """None where there is none to be had."""
    resolution: Literal["approved", "rejected"] | None = None
    polls: int = 0
    notes: str | None = None
    deadline: float | None = None
    message: str = ""


Script: TypeAlias = "Answer | Callable[[dict[str, Any]], Answer]"
"""An answer, or a function that chooses it by the payload."""


def allow() -> Answer:
    """The action may run."""
    return Answer(Verdict(Outcome.ALLOW))


def deny(*reasons: str, rule: str | None = None) -> Answer:
    """The action must not run. `rule` is the id of the rule that says so; by default each reason is one."""
    return Answer(_verdict(Outcome.DENY, reasons or ("denied-by-script",), rule))


def review(
    *reasons: str,
    approve_after: int | None = None,
    reject_after: int | None = None,
    notes: str | None = None,
    rule: str | None = None,
) -> Answer:
    """A person has to decide, and approves or rejects when the caller has asked so many times how it stands.

    0 is before the caller asks at all. With neither it stays pending until `approve` or `reject` of the supervisor.
    Raises `ValueError` for both.
    """
    if approve_after is not None and reject_after is not None:
        raise ValueError(f"approve_after={approve_after} and reject_after={reject_after}: a person says one of them")
    resolution: Literal["approved", "rejected"] | None = None
    if (approve_after, reject_after) != (None, None):
        resolution = "rejected" if approve_after is None else "approved"
    verdict = _verdict(Outcome.REVIEW, reasons or ("review-by-script",), rule)
    return Answer(verdict, resolution, approve_after or reject_after or 0, notes)


def down(message: str = "the supervisor is down") -> Answer:
    """No verdict can be had: `fail_closed` raises `SupervisorUnavailable`, `fail_open` runs the action."""
    return Answer(None, message=message)


def slow(then: Answer | None = None, *, deadline: float = 0.05) -> Answer:
    """Answer `then` (by default allow) once the test calls `release`; a caller waits at most `deadline` seconds.

    After that it is as with `down`. In shadow nobody waits.
    """
    answer = allow() if then is None else then
    if answer.verdict is None:
        raise ValueError(f"slow(then={answer.message!r}): give allow, deny or review; what is down is never slow")
    message = f"the supervisor gave no answer within {deadline:g} s"
    return Answer(answer.verdict, answer.resolution, answer.polls, answer.notes, deadline, message)


def _verdict(outcome: Outcome, reasons: tuple[str, ...], rule: str | None) -> Verdict:
    return Verdict(outcome, reasons, tuple(Hit(rule or reason, outcome.value, reason) for reason in reasons))
