"""Recorded actions are judged again: what a policy would have said to them, against what was said."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supervisor_guards._model import Outcome, Verdict
from supervisor_guards._payload import decode, snapshot
from supervisor_guards.policy.engine import Policy, PolicySet

__all__ = ["Comparison", "Judge", "Replayed", "judging"]

Judge = Callable[[str, Mapping[str, Any], Mapping[str, Any] | None], Verdict]
"""The verdict on an action type, a payload and a context."""

_SEVERITY = {Outcome.ALLOW.value: 0, Outcome.REVIEW.value: 1, Outcome.DENY.value: 2}


def judging(policy_set: PolicySet, limit: int) -> Judge:
    """Judge a record the way a guarded call is judged: by the decoded snapshot of what was passed."""

    def judge(action_type: str, payload: Mapping[str, Any], context: Mapping[str, Any] | None) -> Verdict:
        taken = snapshot(payload, limit)
        if taken.fault is not None:
            return Verdict(outcome=Outcome.DENY, reasons=(taken.fault,), unusable=True)
        return policy_set.evaluate(action_type, decode(taken), decode(snapshot(context or {})), {})

    return judge


class Replayed:
    """`policy`, as far as records can answer it."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._lost = {named: _unanswerable(policy, named) for named in (False, True)}

    def judge(self, payload: Mapping[str, Any], context: Mapping[str, Any]) -> Verdict | None:
        """The verdict on a recorded action; None where it rests on what the record doesn't hold.

        That is a value that was redacted or cut; what an adapter knew (`request`), which isn't kept; and the order of
        arguments (`payload.args`, `payload.kwargs`) where the client sent names.
        """
        verdict = self._policy.evaluate(payload, context, {})
        if verdict.unusable:
            return None
        lost = self._lost["args" not in payload and "kwargs" not in payload]
        if not lost:
            return verdict
        worst = max(_SEVERITY[rule.action.value] for rule in self._policy.rules if rule.id in lost)
        sure = max((_SEVERITY[hit.action] for hit in verdict.hits if hit.rule_id not in lost), default=-1)
        return verdict if sure >= max(worst, _SEVERITY[verdict.outcome.value]) else None


def _unanswerable(policy: Policy, named: bool) -> frozenset[str]:
    """The ids of rules that read what no record holds; with `named`, of an action whose arguments have names."""
    lost = {("request",), *([("payload", "args"), ("payload", "kwargs")] if named else [])}

    def reads(path: str) -> bool:
        names = tuple(path.split("."))
        return names[:1] in lost or names[:2] in lost

    return frozenset(rule.id for rule in policy.rules if any(map(reads, rule.fields)))


@dataclass
class Comparison:
    """Counts of verdicts against those of the record.

    `unreadable` are those whose verdict rests on what the record doesn't hold: they are neither same nor different.
    """

    total: int = 0
    same: int = 0
    would_tighten: int = 0
    would_loosen: int = 0
    unreadable: int = 0
    changes: Counter[tuple[str, str]] = field(default_factory=Counter)
    """How often which recorded verdict became which other one."""

    @property
    def differ(self) -> int:
        """How many verdicts differ."""
        return self.would_tighten + self.would_loosen

    def add(self, recorded: str, replayed: Verdict | None) -> bool:
        """Count one; whether it differs. `replayed` is None where that can't be known."""
        self.total += 1
        if replayed is None:
            self.unreadable += 1
            return False
        fresh = replayed.outcome.value
        if fresh == recorded:
            self.same += 1
            return False
        if _SEVERITY[fresh] > _SEVERITY[recorded]:
            self.would_tighten += 1
        else:
            self.would_loosen += 1
        self.changes[recorded, fresh] += 1
        return True
