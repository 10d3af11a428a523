"""Policies at work: an action's data goes in, a verdict comes out. Nothing here raises."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from supervisor_guards._model import Hit, Outcome, ReviewPriority, Verdict
from supervisor_guards.policy.expressions import Condition, Failure, Judge, compile_rules
from supervisor_guards.policy.values import seal

__all__ = ["Policy", "PolicySet", "PolicyTest", "Reading", "Rule", "TestFailure", "rules_reading", "run_tests"]

Unmatched = Literal["deny", "review", "allow"]

NO_POLICY = "no-policy"
"""The reason where an action type has no policy."""
POLICY_DEFAULT = "policy-default"
"""The reason where no rule hit and `default:` denies or asks for review."""

_SEVERITY = {Outcome.ALLOW: 0, Outcome.REVIEW: 1, Outcome.DENY: 2}


@dataclass(frozen=True)
class Rule:
    """One rule of a policy."""

    id: str
    condition: Condition
    action: Outcome
    reason: str
    explanation: str = ""
    line: int = 0
    """Where it begins in its file, from 1."""
    priority: ReviewPriority = "normal"
    """How soon a person should look, where it asks for review."""

    @property
    def fields(self) -> frozenset[str]:
        """The dotted paths it reads, such as `payload.customer.email`."""
        return self.condition.fields


@dataclass(frozen=True)
class PolicyTest:
    """A stored test: what the policy answers to a payload."""

    payload: Mapping[str, Any]
    expect: Outcome
    reasons: tuple[str, ...] | None = None
    """The verdict's reasons, in order; None where the test does not say."""
    context: Mapping[str, Any] = field(default_factory=dict)
    request: Mapping[str, Any] = field(default_factory=dict)
    line: int = 0


@dataclass(frozen=True, eq=False)
class Policy:
    """One document: the rules of one or more action types, compiled to one function."""

    name: str
    version: str
    actions: tuple[str, ...]
    rules: tuple[Rule, ...]
    default: Outcome = Outcome.ALLOW
    tests: tuple[PolicyTest, ...] = ()
    hash: str = ""
    """SHA-256 of the document's text, in hexadecimal."""
    file: str = ""
    line: int = 0
    source: str = field(default="", repr=False)
    """The document's own text with the comments around it: what `read_policies` reads as this one policy again."""

    def __post_init__(self) -> None:
        judge = compile_rules([rule.condition for rule in self.rules], self.label)
        reasons = () if self.default is Outcome.ALLOW else (POLICY_DEFAULT,)
        object.__setattr__(self, "_judge", judge)
        object.__setattr__(self, "_otherwise", self._verdict(self.default, reasons, ()))

    _judge: Judge = field(init=False, repr=False)
    _otherwise: Verdict = field(init=False, repr=False)

    @property
    def label(self) -> str:
        """Name and version as records carry them: `refund.base@v1`."""
        return f"{self.name}@v{self.version}"

    def evaluate(
        self,
        payload: Mapping[str, Any],
        context: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
        *,
        marked: bool = True,
    ) -> Verdict:
        """The verdict on an action, from decoded JSON. Never raises.

        All rules run: deny beats review beats allow, and `default` decides where none hits. A rule that
        fails counts as hit; a failed allow rule asks for review; one that read a marker denies. `marked` may
        be False where the caller knows that no marker is in the data (its JSON has no `"__`).
        """
        context = {} if context is None else context
        request = {} if request is None else request
        try:
            if marked:
                payload, context, request = seal(payload), seal(context), seal(request)
            found = self._judge(payload, context, request)
        except (Exception, RecursionError) as error:
            failures = [Failure(index, type(error).__name__, True) for index in range(len(self.rules))]
            found = ([], failures)
        return self._otherwise if found is None else self._weigh(*found)

    def _weigh(self, hits: Sequence[int], failures: Sequence[Failure]) -> Verdict:
        """The verdict, where rules hit or failed."""
        outcomes: dict[int, tuple[Outcome, Hit]] = {}
        for index in hits:
            rule = self.rules[index]
            outcomes[index] = rule.action, _hit(rule, rule.action, rule.reason, rule.explanation)
        for failure in failures:
            rule = self.rules[failure.rule]
            action = Outcome.REVIEW if rule.action is Outcome.ALLOW else rule.action
            if failure.marker:
                action = Outcome.DENY
            outcomes[failure.rule] = action, _hit(rule, action, f"rule-error:{rule.id}", failure.cause)
        ordered = [outcomes[index] for index in sorted(outcomes)]
        outcome = max((action for action, _ in ordered), key=_SEVERITY.__getitem__)
        reasons = tuple(hit.reason for action, hit in ordered if action is outcome)
        unusable = any(failure.marker for failure in failures)
        return self._verdict(outcome, reasons, tuple(hit for _, hit in ordered), unusable)

    def _verdict(
        self, outcome: Outcome, reasons: tuple[str, ...], hits: tuple[Hit, ...], unusable: bool = False
    ) -> Verdict:
        return Verdict(
            outcome=outcome,
            reasons=reasons,
            hits=hits,
            policy_name=self.name,
            policy_version=self.label,
            policy_hash=self.hash,
            unusable=unusable,
        )


def _hit(rule: Rule, action: Outcome, reason: str, explanation: str) -> Hit:
    priority = rule.priority if action is Outcome.REVIEW else None
    return Hit(rule.id, action.value, reason, explanation, priority)


class PolicySet:
    """The policies in force, by action type. Immutable; a reload makes a new one.

    `unmatched` is the answer for an action type without a policy. `warnings` says what is suspicious but
    works. No two policies may claim one action (`ValueError`); `load_policies` reports that with both files.
    """

    def __init__(
        self, policies: Iterable[Policy] = (), unmatched: Unmatched = "deny", warnings: Iterable[str] = ()
    ) -> None:
        self.policies = tuple(policies)
        self.unmatched: Unmatched = unmatched
        self.warnings = tuple(warnings)
        self._by_action: dict[str, Policy] = {}
        for policy in self.policies:
            for action in policy.actions:
                other = self._by_action.setdefault(action, policy)
                if other is not policy:
                    raise ValueError(f"action {action!r} is claimed by {other.label} and {policy.label}")
        self._reading_calls = frozenset(
            action for action, policy in self._by_action.items() if any(_reads_call(rule) for rule in policy.rules)
        )
        self._no_policy = Verdict(outcome=Outcome(unmatched), reasons=(NO_POLICY,))
        digest = hashlib.sha256("\n".join(sorted(policy.hash for policy in self.policies)).encode())
        self.hash = digest.hexdigest()
        """SHA-256 over the documents' hashes: equal where the same documents are in force."""

    @property
    def action_types(self) -> tuple[str, ...]:
        """The action types that have a policy."""
        return tuple(self._by_action)

    def covers(self, action_type: str) -> bool:
        """Whether `action_type` has a policy."""
        return action_type in self._by_action

    def reads_call(self, action_type: str) -> bool:
        """Whether a rule of `action_type` reads `payload.args` or `payload.kwargs`, the published package's shape."""
        return action_type in self._reading_calls

    def policy_for(self, action_type: str) -> Policy | None:
        """The policy of `action_type`, if it has one."""
        return self._by_action.get(action_type)

    def evaluate(
        self,
        action_type: str,
        payload: Mapping[str, Any],
        context: Mapping[str, Any] | None = None,
        request: Mapping[str, Any] | None = None,
        *,
        marked: bool = True,
    ) -> Verdict:
        """`Policy.evaluate` by the policy of `action_type`; without one, `unmatched` decides. Never raises."""
        policy = self._by_action.get(action_type)
        if policy is None:
            return self._no_policy
        return policy.evaluate(payload, context, request, marked=marked)


def _reads_call(rule: Rule) -> bool:
    return any(field.split(".")[:2] in (["payload", "args"], ["payload", "kwargs"]) for field in rule.fields)


@dataclass(frozen=True)
class TestFailure:
    """A stored test whose policy answers something else."""

    __test__ = False  # not a test class, whatever its name says

    policy: Policy
    number: int
    """Which test of the document, from 1."""
    message: str

    def __str__(self) -> str:
        line = self.policy.tests[self.number - 1].line
        return f"{self.policy.file}:{line}: {self.policy.label}, test {self.number}: {self.message}"


@dataclass(frozen=True)
class Reading:
    """A rule and those of its fields that were asked for."""

    policy: Policy
    rule: Rule
    fields: frozenset[str]

    def __str__(self) -> str:
        fields = ", ".join(sorted(self.fields))
        return f"{self.policy.file}:{self.rule.line}: {self.policy.label}, rule {self.rule.id!r} reads {fields}"


def run_tests(policies: PolicySet) -> list[TestFailure]:
    """The stored tests that fail; an empty list when all hold."""
    failures = []
    for policy in policies.policies:
        for number, test in enumerate(policy.tests, 1):
            verdict = policy.evaluate(test.payload, test.context, test.request)
            if verdict.outcome is not test.expect:
                reasons = ", ".join(verdict.reasons) or "no reason"
                message = f"expected {test.expect.value}, got {verdict.outcome.value} ({reasons})"
            elif test.reasons is not None and verdict.reasons != test.reasons:
                message = f"expected the reasons {list(test.reasons)}, got {list(verdict.reasons)}"
            else:
                continue
            failures.append(TestFailure(policy, number, message))
    return failures


def rules_reading(policies: PolicySet, wanted: Callable[[str], bool], *, numbers: bool = False) -> Iterator[Reading]:
    """The rules that read a field for which `wanted` is true.

    `wanted` gets each dotted path (`payload.customer.email`): "is it redacted?". With `numbers`, only
    paths that are compared or computed with numbers are asked about: "is it untyped text from the web?".
    """
    for policy in policies.policies:
        for rule in policy.rules:
            fields = rule.condition.numeric_fields if numbers else rule.fields
            found = frozenset(path for path in fields if wanted(path))
            if found:
                yield Reading(policy, rule, found)
