"""What a policy answers: precedence, defaults, failing rules, markers; and never an exception."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from supervisor_guards._model import Outcome
from supervisor_guards.policy.document import read_policies
from supervisor_guards.policy.engine import Policy, PolicySet, rules_reading, run_tests

HEAD = "name: refund.base\nversion: 1\naction: refund\n"


def policy(*rules: str, default: str = "allow") -> Policy:
    lines = "".join(f"  - {{{rule}}}\n" for rule in rules)
    return read_policies(f"{HEAD}default: {default}\nrules:\n{lines}")[0]


DENY = "id: d, when: payload.amount > 100, action: deny, reason: too-much, explanation: Over 100."
DENY_TOO = "id: d2, when: payload.amount > 200, action: deny, reason: far-too-much"
REVIEW = "id: r, when: payload.amount > 10, action: review, reason: look"
ALLOW = "id: a, when: payload.staff == True, action: allow, reason: staff"


@pytest.mark.parametrize(
    ("payload", "outcome", "reasons", "rules"),
    [
        ({"amount": 5, "staff": False}, "allow", (), ()),
        ({"amount": 5, "staff": True}, "allow", ("staff",), ("a",)),
        ({"amount": 50, "staff": True}, "review", ("look",), ("r", "a")),
        ({"amount": 150, "staff": True}, "deny", ("too-much",), ("d", "r", "a")),
        ({"amount": 250, "staff": False}, "deny", ("too-much", "far-too-much"), ("d", "d2", "r")),
    ],
)
def test_deny_beats_review_beats_allow(
    payload: dict[str, Any], outcome: str, reasons: tuple[str, ...], rules: tuple[str, ...]
) -> None:
    verdict = policy(DENY, DENY_TOO, REVIEW, ALLOW).evaluate(payload)

    assert (verdict.outcome, verdict.reasons, verdict.rule_ids) == (outcome, reasons, rules)
    assert not verdict.unusable


def test_the_order_of_the_rules_changes_only_the_order_of_the_reasons() -> None:
    forth = policy(DENY, DENY_TOO, REVIEW).evaluate({"amount": 250})
    back = policy(REVIEW, DENY_TOO, DENY).evaluate({"amount": 250})

    assert forth.reasons == ("too-much", "far-too-much")
    assert back.reasons == ("far-too-much", "too-much")
    assert forth.outcome is back.outcome is Outcome.DENY


def test_a_verdict_names_its_policy() -> None:
    judged = policy(DENY)
    for amount in (5, 500):
        verdict = judged.evaluate({"amount": amount})
        assert verdict.policy_name == "refund.base"
        assert verdict.policy_version == "refund.base@v1"
        assert verdict.policy_hash == judged.hash
    hit = judged.evaluate({"amount": 500}).hits[0]
    assert (hit.rule_id, hit.action, hit.reason, hit.explanation) == ("d", "deny", "too-much", "Over 100.")


@pytest.mark.parametrize(
    ("default", "reasons"), [("allow", ()), ("review", ("policy-default",)), ("deny", ("policy-default",))]
)
def test_the_default_decides_where_no_rule_hits(default: str, reasons: tuple[str, ...]) -> None:
    judged = policy(DENY, ALLOW, default=default)

    verdict = judged.evaluate({"amount": 5, "staff": False})
    assert (verdict.outcome, verdict.reasons, verdict.hits) == (default, reasons, ())
    assert judged.evaluate({"amount": 5, "staff": True}).outcome is Outcome.ALLOW


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [(DENY, "deny"), (REVIEW, "review"), ("id: a, when: payload.amount < 9, action: allow", "review")],
)
@pytest.mark.parametrize("payload", [{}, {"amount": "5"}, {"amount": None}, {"amount": {}}, {"amount": [1]}])
def test_a_failing_rule_never_opens(rule: str, outcome: str, payload: dict[str, Any]) -> None:
    judged = policy(rule)
    identity = judged.rules[0].id

    verdict = judged.evaluate(payload)

    assert (verdict.outcome, verdict.reasons) == (outcome, (f"rule-error:{identity}",))
    assert verdict.rule_ids == (identity,)
    assert not verdict.unusable


def test_a_failing_rule_does_not_hide_the_others() -> None:
    verdict = policy(REVIEW, "id: c, when: payload.currency == 'XTS', action: deny, reason: c").evaluate(
        {"currency": "XTS"}
    )

    assert (verdict.outcome, verdict.reasons, verdict.rule_ids) == (Outcome.DENY, ("c",), ("r", "c"))


@pytest.mark.parametrize("rule", [DENY, REVIEW, "id: a, when: payload.amount < 9, action: allow"])
@pytest.mark.parametrize("payload", [{"amount": {"__redacted__": True}}, {"__truncated__": True, "length": 9}])
def test_a_marker_denies_whatever_the_rule(rule: str, payload: dict[str, Any]) -> None:
    judged = policy(rule)

    verdict = judged.evaluate(payload)

    assert verdict.outcome is Outcome.DENY
    assert verdict.unusable
    assert verdict.reasons == (f"rule-error:{judged.rules[0].id}",)


def test_a_marker_that_no_rule_reads_changes_nothing() -> None:
    verdict = policy(DENY).evaluate({"amount": 5, "note": {"__redacted__": True}})

    assert verdict.outcome is Outcome.ALLOW
    assert not verdict.unusable


def test_context_and_request_are_read_and_guarded_too() -> None:
    judged = policy("id: c, when: context.user_id == request.subject, action: review, reason: own")

    assert judged.evaluate({}, {"user_id": "u"}, {"subject": "u"}).reasons == ("own",)
    assert judged.evaluate({}, {"user_id": "u"}, {"subject": "v"}).outcome is Outcome.ALLOW
    assert judged.evaluate({}, None, None).reasons == ("rule-error:c",)
    assert judged.evaluate({}, {"user_id": {"__object__": "x"}}, {"subject": "u"}).unusable


def test_failures_do_not_quote_the_payload() -> None:
    judged = policy(
        "id: i, when: int(payload.card) > 1, action: deny", "id: k, when: 'payload[payload.card]', action: deny"
    )

    verdict = judged.evaluate({"card": "4111x1111"})

    assert verdict.rule_ids == ("i", "k")
    assert "4111" not in repr(verdict)


def _deep() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


class Hostile(dict[str, Any]):
    def __getitem__(self, key: str) -> Any:
        raise RuntimeError("read")


@pytest.mark.parametrize(
    "payload",
    [None, 5, "text", [], [{}], {"amount": object()}, Hostile(amount=5), {"amount": float("nan")}, {1: 2}],
)
def test_evaluate_never_raises(payload: Any) -> None:
    verdict = policy(DENY, "id: e, when: payload.amount == payload.amount, action: deny").evaluate(payload)

    assert verdict.outcome is Outcome.DENY


def test_evaluate_never_raises_on_data_as_deep_as_it_gets() -> None:
    judged = policy("id: e, when: payload.a == payload.b, action: review")
    payload = {"a": _deep(), "b": _deep()}
    try:
        assert judged.evaluate(payload).unusable
    finally:
        while payload:  # taken apart from the outside: freeing 100,000 levels at once recurses
            inner = payload.popitem()[1]
            while isinstance(inner, list):
                inner = inner.pop()


def test_a_caller_without_stack_left_gets_a_verdict() -> None:
    judged = policy(DENY)
    judged.evaluate({"amount": 1})

    def descend(depth: int) -> Any:
        try:
            return descend(depth + 1)
        except RecursionError:
            return None

    limit = sys.getrecursionlimit()
    assert descend(0) is None
    assert sys.getrecursionlimit() == limit
    assert judged.evaluate({"amount": 500}).outcome is Outcome.DENY


@pytest.mark.parametrize("unmatched", ["deny", "review", "allow"])
def test_an_action_without_a_policy(unmatched: Any) -> None:
    policies = PolicySet([policy(DENY)], unmatched)

    verdict = policies.evaluate("payment", {"amount": 5})

    assert (verdict.outcome, verdict.reasons) == (unmatched, ("no-policy",))
    assert policies.evaluate("refund", {"amount": 5}).outcome is Outcome.ALLOW
    assert policies.covers("refund")
    assert not policies.covers("payment")
    assert policies.action_types == ("refund",)


def test_two_policies_of_one_action_are_refused() -> None:
    with pytest.raises(ValueError, match="claimed by"):
        PolicySet([policy(DENY), policy(REVIEW)])


def test_known_clean_data_gives_the_same_verdicts() -> None:
    policies = PolicySet([policy(DENY, REVIEW, ALLOW)])
    for payload in ({"amount": 5, "staff": True}, {"amount": 500, "staff": False}, {}):
        assert policies.evaluate("refund", payload, marked=False) == policies.evaluate("refund", payload)


def test_matches_that_runs_away_is_a_hit_either_way() -> None:
    payload = {"text": "a" * 50_000 + "!"}
    for condition in ("matches(payload.text, '^(a|aa)+$')", "not matches(payload.text, '^(a|aa)+$')"):
        judged = policy(f'id: m, when: "{condition}", action: deny, reason: m')
        assert judged.evaluate(payload).reasons == ("rule-error:m",)


def test_all_matches_of_one_evaluation_share_a_budget() -> None:
    runaway = """id: m{0}, when: "matches(payload.text, '^(a|aa)+{0}$')", action: review, reason: m"""
    quick = """id: quick, when: "matches(payload.name, 'b')", action: deny, reason: quick"""
    judged = policy(*(runaway.format(index) for index in range(40)), quick)

    verdict = judged.evaluate({"text": "a" * 50_000 + "!", "name": "b"})

    assert verdict.reasons == ("rule-error:quick",)
    assert judged.evaluate({"text": "", "name": "b"}).reasons == ("quick",)


def test_stored_tests_are_run() -> None:
    text = f"""{HEAD}rules:
  - {{{DENY}}}
tests:
  - {{payload: {{amount: 500}}, expect: deny, reasons: [too-much]}}
  - {{payload: {{amount: 500}}, expect: allow}}
  - {{payload: {{amount: 500}}, expect: deny, reasons: [other]}}
"""
    failures = [str(failure) for failure in run_tests(PolicySet(read_policies(text, "refund.yaml")))]

    assert failures == [
        "refund.yaml:8: refund.base@v1, test 2: expected allow, got deny (too-much)",
        "refund.yaml:9: refund.base@v1, test 3: expected the reasons ['other'], got ['too-much']",
    ]


def test_rules_that_read_a_field_are_found() -> None:
    policies = PolicySet([policy(DENY, "id: e, when: payload.customer.email == payload.amount, action: deny")])

    emails = list(rules_reading(policies, lambda path: path.endswith(".email")))
    numbers = list(rules_reading(policies, lambda path: path == "payload.amount", numbers=True))

    assert [(found.rule.id, found.fields) for found in emails] == [("e", {"payload.customer.email"})]
    assert [found.rule.id for found in numbers] == ["d"]
    assert str(emails[0]) == "<policy>:7: refund.base@v1, rule 'e' reads payload.customer.email"
