"""Approvals and replays: requests that belong together, and what a reviewer does between them."""

from __future__ import annotations

import json
from typing import Any, Literal, NamedTuple

from tests.integrations.contract.cases import JSON, Case, amount, export, refused, transfer
from tests.integrations.contract.checking import REVIEWER, Answer, Harness, InProcess, check, reviews

HELD = 5_000


class Step(NamedTuple):
    """A request with `approval` in its header, where `{0}` is the first review of the story, `{1}` the second.

    Before it, a reviewer decides the newest review as `decide` says.
    """

    case: Case
    approval: str | None = None
    decide: Literal["approved", "rejected"] | None = None
    joins: int | None = None
    """The number of the review that its answer names; None where that isn't compared."""


class Story(NamedTuple):
    name: str
    steps: tuple[Step, ...]
    reviews: int = 1
    """How many reviews there are in the end."""

    @property
    def last(self) -> Case:
        return self.steps[-1].case


def _held(value: int = HELD, sender: str = "ada", **fields: Any) -> Case:
    values: dict[str, Any] = {
        "verdict": "review", "status": 403, "problem": "approval-required", "subject": sender, **fields,
    }  # fmt: skip
    return transfer("held", value, sender, "large-transfer", **values)


def _refused(problem: str, status: int = 403, **fields: Any) -> Case:
    return _held(problem=problem, status=status, **fields)


def _unjudged(problem: str, **fields: Any) -> Case:
    return _held(problem=problem, verdict=None, **fields)


FIRST = Step(_held(), joins=0)
_OTHERS = "a" * 32, "b" * 32, "c" * 32, "d" * 32
_RUNS = _held(problem=None, status=200)
STORIES: tuple[Story, ...] = (
    Story("a review, asked for again", (FIRST, Step(_held(), joins=0))),
    Story("an approval that is pending",
          (FIRST, Step(_refused("approval-required"), "{0}", joins=0))),
    Story("an approval", (FIRST, Step(_RUNS, "{0}", "approved"))),
    Story("an approval, after a rejection",
          (FIRST, Step(_refused("approval-invalid"), "{0}", "rejected"))),
    Story("an approval of another amount",
          (FIRST, Step(_refused("approval-invalid", value=HELD + 1), "{0}", "approved"))),
    Story("an approval of somebody else",
          (FIRST, Step(_refused("approval-invalid", sender="eve"), "{0}", "approved"))),
    Story("an approval on another route",
          (FIRST, Step(export("elsewhere", b'{"all": false}', "review", "asks-by-query", path="/exports?all=yes",
                              status=403, problem="approval-invalid", headers=(*JSON, ("x-user", "ada")),
                              subject="ada"), "{0}", "approved"))),
    Story("an approval used twice",
          (FIRST, Step(_RUNS, "{0}", "approved"), Step(_refused("approval-used", status=409), "{0}"))),
    Story("an approval where none is needed",
          (FIRST, Step(transfer("allowed", 10, "ada", subject="ada"), "{0}", "approved"))),
    Story("an approval of what is denied",
          (FIRST, Step(refused("denied", amount(50_000), "denied", "amount-exceeds-hard-cap", subject="ada",
                               headers=(*JSON, ("x-user", "ada"))), "{0}", "approved"))),
    Story("an approval that doesn't exist",
          (Step(_refused("approval-invalid"), _OTHERS[0]),), reviews=0),
    Story("a malformed approval", (Step(_unjudged("approval-invalid"), "no id!"),), reviews=0),
    Story("an empty approval", (Step(_unjudged("approval-invalid"), ""),), reviews=0),
    Story("an approval in another alphabet", (Step(_unjudged("approval-invalid"), "\xc0" * 20),), reviews=0),
    Story("one approval twice", (FIRST, Step(_unjudged("approval-invalid"), "{0},{0}", "approved"))),
    Story("four approvals of which one fits", (
        FIRST,
        Step(_RUNS, ",".join((*_OTHERS[:3], "{0}")), "approved"),
    )),
    Story("two approvals, each used by one action", (
        FIRST,
        Step(_held(HELD + 1), joins=1),
        Step(_RUNS, "{0}, {1}", "approved"),
    ), reviews=2),
    Story("five approvals", (FIRST, Step(_unjudged("approval-invalid"), ",".join(("{0}", *_OTHERS)), "approved"))),
    Story("ten times the same request", (FIRST, *(Step(_held(), joins=0) for _ in range(9)))),
    Story("the same request of two senders", (FIRST, Step(_held(sender="eve"), joins=1)), reviews=2),
    Story("the same request after an approval was used",
          (FIRST, Step(_RUNS, "{0}", "approved"), Step(_held(), joins=1)), reviews=2),
)  # fmt: skip


def play(harness: InProcess, story: Story, mode: str) -> Answer | None:
    """Play `story`, and check each of its answers; the last one. In shadow nobody reviews, and everything runs."""
    desk = reviews(harness.guard)
    known = {review.action_id for review in desk.reviews(limit=1_000)}
    cases: list[str] = []
    watched: Any = _Watched(harness)
    for step in story.steps:
        if step.decide and mode == "enforce":
            for case in cases:
                desk.resolve(case, step.decide, None, REVIEWER)
        check(watched, _sent(step, cases, mode, STORIES.index(story)), mode)
        if step.joins is not None and mode == "enforce":
            named = _instance(watched.answer)
            if step.joins == len(cases):
                assert named not in cases
                cases.append(named)
            assert cases[step.joins] == named
    opened = [one for one in reviews(harness.guard).reviews(limit=1_000) if one.action_id not in known]
    assert len(opened) == (story.reviews if mode == "enforce" else 0)
    answer: Answer | None = watched.answer
    return answer


class _Watched:
    """A harness that keeps the last answer."""

    def __init__(self, harness: Harness) -> None:
        self._harness = harness
        self.answer: Answer | None = None

    def send(self, case: Case) -> Answer:
        self.answer = self._harness.send(case)
        return self.answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._harness, name)


def _sent(step: Step, cases: list[str], mode: str, number: int) -> Case:
    """The step's request; stories share a guard, so each has amounts of its own."""
    case = step.case
    if case.action == "transfer" and (value := json.loads(case.body)["amount"]) > 1_000:
        case = case._replace(body=amount(value + 10 * (number + 1)))
    if step.approval is not None:
        case = case._replace(headers=(*case.headers, ("supervisor-approval", step.approval.format(*cases, *"xxxx"))))
    if mode == "enforce":
        return case
    return _in_shadow(case)


def _in_shadow(case: Case) -> Case:
    """What the policy alone says: nothing is looked at that enforce alone would need."""
    if case.problem == "denied":
        return case
    return case._replace(problem=None, status=200, verdict=case.verdict or "review")


def _instance(answer: Answer | None) -> str:
    assert answer is not None
    return str(json.loads(answer.body)["instance"]).rpartition(":")[2]
